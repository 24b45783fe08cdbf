"""Settings of queues, and the gates that they make in claims."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobsvc.model.errors import EtagMismatch, QueueFull
from jobsvc.model.job import NewBatch, Priority
from jobsvc.model.lifecycle import Outcome
from jobsvc.model.queue import Queue, QueueSettings, RateLimit, Retention
from jobsvc.store import calls
from jobsvc.store.calls.queues import FIELDS
from jobsvc.store.store import Store
from tests.store.bench import Bench

_namespaces = itertools.count(1)

EVERYTHING = QueueSettings(
    max_concurrency=3,
    max_concurrency_per_worker=2,
    rate=RateLimit(20, 60_000, 2.5),
    max_waiting=9,
    timeout_ms=5_000,
    priority=Priority.HIGH,
    max_attempts=4,
    backoff_ms=10,
    max_backoff_ms=100,
    completed=Retention(1_000, 5),
    failed=Retention(0, 7),
    cancelled=Retention(2_000, 0),
)


def update(bench: Bench, queue: str = "q", *, etag: str = "", how: Any = "update", **values: Any) -> Queue:
    return bench.run(calls.configure(queue, QueueSettings(**values), list(values), how=how, etag=etag))


def fill(bench: Bench, count: int, queue: str = "q") -> None:
    for _ in range(count):
        bench.submit(queue=queue)


def test_settings_come_back_as_they_went(bench: Bench) -> None:
    names = list(FIELDS)

    first, second = bench.twice(calls.configure("q", EVERYTHING, names, how="update"))

    assert first.settings == second.settings == EVERYTHING
    assert (first.etag, second.etag) == ("1", "1")
    assert bench.run(calls.read_queue_settings(bench.keys, "q")) == first
    nothing = bench.run(calls.configure("q", QueueSettings(), names, how="update"))
    assert nothing.settings == QueueSettings()
    assert nothing.etag == "2"


def test_update_with_an_old_etag_changes_nothing(bench: Bench) -> None:
    old = update(bench, max_concurrency=3).etag
    update(bench, max_waiting=1, etag=old)

    with pytest.raises(EtagMismatch, match="read it again"):
        update(bench, max_concurrency=9, etag=old)

    assert bench.run(calls.read_queue_settings(bench.keys, "q")).settings.max_concurrency == 3


def test_declared_settings_do_not_replace_updated_ones(bench: Bench) -> None:
    update(bench, how="declare", max_concurrency=3, max_waiting=5)
    update(bench, max_concurrency=8)
    update(bench, how="declare", max_concurrency=4, max_waiting=6)

    settings = bench.run(calls.read_queue_settings(bench.keys, "q")).settings

    assert (settings.max_concurrency, settings.max_waiting) == (8, 6)


def test_paused_queue_starts_nothing_and_resume_wakes(bench: Bench) -> None:
    fill(bench, 2)
    running = bench.claim_one()
    paused, _ = bench.twice(calls.pause("q", "lunch"))
    bench.woken()

    assert (paused.paused, paused.pause_reason) == (True, "lunch")
    assert bench.claim(5) == []
    assert bench.finish(running) == "ok"
    fill(bench, 1)
    bench.woken()
    resumed, _ = bench.twice(calls.resume("q"))
    assert (resumed.paused, resumed.pause_reason) == (False, "")
    assert bench.woken()
    assert len(bench.claim(5)) == 2


def test_no_more_run_at_once_than_the_limit_over_all_workers(bench: Bench) -> None:
    update(bench, max_concurrency=3)
    fill(bench, 6)
    bench.woken()

    first = bench.claim(2, worker="w1")
    assert bench.woken()  # the baton: there is room for another one
    second = bench.claim(5, worker="w2")

    assert (len(first), len(second)) == (2, 1)
    assert bench.claim(1, worker="w3") == []
    assert not bench.woken()


@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.FAILED, Outcome.RELEASED, Outcome.RETRIED])
def test_end_of_a_job_lets_the_next_one_start(bench: Bench, outcome: Outcome) -> None:
    update(bench, max_concurrency=1)
    fill(bench, 3)
    claim = bench.claim_one()
    bench.woken()

    bench.finish(claim, outcome, "{}", delay_ms=60_000 if outcome is Outcome.RETRIED else 0)

    assert bench.woken()
    assert len(bench.claim(5)) == 1


def test_lost_job_lets_the_next_one_start(bench: Bench) -> None:
    update(bench, max_concurrency=1)
    bench.submit("a", max_lost_attempts=1)
    for _ in range(2):
        bench.claim_one()
        bench.expire("a")
        bench.sweep()
    fill(bench, 1)
    bench.woken()

    assert len(bench.claim(5)) == 1


def test_raised_limit_wakes_and_holds_at_once(bench: Bench) -> None:
    update(bench, max_concurrency=1)
    fill(bench, 4)
    bench.claim(4)
    bench.woken()

    update(bench, max_concurrency=3)

    assert bench.woken()
    assert len(bench.claim(4)) == 2


def test_limit_per_worker_holds_back_that_worker_alone(bench: Bench) -> None:
    update(bench, max_concurrency_per_worker=2)
    fill(bench, 6)
    bench.submit("other", queue="p")

    mine = bench.exchange(want=4, worker="w1", queues=["q", "p"])
    again = bench.exchange(want=4, worker="w1", queues=["q", "p"])
    theirs = bench.exchange(want=4, worker="w2", queues=["q", "p"])

    assert Counter(claim.queue for claim in mine.claims) == {"q": 2, "p": 1}
    assert (again.claims, again.full) == ([], {"q"})
    assert bench.woken("q")  # another worker may have room
    assert [claim.queue for claim in theirs.claims] == ["q", "q"]
    for claim in mine.claims[:1]:
        bench.finish(claim)
    assert len(bench.claim(4, worker="w1")) == 1


def test_limit_per_worker_counts_what_runs_when_it_is_set_and_what_is_lost(bench: Bench) -> None:
    fill(bench, 6)
    running = bench.claim(2, worker="w1")
    update(bench, max_concurrency_per_worker=2)

    assert bench.claim(4, worker="w1") == []
    bench.expire(running[0].job_id)
    bench.sweep()
    assert len(bench.claim(4, worker="w1")) == 1
    bench.finish(running[1])
    update(bench, max_concurrency_per_worker=0)
    assert len(bench.claim(1, worker="w1")) == 1
    assert not bench.redis.exists(bench.keys.queue("q", "held"))


def test_rate_limit_says_when_the_next_may_start(bench: Bench) -> None:
    update(bench, rate=RateLimit(10, 60_000, 3))
    fill(bench, 9)
    bench.woken()

    answer = bench.exchange(want=9)
    blocked = bench.exchange(want=9)

    assert len(answer.claims) == 3
    assert blocked.claims == []
    assert blocked.due_in_ms is not None
    assert 0 < blocked.due_in_ms <= 6_000
    assert not bench.woken()
    bench.redis.delete(bench.keys.queue("q", "tat"))  # as much time has passed as it takes
    assert len(bench.exchange(want=9).claims) == 3


@given(
    units=st.integers(1, 50),
    per_ms=st.integers(20, 2_000),
    burst=st.integers(1, 10),
    wants=st.lists(st.integers(0, 12), min_size=1, max_size=25),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_window_has_more_starts_than_burst_and_rate_allow(
    redis_url: tuple[str, str], units: int, per_ms: int, burst: int, wants: list[int]
) -> None:
    client = redis.Redis.from_url(redis_url[0], decode_responses=True)
    bench = Bench(Store(redis_url[0], f"{redis_url[1]}.{next(_namespaces)}"), client)
    try:
        update(bench, rate=RateLimit(units, per_ms, burst))
        fill(bench, 60)
        starts = []
        for want in wants:
            before = bench.now_ms()
            starts += [(before, bench.now_ms() + 1)] * len(bench.claim(want) if want else [])
        for first in range(len(starts)):
            for last in range(first, len(starts)):
                window_ms = starts[last][1] - starts[first][0]
                assert last - first + 1 <= burst + units * window_ms / per_ms + 1e-6
        assert all(a <= b for a, b in pairwise(starts))
    finally:
        bench.close()


def test_full_queue_refuses_jobs_and_takes_them_again_when_there_is_room(bench: Bench) -> None:
    update(bench, max_waiting=2)
    bench.submit("a")
    bench.submit("b", delay_ms=60_000)

    with pytest.raises(QueueFull) as refused:
        bench.submit("c")

    assert refused.value.facts == {"queue": "q", "max_waiting": "2"}
    assert bench.find("c") is None
    assert not bench.submit("a").created  # a repeat is answered as before
    bench.submit("elsewhere", queue="p")
    bench.claim_one()
    assert bench.submit("c").created


def test_batch_that_does_not_fit_stays_staged(bench: Bench) -> None:
    update(bench, max_waiting=2)
    batch = NewBatch(id="b")
    for call in calls.stage(batch, 3, list(enumerate(bench.items("b", 3)))):
        bench.run(call)

    with pytest.raises(QueueFull):
        bench.run(calls.commit("b"))

    assert bench.run(calls.read_batch("b")) is None
    assert bench.run(calls.abort("b"))
    assert bench.redis.keys(f"{bench.keys.tag}:job:*") == []


def test_queue_without_settings_has_none(bench: Bench) -> None:
    queue = bench.run(calls.read_queue_settings(bench.keys, "q"))

    assert queue == Queue(name="q")
    assert replace(queue.settings, max_waiting=1) != QueueSettings()
