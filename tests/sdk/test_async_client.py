"""The asynchronous client through a real server and a real worker."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jobsvc_sdk import AsyncClient, AsyncJob
from jobsvc_sdk.errors import BatchRejected, JobCancelled, JobFailed, NotFound, ParamError


async def do(client: AsyncClient, *steps: list[Any], **options: Any) -> AsyncJob:
    return await client.submit("test.do_in_thread", {"steps": list(steps)}, **options)


async def test_job_gives_its_result(live_async: AsyncClient) -> None:
    job = await do(live_async, ["ok", {"n": 1}])

    assert await job == {"n": 1}
    assert (job.state, job.done()) == ("completed", True)
    assert repr(job) == f"<AsyncJob test.do_in_thread {job.id} completed>"
    assert await (await live_async.job(job.id)).result() == {"n": 1}


async def test_many_jobs_are_awaited_together(live_async: AsyncClient) -> None:
    jobs = await asyncio.gather(*(do(live_async, ["ok", number]) for number in range(20)))

    assert await asyncio.gather(*jobs) == list(range(20))


async def test_failed_job_raises_with_the_workers_traceback(live_async: AsyncClient) -> None:
    job = await do(live_async, ["fail", "bad"], max_attempts=1)

    with pytest.raises(JobFailed, match="bad") as caught:
        await job.result(timeout=30)

    assert "tests/handlers.py" in caught.value.remote_traceback
    assert isinstance(await job.exception(), JobFailed)


async def test_job_is_cancelled(live_async: AsyncClient) -> None:
    job = await do(live_async, ["ok"], delay=3600)

    assert await job.cancel("enough")

    with pytest.raises(JobCancelled, match="enough"):
        await job


async def test_logs_are_followed(live_async: AsyncClient) -> None:
    job = await do(live_async, ["logs", 3])

    assert [line.text async for line in job.follow_logs()] == ["line 1", "line 2", "line 3"]
    assert len(await job.logs()) == 3


async def test_batch_gives_results_as_they_come_and_in_order(live_async: AsyncClient) -> None:
    batch = await live_async.map("test.do_in_thread", [{"steps": [["ok", number]]} for number in range(15)])

    seen = [await job async for job in batch.as_completed(timeout=60)]

    assert sorted(seen) == list(range(15))
    assert await batch == list(range(15))
    found = await live_async.batch(batch.id)
    assert await found.results(timeout=30) == list(range(15))
    assert found.counts["completed"] == 15
    assert len(await found.to_frame()) == 15
    assert (await found.cancel()).already_finished == 15
    assert await found.list_jobs("failed") == []


async def test_typed_calls_are_checked(live_async: AsyncClient) -> None:
    types = await live_async.types()

    job = await types.test.do_in_thread(steps=[["ok", 5]])

    assert await job == 5
    with pytest.raises(ParamError, match="steps: is missing"):
        await types.test.do_in_thread()
    with pytest.raises(BatchRejected, match="item 0: steps"):
        await live_async.map(types.test.do_in_thread, [{}])


async def test_lists_and_errors(live_async: AsyncClient) -> None:
    job = await do(live_async, ["ok"], delay=3600)

    assert job.id in {one.id for one in await live_async.jobs(state="scheduled")}
    assert "test" in {queue.name for queue in await live_async.queues()}
    assert (await live_async.server_info()).worker_count == 1
    await job.cancel()
    with pytest.raises(NotFound):
        await live_async.job("0-0000000000000000")
