"""The asynchronous client over streams that break. What both clients share is tested with threads."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator, Callable, Iterator

import grpc
import pytest

from jobsvc_proto.v1 import job_service_pb2 as pb
from jobsvc_sdk import AsyncClient, AsyncJob, connect_async
from jobsvc_sdk.errors import NotFound, ServerUnavailable
from jobsvc_sdk.values import JobStatus
from tests.sdk.scripted import ScriptedServer, completed, done, job, job_ids, say, snapshot


async def until(look: Callable[[], object], timeout_s: float = 15) -> None:
    async with asyncio.timeout(timeout_s):
        while not look():
            await asyncio.sleep(0.01)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    yield scripted
    scripted.stop()


@pytest.fixture
async def client(server: ScriptedServer) -> AsyncIterator[AsyncClient]:
    async with await connect_async(server.address, retry_for=2) as made:
        yield made


def handle(client: AsyncClient, number: int) -> AsyncJob:
    return AsyncJob(client, JobStatus(f"0-{number}", "a.b"))


async def test_awaited_job_gives_its_result_over_a_break(server: ScriptedServer, client: AsyncClient) -> None:
    server.records["0-1"] = job(1)
    waiting = asyncio.ensure_future(handle(client, 1).result())
    await until(lambda: server.open_streams == 1)

    server.tell(say(progress=pb.ProgressUpdate(job_id="0-1", version=4)), grpc.StatusCode.UNAVAILABLE)
    await until(lambda: len(server.streams) == 2 and server.open_streams == 1)
    await until(lambda: server.tell(completed(done(1))) or waiting.done())

    assert await waiting == 5
    assert server.latest.targets[0].known_version == 4


async def test_jobs_added_later_join_the_stream(server: ScriptedServer, client: AsyncClient) -> None:
    first = asyncio.ensure_future(handle(client, 1).result())
    await until(lambda: server.open_streams == 1)
    others = [asyncio.ensure_future(handle(client, number).result()) for number in range(2, 30)]

    await until(lambda: len(job_ids(server.latest)) == 29 and server.open_streams == 1)
    await until(
        lambda: (
            server.tell(*[completed(done(number)) for number in range(1, 30)])
            or all(it.done() for it in others)
        )
    )

    assert await asyncio.gather(first, *others) == [5] * 29


async def test_cancelled_task_stops_waiting_and_says_that_the_job_goes_on(
    server: ScriptedServer, client: AsyncClient
) -> None:
    waiting = asyncio.ensure_future(handle(client, 1).result())
    await until(lambda: server.open_streams == 1)

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError) as caught:
        await waiting
    assert "it goes on" in caught.value.__notes__[0]


async def test_timeout_cancels_nothing(server: ScriptedServer, client: AsyncClient) -> None:
    one = handle(client, 1)

    with pytest.raises(TimeoutError, match=r"a\.b 0-1 is still queued after 0\.05 s and goes on"):
        await one.result(timeout=0.05)

    await until(lambda: server.open_streams == 1)
    waiting = asyncio.ensure_future(one.result())
    await until(lambda: server.tell(completed(done(1))) or waiting.done())
    assert await waiting == 5


async def test_job_that_does_not_exist_is_told(server: ScriptedServer, client: AsyncClient) -> None:
    server.stream = lambda request, context: iter([snapshot(missing_ids=job_ids(request))])

    with pytest.raises(NotFound, match="0-1"):
        await handle(client, 1)
    with pytest.raises(NotFound):
        await client.job("0-7")


async def test_no_server_is_told_at_once() -> None:
    with pytest.raises(ServerUnavailable, match="jobsvc dev"):
        await connect_async("127.0.0.1:1")


async def test_client_that_is_closed_leaves_no_task(server: ScriptedServer) -> None:
    before = asyncio.all_tasks()
    client = await connect_async(server.address)
    handle(client, 1).add_done_callback(lambda _: None)
    await until(lambda: server.open_streams == 1)

    await client.close()

    await until(lambda: asyncio.all_tasks() == before)
    assert repr(client) == f"<AsyncClient {server.address}, closed>"


def test_loop_that_ends_with_a_client_open_leaves_no_noise(server: ScriptedServer) -> None:
    async def main() -> None:
        client = await connect_async(server.address)
        waiting = asyncio.ensure_future(handle(client, 1).result())
        await until(lambda: server.open_streams == 1)
        waiting.cancel()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main())
        gc.collect()
