"""Watching over streams that break, repeat themselves, or say nothing."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from jobsvc_proto.v1 import job_service_pb2 as pb
from jobsvc_sdk import Client, Job, connect
from jobsvc_sdk._sync import hub as hub_module
from jobsvc_sdk._sync import reader as reader_module
from jobsvc_sdk.errors import JobsvcError, NotFound, PermissionDenied
from jobsvc_sdk.values import BatchStatus, JobStatus
from tests.sdk.scripted import ScriptedServer, completed, done, job, job_ids, say, snapshot
from tests.waiting import until


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    yield scripted
    scripted.stop()


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[Client]:
    with connect(server.address, retry_for=2) as made:
        yield made


class Listener:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.statuses: list[Any] = []
        self.errors: list[Exception] = []

    def __call__(self, status: Any) -> None:
        self.statuses.append(status)

    @property
    def versions(self) -> list[int]:
        return [status.version for status in self.statuses]

    @property
    def ended(self) -> bool:
        return bool(self.statuses) and self.statuses[-1].terminal


@pytest.fixture
def watch(client: Client) -> Callable[..., Listener]:
    def start(id: str, kind: Any = "job") -> Listener:
        listener = Listener()
        client.hub.subscribe(kind, id, listener, on_missing=listener.errors.append)
        return listener

    return start


def handle(client: Client, number: int | str, batch_id: str = "") -> Job:
    return Job(client, JobStatus(f"0-{number}", "a.b", batch_id=batch_id))


_threads_of_others: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def note_threads_of_others() -> None:
    """Clients of earlier tests in this process may still watch: an example in the docs does not close its own."""
    _threads_of_others.clear()
    _threads_of_others.update(threading.enumerate())


def watch_threads() -> list[str]:
    own = set(threading.enumerate()) - _threads_of_others
    return sorted(thread.name for thread in own if thread.name.startswith("jobsvc-watch"))


def test_job_is_followed_to_its_end(server: ScriptedServer, watch: Callable[..., Listener]) -> None:
    server.records["0-1"] = job(1)
    listener = watch("0-1")
    until(lambda: listener.versions == [1])

    server.tell(say(progress=pb.ProgressUpdate(job_id="0-1", version=2, progress={"percent": 10})))
    server.tell(completed(done(1)))

    until(lambda: listener.ended)
    assert listener.versions == [1, 2, 9]
    assert listener.statuses[-1].result_json == "5"


def test_broken_stream_is_taken_up_where_it_was(
    server: ScriptedServer, client: Client, watch: Callable[..., Listener]
) -> None:
    connection: list[tuple[bool, str]] = []
    client.hub.on_connection(lambda connected, text: connection.append((connected, text)))
    server.records["0-1"] = job(1, 3)
    listener = watch("0-1")
    until(lambda: listener.versions == [3])

    server.tell(
        say("token-7", progress=pb.ProgressUpdate(job_id="0-1", version=5)), grpc.StatusCode.UNAVAILABLE
    )
    until(lambda: len(server.streams) == 2)
    server.records["0-1"] = done(1)
    until(lambda: connection == [(False, f"reconnecting to {server.address}"), (True, "")])
    server.tell(completed(done(1)))

    until(lambda: listener.ended)
    again = server.streams[1]
    assert (again.targets[0].known_version, again.resume_token) == (5, "token-7")
    assert listener.versions == [3, 5, 9]


def test_old_news_after_a_break_changes_nothing(
    server: ScriptedServer, watch: Callable[..., Listener]
) -> None:
    server.records["0-1"] = job(1, 5, "processing")
    listener = watch("0-1")
    until(lambda: listener.versions == [5])

    server.records["0-1"] = job(1, 2)
    server.tell(grpc.StatusCode.INTERNAL)
    until(lambda: len(server.streams) == 2)
    until(lambda: server.open_streams == 1)
    server.tell(say(progress=pb.ProgressUpdate(job_id="0-1", version=4)), completed(done(1)))

    until(lambda: listener.ended)
    assert listener.versions == [5, 9]


def test_stream_that_ends_too_early_is_filled_by_asking(
    server: ScriptedServer, watch: Callable[..., Listener]
) -> None:
    server.records["0-1"] = job(1)
    listener = watch("0-1")
    until(lambda: listener.versions == [1])

    server.records["0-1"] = done(1)
    server.end_streams()

    until(lambda: listener.ended)
    assert server.asked == ["0-1"]
    assert listener.statuses[-1].result_json == "5"


def test_news_without_a_beginning_is_filled_by_asking(
    server: ScriptedServer, watch: Callable[..., Listener]
) -> None:
    listener = watch("0-1")
    until(lambda: server.open_streams == 1)
    server.records["0-1"] = job(1, 4, "processing")

    until(lambda: server.tell(say(progress=pb.ProgressUpdate(job_id="0-1", version=3))) or listener.statuses)

    assert listener.versions == [4]
    assert listener.statuses[0].job_type == "a.b"


def test_job_that_does_not_exist_ends_the_watching(server: ScriptedServer, client: Client) -> None:
    server.stream = lambda request, context: iter([snapshot(missing_ids=job_ids(request))])
    lost = handle(client, 1)

    with pytest.raises(NotFound, match="0-1"):
        lost.result(timeout=10)


def test_stream_that_finds_nothing_ends_the_watching(server: ScriptedServer, client: Client) -> None:
    def refuse(request: Any, context: grpc.ServicerContext) -> Iterator[pb.StreamProgressResponse]:
        context.abort(grpc.StatusCode.NOT_FOUND, "there is no job 0-1")
        yield from ()

    server.stream = refuse

    with pytest.raises(NotFound, match="0-1"):
        handle(client, 1).result(timeout=10)


def test_refusal_of_the_stream_reaches_whoever_waits(server: ScriptedServer, client: Client) -> None:
    def refuse(request: Any, context: grpc.ServicerContext) -> Iterator[pb.StreamProgressResponse]:
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "not yours")
        yield from ()

    server.stream = refuse

    with pytest.raises(PermissionDenied, match="not yours"):
        handle(client, 1).result(timeout=10)


def test_server_that_goes_away_is_left_for_the_next_stream(
    server: ScriptedServer, watch: Callable[..., Listener]
) -> None:
    server.records["0-1"] = job(1)
    listener = watch("0-1")
    until(lambda: listener.versions == [1])

    server.tell(say(reconnect=pb.Reconnect()))
    server.end_streams()
    until(lambda: len(server.streams) == 2)
    until(lambda: server.open_streams == 1)
    server.tell(completed(done(1)))

    until(lambda: listener.ended)
    assert server.asked == []


def test_stream_that_is_silent_for_too_long_is_opened_anew(
    server: ScriptedServer, client: Client, watch: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.records["0-1"] = job(1)
    watch("0-1")
    until(lambda: server.open_streams == 1)

    monkeypatch.setattr(reader_module, "SILENCE_S", 0.05)

    until(lambda: client.hub.check() or len(server.streams) > 1)


def test_many_jobs_share_one_thread_and_one_stream(server: ScriptedServer, client: Client) -> None:
    for number in range(500):
        server.records[f"0-{number}"] = job(number)
    jobs = [handle(client, number) for number in range(500)]

    for one in jobs:
        one.add_done_callback(lambda _: None)

    until(lambda: len(job_ids(server.latest)) == 500)
    until(lambda: server.open_streams == 1)
    assert watch_threads() == ["jobsvc-watch"]
    assert len(server.streams) < 20
    server.tell(*[completed(done(number)) for number in range(500)])
    assert [one.result(timeout=10) for one in jobs] == [5] * 500
    assert watch_threads() == ["jobsvc-watch"]


def test_more_than_a_thousand_targets_take_a_second_stream(server: ScriptedServer, client: Client) -> None:
    jobs = [handle(client, number) for number in range(1_100)]
    for one in jobs:
        one.add_done_callback(lambda _: None)

    until(
        lambda: sum(len(request.targets) == 1_000 for request in server.streams) and server.open_streams == 2
    )

    assert max(len(request.targets) for request in server.streams) == 1_000
    assert watch_threads() == ["jobsvc-watch", "jobsvc-watch-2"]
    server.tell(*[completed(done(number)) for number in range(1_100)])
    assert [one.result(timeout=20) for one in jobs] == [5] * 1_100


def test_jobs_of_a_batch_are_watched_through_it(server: ScriptedServer, client: Client) -> None:
    jobs = [handle(client, number, "b0-a") for number in range(50)]
    for one in jobs:
        one.add_done_callback(lambda _: None)

    until(lambda: [target.batch_id for target in server.latest.targets] == ["b0-a"])
    assert server.latest.targets[0].include_jobs
    server.records |= {f"0-{number}": done(number, batch_id="b0-a") for number in range(50)}
    server.tell(snapshot(*[job(number, batch_id="b0-a") for number in range(50)]))
    server.tell(
        *[say(state_change=pb.StateChange(job_id=f"0-{number}", version=9, state=5)) for number in range(50)]
    )

    assert [one.result(timeout=10) for one in jobs] == [5] * 50


def test_few_jobs_of_a_batch_are_watched_one_by_one(server: ScriptedServer, client: Client) -> None:
    jobs = [handle(client, number, "b0-a") for number in range(hub_module.THROUGH_BATCH)]
    for one in jobs:
        one.add_done_callback(lambda _: None)

    until(lambda: len(server.latest.targets) == len(jobs))

    assert not any(target.batch_id for request in server.streams for target in request.targets)
    server.tell(*[completed(done(number)) for number in range(len(jobs))])
    assert [one.result(timeout=10) for one in jobs] == [5] * len(jobs)


def test_jobs_whose_batch_is_gone_are_watched_one_by_one(server: ScriptedServer, client: Client) -> None:
    def without_batch(request: Any, context: grpc.ServicerContext) -> Iterator[pb.StreamProgressResponse]:
        yield snapshot(missing_ids=[target.batch_id for target in request.targets if target.batch_id])
        yield from (completed(done(id.removeprefix("0-"))) for id in job_ids(request))

    server.stream = without_batch
    jobs = [handle(client, number, "b0-a") for number in range(20)]
    for one in jobs:
        one.add_done_callback(lambda _: None)

    assert [one.result(timeout=10) for one in jobs] == [5] * 20


def test_batch_counts_end_once_and_last(server: ScriptedServer, watch: Callable[..., Listener]) -> None:
    server.stream = lambda request, context: iter(
        [
            say(
                snapshot=pb.Snapshot(
                    batches=[pb.BatchProgress(batch_id="b0-a", total=2, queued=2, version=1)]
                )
            ),
            say(batch=pb.BatchProgress(batch_id="b0-a", total=2, completed=2, version=3)),
            say(
                completed=pb.Completed(
                    batch=pb.BatchProgress(batch_id="b0-a", total=2, completed=2, version=3)
                )
            ),
        ]
    )

    listener = watch("b0-a", "batch")

    until(lambda: listener.ended)
    assert listener.versions == [1, 3]
    assert isinstance(listener.statuses[-1], BatchStatus)


def test_watching_ends_when_nothing_is_left(
    server: ScriptedServer, watch: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "IDLE_S", 0.05)
    server.records["0-1"] = job(1)
    listener = watch("0-1")
    until(lambda: server.open_streams == 1)
    assert watch_threads() == ["jobsvc-watch"]

    server.tell(completed(done(1)))

    until(lambda: listener.ended)
    until(lambda: watch_threads() == [])
    assert server.open_streams == 0

    second = watch("0-2")
    until(lambda: server.open_streams == 1)
    server.tell(completed(done(2)))
    until(lambda: second.ended)


def test_handle_that_is_dropped_is_no_longer_watched(server: ScriptedServer, client: Client) -> None:
    kept, dropped = handle(client, 1), handle(client, 2)
    server.records |= {"0-1": job(1), "0-2": job(2)}
    assert (kept.state, dropped.state) == ("queued", "queued")
    until(lambda: len(server.latest.targets) == 2)

    del dropped
    gc.collect()
    server.tell(grpc.StatusCode.UNAVAILABLE)

    until(lambda: len(server.latest.targets) == 1)


def test_stream_of_dropped_handles_ends_with_the_next_heartbeat(
    server: ScriptedServer, client: Client
) -> None:
    dropped = handle(client, 1)
    dropped.add_done_callback(print)
    until(lambda: server.open_streams == 1)

    client._kept.clear()
    del dropped
    gc.collect()
    server.tell(say(heartbeat=pb.Heartbeat()))

    until(lambda: server.open_streams == 0)
    assert len(server.streams) == 1


def test_unsubscribed_listener_hears_no_more(server: ScriptedServer, client: Client) -> None:
    server.records |= {"0-1": job(1), "0-2": job(2)}
    first, second = Listener(), Listener()
    undo = client.hub.subscribe("job", "0-1", first)
    client.hub.subscribe("job", "0-1", second)
    until(lambda: first.statuses and second.statuses)

    undo()
    server.tell(completed(done(1)))

    until(lambda: second.ended)
    assert first.versions == [1]


def test_listener_that_raises_harms_nobody(
    server: ScriptedServer, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(status: Any) -> None:
        raise RuntimeError("my own fault")

    client.hub.subscribe("job", "0-1", broken)
    one = handle(client, 1)
    one.add_done_callback(broken)
    heard: list[Job] = []
    one.add_done_callback(heard.append)
    until(lambda: server.open_streams == 1)

    until(lambda: server.tell(completed(done(1))) or heard)

    assert one.result(timeout=10) == 5
    assert "my own fault" in caplog.text


def test_callback_may_wait_for_another_job(server: ScriptedServer, client: Client) -> None:
    server.records |= {"0-1": job(1), "0-2": done(2, result='"other"')}
    found: list[Any] = []
    one, other = handle(client, 1), handle(client, 2)
    one.add_done_callback(lambda _: found.append(other.result(timeout=10)))
    until(lambda: server.open_streams == 1)

    until(lambda: server.tell(completed(done(1))) or found)

    assert found[0] == "other"


def test_callback_keeps_the_handle_alive_until_then(server: ScriptedServer, client: Client) -> None:
    heard: list[str] = []
    handle(client, 1).add_done_callback(lambda ended: heard.append(ended.id))
    gc.collect()
    until(lambda: server.open_streams == 1)
    server.tell(snapshot(job(1, 2, "processing")))
    until(lambda: client.hub.tracker.version(("job", "0-1")) == 2)
    gc.collect()

    until(lambda: server.tell(completed(done(1))) or heard)

    assert heard == ["0-1"]
    assert client._kept == {}


def test_each_handle_of_a_job_has_its_own_callbacks(server: ScriptedServer, client: Client) -> None:
    heard: list[int] = []
    for number in range(3):
        handle(client, 1).add_done_callback(lambda _, number=number: heard.append(number))
    gc.collect()
    until(lambda: server.open_streams == 1)

    until(lambda: server.tell(completed(done(1))) or heard)

    until(lambda: sorted(heard) == [0, 1, 2])


def test_closing_the_client_tells_whoever_waits(server: ScriptedServer) -> None:
    client = connect(server.address)
    server.records["0-1"] = job(1)
    one = handle(client, 1)
    caught: list[Exception] = []
    one.add_done_callback(lambda _: caught.append(one._gone or AssertionError()))
    until(lambda: server.open_streams == 1)

    client.close()

    until(lambda: caught)
    assert isinstance(caught[0], JobsvcError)
    assert "the job goes on" in str(caught[0])
    with pytest.raises(RuntimeError, match="this client is closed"):
        one.refresh()
    assert "closed" in repr(client)


def test_submit_is_repeated_under_the_same_request_id(server: ScriptedServer, client: Client) -> None:
    server.refuse_submits = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAVAILABLE]

    made = client.submit("a.b", {"x": 1})

    assert made.id == "0-new"
    assert len(server.submits) == 3
    assert len({request.request_id for request in server.submits}) == 1
    assert len(server.submits[0].request_id) == 36


def test_submit_gives_up_after_its_time(server: ScriptedServer) -> None:
    server.refuse_submits = [grpc.StatusCode.UNAVAILABLE] * 100
    with connect(server.address, retry_for=0.3) as client:
        began = time.monotonic()

        with pytest.raises(JobsvcError, match="no jobsvc server answers"):
            client.submit("a.b")

    assert 0.05 < time.monotonic() - began < 5
    assert len(server.submits) > 1


def test_submit_refused_for_good_is_not_repeated(server: ScriptedServer, client: Client) -> None:
    server.refuse_submits = [grpc.StatusCode.INVALID_ARGUMENT] * 2

    with pytest.raises(JobsvcError):
        client.submit("a.b")

    assert len(server.submits) == 1


def test_server_that_restarts_is_found_again(client: Client, server: ScriptedServer) -> None:
    server.records["0-1"] = job(1)
    one = handle(client, 1)
    assert one.state == "queued"
    until(lambda: server.open_streams == 1)

    server.stop()
    second = ScriptedServer(server.port)
    try:
        second.records["0-1"] = done(1)
        second.stream = lambda request, context: iter([completed(done(1))])

        assert (
            one.result(timeout=15) == 5
        )  # over a new stream, or by asking when the old one ended in good order
    finally:
        second.stop()


def test_process_that_still_watches_ends_at_once_and_quietly(server: ScriptedServer) -> None:
    server.records["0-1"] = job(1)
    code = (
        "import time; from jobsvc_sdk import connect\n"
        f"job = connect({server.address!r}).job('0-1'); job.add_done_callback(print)\n"
        "while not job.client.hub.is_live(('job', '0-1')): time.sleep(0.01)\n"
        "print(job)"
    )
    began = time.monotonic()

    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=30
    )

    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", "<Job a.b 0-1 queued>\n")
    assert time.monotonic() - began < 10


def test_forked_process_gets_a_connection_of_its_own(server: ScriptedServer) -> None:
    server.records["0-1"] = done(1)
    live = server.stream
    server.stream = lambda request, context: (
        live(request, context) if len(server.streams) == 1 else iter([completed(done(2))])
    )
    code = (
        "import os; from jobsvc_sdk import Job, connect; from jobsvc_sdk.values import JobStatus\n"
        f"client = connect({server.address!r})\n"
        "print(client.job('0-1').result(), flush=True)\n"
        "job = Job(client, JobStatus('0-2')); job._watch()\n"
        "while not client.hub.is_live(('job', '0-2')): pass\n"
        "if os.fork() == 0:\n"
        "    print(job.result(timeout=10), flush=True); os._exit(0)\n"
        "os.wait()"
    )

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)

    assert ended.stdout.split() == ["5", "5"]
