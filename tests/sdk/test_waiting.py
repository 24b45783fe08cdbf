"""Waiting for jobs: interrupts, time limits, futures, event loops. The jobs end when the test says so."""

from __future__ import annotations

import asyncio
import concurrent.futures
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import jobsvc_sdk
from jobsvc_proto.v1 import job_service_pb2 as pb
from jobsvc_sdk import Client, Job, connect
from jobsvc_sdk.errors import JobCancelled, JobFailed, NotFound
from jobsvc_sdk.values import JobStatus
from tests.sdk.scripted import ScriptedServer, completed, done, job, snapshot
from tests.waiting import until


class EndingServer(ScriptedServer):
    """A server whose jobs are what was last put into ``records``; cancels them as well."""

    def __init__(self) -> None:
        super().__init__()
        self.cancels: list[str] = []
        self.changed = threading.Condition()
        self.stream = self._records

    def end(self, *jobs: pb.Job) -> None:
        """Let these jobs end."""
        with self.changed:
            self.records |= {one.job_id: one for one in jobs}
            self.changed.notify_all()

    def stop(self) -> None:
        with self.changed:
            self.stopped = True
            self.changed.notify_all()
        super().stop()

    stopped = False

    def _records(self, request: Any, context: Any) -> Iterator[pb.StreamProgressResponse]:
        context.add_callback(self._wake)
        left = {target.job_id for target in request.targets}
        yield snapshot()
        while left and context.is_active() and not self.stopped:
            ended = [self.records[id] for id in left if id in self.records and self.records[id].state >= 5]
            left -= {one.job_id for one in ended}
            yield from map(completed, ended)
            with self.changed:
                if left and context.is_active() and not ended:
                    self.changed.wait(5)

    def _wake(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def Cancel(self, request: Any, context: Any) -> pb.CancelResponse:
        self.cancels.append(request.job_id)
        self.end(job(request.job_id.removeprefix("0-"), 8, "cancelled"))
        return pb.CancelResponse(job=self.records[request.job_id], cancelled_count=1)


@pytest.fixture
def server() -> Iterator[EndingServer]:
    scripted = EndingServer()
    yield scripted
    scripted.stop()


@pytest.fixture
def client(server: EndingServer) -> Iterator[Client]:
    with connect(server.address) as made:
        yield made


@pytest.fixture
def new(client: Client, server: EndingServer) -> Callable[[int], Job]:
    def make(number: int) -> Job:
        server.records.setdefault(f"0-{number}", job(number))
        return Job(client, JobStatus(f"0-{number}", "a.b", version=1))

    return make


def broken(number: int) -> pb.Job:
    error = {"type": "ValueError", "message": "bad row", "stack_trace": "Traceback: bad row"}
    return job(number, 9, "failed", attempt_count=1, error=error)


def interrupt_when(ready: Callable[[], object]) -> threading.Thread:
    """Press the square button, so to speak, once this thread waits."""

    def press() -> None:
        until(ready)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    return thread


def test_interrupt_stops_the_waiting_and_not_the_job(server: EndingServer, new: Callable[[int], Job]) -> None:
    one = new(1)
    presser = interrupt_when(lambda: server.open_streams == 1)

    with pytest.raises(KeyboardInterrupt) as caught:
        one.result()

    presser.join()
    assert str(caught.value) == (
        "stopped waiting for 0-1, it is still running. job.cancel() stops it, job.result() waits again."
    )
    assert server.cancels == []
    server.end(done(1))
    assert one.result(timeout=10) == 5


def test_interrupt_cancels_the_job_when_asked_to(server: EndingServer, new: Callable[[int], Job]) -> None:
    one = new(1)
    presser = interrupt_when(lambda: server.open_streams == 1)

    with pytest.raises(KeyboardInterrupt, match="asked for it to be cancelled"):
        one.result(on_interrupt="cancel")

    presser.join()
    assert server.cancels == ["0-1"]
    assert one.cancelled()


def test_interrupt_is_heard_while_the_server_is_down(new: Callable[[int], Job], server: EndingServer) -> None:
    one = new(1)
    server.stop()
    presser = interrupt_when(lambda: not one.client.hub._connected)

    with pytest.raises(KeyboardInterrupt):
        one.result()

    presser.join()


def test_wrong_choice_for_interrupts_is_refused(new: Callable[[int], Job]) -> None:
    with pytest.raises(ValueError, match="on_interrupt is 'kill'; expected 'keep' or 'cancel'"):
        new(1).result(on_interrupt="kill")


def test_time_limit_raises_and_cancels_nothing(server: EndingServer, new: Callable[[int], Job]) -> None:
    one = new(1)
    began = time.monotonic()

    with pytest.raises(
        TimeoutError, match=r"a\.b 0-1 is still queued after 0\.05 s and goes on; job\.result\(\) waits"
    ):
        one.result(timeout=0.05)

    assert 0.05 <= time.monotonic() - began < 2
    assert server.cancels == []
    with pytest.raises(TimeoutError):
        one.wait(timeout=0)
    server.end(done(1))
    assert one.wait(10).result() == 5


def test_failure_is_raised_and_returned(server: EndingServer, new: Callable[[int], Job]) -> None:
    one = new(1)
    server.end(broken(1))

    error = one.exception(timeout=10)

    assert isinstance(error, JobFailed)
    assert error.remote_traceback == "Traceback: bad row"
    with pytest.raises(JobFailed, match="failed on attempt 1: ValueError: bad row"):
        one.result()
    assert one.done()
    assert not one.running()
    assert repr(one) == "<Job a.b 0-1 failed ValueError: bad row>"


def test_result_of_a_job_that_ended_needs_no_call(server: EndingServer, new: Callable[[int], Job]) -> None:
    one = new(1)
    server.end(done(1))
    assert one.result(timeout=10) == 5

    server.stop()

    assert one.result() == 5
    assert one.exception() is None
    assert one.state == "completed"


def test_futures_of_jobs_are_real_futures(server: EndingServer, new: Callable[[int], Job]) -> None:
    futures = [new(number).future() for number in range(3)]
    assert not any(future.done() for future in futures)

    server.end(done(0), broken(1), job(2, 9, "cancelled"))
    finished, unfinished = concurrent.futures.wait(futures, timeout=10)

    assert (len(finished), unfinished) == (3, set())
    assert futures[0].result() == 5
    assert isinstance(futures[1].exception(), JobFailed)
    assert futures[2].cancelled()
    assert set(concurrent.futures.as_completed(futures, timeout=1)) == set(futures)


def test_future_of_a_missing_job_raises(client: Client, server: EndingServer) -> None:
    server.stream = lambda request, context: iter([snapshot(missing_ids=["0-1"])])

    future = Job(client, JobStatus("0-1", version=1)).future()

    with pytest.raises(NotFound):
        future.result(timeout=10)


def test_cancelling_a_future_leaves_the_job_alone(server: EndingServer, new: Callable[[int], Job]) -> None:
    one = new(1)
    future = one.future()

    assert future.cancel()
    server.end(done(1))

    assert one.result(timeout=10) == 5
    assert server.cancels == []


def test_jobs_come_in_the_order_of_their_ends(server: EndingServer, new: Callable[[int], Job]) -> None:
    jobs = [new(number) for number in range(3)]
    arriving = jobsvc_sdk.as_completed(jobs, timeout=10)

    order = []
    for number in (2, 0, 1):
        server.end(done(number))
        order.append(next(arriving).id)

    assert order == ["0-2", "0-0", "0-1"]
    assert list(arriving) == []


def test_jobs_that_take_too_long_end_the_iteration(server: EndingServer, new: Callable[[int], Job]) -> None:
    jobs = [new(number) for number in range(3)]
    server.end(done(1))

    arriving = jobsvc_sdk.as_completed(jobs, timeout=0.3)

    assert next(arriving).id == "0-1"
    with pytest.raises(TimeoutError, match=r"2 jobs have not ended after 0\.3 s"):
        next(arriving)


def test_wait_sorts_jobs(server: EndingServer, new: Callable[[int], Job]) -> None:
    jobs = [new(number) for number in range(3)]
    server.end(done(0))

    first = jobsvc_sdk.wait(jobs, 10, jobsvc_sdk.FIRST_COMPLETED)
    server.end(broken(1))
    failed = jobsvc_sdk.wait(jobs, 10, jobsvc_sdk.FIRST_EXCEPTION)
    late = jobsvc_sdk.wait(jobs, 0.05)

    assert jobs[0] in first.done
    assert {jobs[1]} <= failed.done
    assert (late.done, late.not_done) == ({jobs[0], jobs[1]}, {jobs[2]})
    with pytest.raises(ValueError, match="return_when is 'ANY'"):
        jobsvc_sdk.wait(jobs, return_when="ANY")  # type: ignore[arg-type]
    assert jobsvc_sdk.wait([]) == (set(), set())


def test_gather_keeps_the_order(server: EndingServer, new: Callable[[int], Job]) -> None:
    jobs = [new(number) for number in range(3)]
    server.end(done(2, result="2"), done(0, result="0"), broken(1))

    results = jobsvc_sdk.gather(*jobs, return_exceptions=True)

    assert (results[0], results[2]) == (0, 2)
    assert isinstance(results[1], JobFailed)
    with pytest.raises(JobFailed):
        jobsvc_sdk.gather(*jobs)


async def test_job_can_be_awaited_in_a_notebook(server: EndingServer, new: Callable[[int], Job]) -> None:
    waiting = asyncio.ensure_future(_awaiting(new(1)))
    failing = asyncio.ensure_future(_awaiting(new(2)))
    await asyncio.sleep(0)

    server.end(done(1), broken(2))

    assert await waiting == 5
    with pytest.raises(JobFailed):
        await failing
    assert await asyncio.gather(new(1), new(1)) == [5, 5]


async def _awaiting(one: Job) -> Any:
    return await one


async def test_cancelled_await_leaves_the_job_alone(server: EndingServer, new: Callable[[int], Job]) -> None:
    one = new(1)
    waiting = asyncio.ensure_future(_awaiting(one))
    while not server.open_streams:
        await asyncio.sleep(0.01)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await waiting

    assert "it goes on" in caught.value.__notes__[0]
    assert server.cancels == []
    server.end(done(1))
    assert await one == 5


async def test_loop_stays_free_while_jobs_are_awaited(
    server: EndingServer, new: Callable[[int], Job]
) -> None:
    async def count() -> list[str]:
        return [job.id async for job in jobsvc_sdk.as_completed([new(1), new(2)])]

    ids = asyncio.ensure_future(count())
    for number in (2, 1):
        await asyncio.sleep(0.01)
        server.end(done(number))

    assert set(await ids) == {"0-1", "0-2"}


def test_cancel_says_whether_it_was_in_time(server: EndingServer, new: Callable[[int], Job]) -> None:
    one = new(1)

    assert one.cancel("enough", timeout=3)

    assert one.state == "cancelled"
    assert one.cancelled()
    with pytest.raises(JobCancelled):
        one.result()


def test_handles_of_one_job_are_equal(
    new: Callable[[int], Job], client: Client, server: EndingServer
) -> None:
    one, same, other = new(1), new(1), new(2)

    assert one == same != other
    assert len({one, same, other}) == 2
    assert client.job("0-1") == one


def test_representation_is_one_line_and_asks_nobody(server: EndingServer, client: Client) -> None:
    status = JobStatus("0-abc", "analytics.profile", state="processing", percent=46.2, step="load", version=3)
    shown = Job(client, status)

    assert repr(shown) == "<Job analytics.profile 0-abc processing 46% load>"
    shown._heard_at -= 60
    assert repr(shown) == "<Job analytics.profile 0-abc processing 46% load (60 s ago)>"
    assert server.streams == []
    assert server.asked == []
