"""Which finished jobs are kept, and for how long."""

from __future__ import annotations

from typing import Any

import pytest

from jobsvc.model.job import NewBatch
from jobsvc.model.lifecycle import Outcome
from jobsvc.model.queue import QueueSettings
from jobsvc.model.queue import Retention as Kept
from jobsvc.scheduler import retention
from jobsvc.scheduler.retention import Retention
from jobsvc.store import calls
from jobsvc.store.async_store import AsyncStore
from jobsvc.store.calls import Report
from tests.scheduler.test_duties import backdate, claim, job, settings, state

HOUR_MS = 3_600_000


async def cancelled(store: AsyncStore, *names: str, age_ms: int) -> None:
    """Make jobs that were cancelled so long ago."""
    for name in names:
        await store.run(calls.submit(job(name)))
    await store.run(calls.cancel(names))
    for name in names:
        await backdate(store, store.keys.queue("q", "cancelled"), name, age_ms)


async def kept(store: AsyncStore, *names: str) -> list[str]:
    """Return those that still exist."""
    return [name for name in names if await state(store, name)]


async def configure(store: AsyncStore, **values: Any) -> None:
    """Give the queue settings."""
    await store.run(calls.configure("q", QueueSettings(**values), list(values), how="update"))


@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.FAILED, Outcome.CANCELLED])
async def test_retention_removes_old_jobs_and_keeps_young_ones(store: AsyncStore, outcome: Outcome) -> None:
    for name in ("old", "young"):
        await store.run(calls.submit(job(name)))
        claimed = await claim(store, request=name)
        report = Report(claimed.job_id, claimed.token, outcome)
        await store.run(calls.exchange("w1", f"{name}2", lease_ms=1, reports=[report], want=0, queues=[]))
    hour = 3_600_000
    await backdate(store, store.keys.queue("q", outcome.value), "old", 2 * hour)
    await backdate(store, store.keys.queue("q", outcome.value), "young", hour // 2)

    await Retention(settings(**{f"retention_{outcome.value}": "1h"})).tick(store)

    assert await state(store, "old") is None
    assert await state(store, "young") is not None


async def test_retention_removes_many_in_one_tick(store: AsyncStore) -> None:
    items = [(n, job(f"b.{n}")) for n in range(450)]
    await store.submit_batch(NewBatch(id="b"), 450, items, all_or_nothing=True)
    await store.run(calls.cancel([f"b.{n}" for n in range(450)]))
    for number in range(450):
        await backdate(store, store.keys.queue("q", "cancelled"), f"b.{number}", 48 * 3_600_000)

    await Retention(settings()).tick(store)

    _, [counts] = await store.run(calls.counts(["q"]))
    assert counts.cancelled == 0
    assert await store.run(calls.read_batch("b")) is None


async def test_surplus_goes_oldest_first_although_nothing_finishes(store: AsyncStore) -> None:
    for number, name in enumerate("abc"):
        await cancelled(store, name, age_ms=HOUR_MS - 1_000 * number)
    duty = Retention(settings(retention_cancelled_count=2))

    for _ in range(2):
        await duty.tick(store)
        assert await kept(store, *"abc") == ["b", "c"]


async def test_no_limit_takes_what_is_younger_than_ten_minutes(store: AsyncStore) -> None:
    await cancelled(store, "young", age_ms=calls.MIN_RETENTION_MS - 10_000)
    await cancelled(store, "old", age_ms=calls.MIN_RETENTION_MS + 10_000)

    await Retention(settings(retention_cancelled="1s")).tick(store)

    assert await kept(store, "young", "old") == ["young"]


async def test_settings_of_a_queue_come_before_those_of_all_queues(store: AsyncStore) -> None:
    await cancelled(store, "a", "b", age_ms=48 * HOUR_MS)
    await cancelled(store, "c", age_ms=HOUR_MS)
    duty = Retention(settings(retention_cancelled="1h"))
    await configure(store, cancelled=Kept(max_count=3))

    await duty.tick(store)
    assert await kept(store, *"abc") == ["a", "b", "c"]

    await configure(store, cancelled=Kept(max_age_ms=24 * HOUR_MS, max_count=3))
    await duty.tick(store)
    assert await kept(store, *"abc") == ["c"]


async def test_one_tick_does_a_bounded_part_and_the_next_goes_on(
    store: AsyncStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MAX_PURGES", 1)
    names = [f"j{number}" for number in range(450)]
    await cancelled(store, *names, age_ms=48 * HOUR_MS)
    duty = Retention(settings())
    left, pace = [], []

    for _ in range(3):
        await duty.tick(store)
        left.append((await store.run(calls.counts(["q"])))[1][0].cancelled)
        pace.append(duty.every_s)

    assert left == [250, 50, 0]
    assert pace == [retention.SOON_S, retention.SOON_S, retention.EVERY_S]


async def test_batch_that_runs_is_kept_and_keeps_nothing_else(
    store: AsyncStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MAX_PURGES", 1)
    items = [(number, job(f"b.{number}")) for number in range(301)]
    await store.submit_batch(NewBatch(id="b"), len(items), items, all_or_nothing=True)
    await store.run(calls.cancel([f"b.{number}" for number in range(300)]))
    for number in range(300):
        await backdate(store, store.keys.queue("q", "cancelled"), f"b.{number}", 72 * HOUR_MS)
    await cancelled(store, "other", age_ms=48 * HOUR_MS)
    duty = Retention(settings(retention_cancelled_count=1))

    for _ in range(2):
        await duty.tick(store)

    assert await kept(store, "b.0", "b.299", "other") == ["b.0", "b.299"]

    claimed = await claim(store)
    report = Report(claimed.job_id, claimed.token, Outcome.COMPLETED)
    await store.run(calls.exchange("w1", "end", lease_ms=1, reports=[report], want=0, queues=[]))
    for _ in range(3):
        await duty.tick(store)
    assert await kept(store, "b.0", "b.150", "b.300") == ["b.300"]
