"""Periodic duties on a real Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobsvc.config import Settings, load
from jobsvc.embedded import EmbeddedValkey
from jobsvc.model.catalog import WorkerInfo
from jobsvc.model.errors import JobsvcError
from jobsvc.model.job import NewBatch, NewJob
from jobsvc.model.lifecycle import JobState
from jobsvc.scheduler import abandoned, duties, workers
from jobsvc.scheduler.abandoned import Abandoned
from jobsvc.scheduler.duties import Caretaker
from jobsvc.scheduler.sweeping import Sweeping
from jobsvc.scheduler.workers import ForgetWorkers
from jobsvc.store import calls
from jobsvc.store.async_store import AsyncStore
from jobsvc.store.calls import Claim


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey(tmp_path / "valkey") as valkey:
        yield valkey


class Counting:
    """A duty that counts its ticks."""

    name = "counting"

    def __init__(self, every_s: float = 0.0, error: JobsvcError | None = None) -> None:
        self.every_s = every_s
        self.ticks = 0
        self.error = error

    async def tick(self, store: AsyncStore) -> None:
        self.ticks += 1
        if self.error is not None:
            raise self.error


def job(job_id: str, **options: Any) -> NewJob:
    return NewJob(id=job_id, type="test.do", queue="q", arguments="{}", **options)


async def claim(store: AsyncStore, *, lease_ms: int = 60_000, request: str = "r1") -> Claim:
    exchange = calls.exchange("w1", request, lease_ms=lease_ms, reports=[], want=1, queues=["q"])
    [claimed] = (await store.run(exchange)).claims
    return claimed


async def state(store: AsyncStore, job_id: str) -> JobState | None:
    [found] = await store.read([job_id])
    return found.state if found else None


async def until(look: Any, timeout_s: float = 10) -> Any:
    async with asyncio.timeout(timeout_s):
        while not (found := await look()):
            await asyncio.sleep(0.01)
    return found


async def backdate(store: AsyncStore, key: str, member: str, by_ms: int) -> None:
    """Make something older than it is."""
    await store.run(calls.Call(None, ("ZINCRBY", key, -by_ms, member), str))


async def test_sweep_makes_due_jobs_ready_and_takes_jobs_of_dead_workers_back(store: AsyncStore) -> None:
    await store.run(calls.submit(job("later", delay_ms=30)))
    await store.run(calls.submit(job("lost")))
    await claim(store, lease_ms=30)
    sweeping = Sweeping()

    async def swept() -> bool:
        await sweeping.tick(store)
        return {await state(store, "later"), await state(store, "lost")} == {JobState.QUEUED}

    await until(swept)
    [lost] = await store.read(["lost"])
    assert lost is not None
    assert lost.lost_attempts == 1


async def test_sweep_goes_on_in_one_tick_while_there_is_more(store: AsyncStore) -> None:
    items = [(n, job(f"b.{n}", delay_ms=1)) for n in range(450)]
    await store.submit_batch(NewBatch(id="b"), 450, items, all_or_nothing=True)
    due = await store.run(calls.clock()) + 5

    async def is_due() -> bool:
        return await store.run(calls.clock()) > due

    await until(is_due)

    await Sweeping().tick(store)

    batch = await store.run(calls.read_batch("b"))
    assert batch is not None
    assert batch.counts[JobState.QUEUED] == 450


def settings(**options: Any) -> Settings:
    return load(redis_url="redis://unused", **options)


async def test_batch_that_was_never_finished_is_taken_back(store: AsyncStore) -> None:
    for batch_id in ("old", "young"):
        for call in calls.stage(NewBatch(id=batch_id), 1, [(0, job(f"{batch_id}.0"))]):
            await store.run(call)
    await backdate(store, f"{store.keys.tag}:staging", "old", abandoned.AFTER_MS + 1_000)

    await Abandoned().tick(store)

    left = await store.run(calls.abandoned(store.keys, before_ms=10**15))
    assert left == ["young"]


async def test_workers_that_are_silent_for_long_are_forgotten(store: AsyncStore) -> None:
    for name in ("dead", "alive"):
        worker = WorkerInfo(id=name, hostname="h", pid=1, queues=(), types=(), slots=1, start_ms=0)
        await store.run(calls.renew(worker, lease_ms=1_000, held=[]))
    await backdate(store, store.keys.workers, "dead", workers.AFTER_MS + 1_000)

    await ForgetWorkers().tick(store)

    assert list(await store.run(calls.worker_heartbeats(store.keys))) == ["alive"]


async def test_duties_are_done_by_one_at_a_time_and_taken_over(
    store: AsyncStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duties, "LEASE_MS", 200)
    first, second = Counting(), Counting()
    one, other = Caretaker(store, [first], "one"), Caretaker(store, [second], "other")

    assert [await one.tick(), await other.tick(), await one.tick()] == [True, False, True]
    await until(other.tick)

    assert not await one.tick()
    assert first.ticks == 2
    assert second.ticks == 1


async def test_duty_is_not_done_more_often_than_it_wants(store: AsyncStore) -> None:
    often, seldom = Counting(0.0), Counting(60.0)
    seldom.name = "seldom"
    caretaker = Caretaker(store, [often, seldom])

    for _ in range(3):
        await caretaker.tick()

    assert (often.ticks, seldom.ticks) == (3, 1)


async def test_duty_that_fails_does_not_keep_the_others_from_their_work(store: AsyncStore) -> None:
    broken, fine = Counting(error=JobsvcError("broken")), Counting()
    broken.name = "broken"

    assert await Caretaker(store, [broken, fine]).tick()

    assert fine.ticks == 1


async def test_duties_go_on_when_redis_is_back(own_valkey: EmbeddedValkey) -> None:
    store = AsyncStore(own_valkey.url, "duties")
    counting = Counting()
    caretaker = Caretaker(store, [counting])
    assert await caretaker.tick()
    own_valkey.stop()

    assert not await caretaker.tick()
    own_valkey.start()

    await until(caretaker.tick)
    assert counting.ticks == 2
    await store.close()


async def test_run_does_the_duties_until_cancelled(store: AsyncStore) -> None:
    await store.run(calls.submit(job("later", delay_ms=20)))
    running = asyncio.create_task(duties.run(store, settings()))

    async def ready() -> bool:
        return await state(store, "later") is JobState.QUEUED

    await until(ready)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
