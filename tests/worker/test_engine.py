"""The slots and their keeper in this process: surprises, lost answers, stops before a beginning."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from jobsvc.model.catalog import WorkerInfo
from jobsvc.model.lifecycle import JobState
from jobsvc.store import calls, scripts
from jobsvc.worker.context import current_job
from jobsvc.worker.engine import Engine, Lane
from jobsvc.worker.keeper import Keeper
from tests.store.bench import Bench
from tests.store.proxy import Proxy
from tests.waiting import until
from tests.worker.parts import engine, proxied_store, submit


def test_jobs_whose_claim_was_answered_too_late_are_given_back(bench: Bench, proxy: Proxy) -> None:
    """The answer to a claim is lost, and the worker is told to stop before it can ask again."""
    store = proxied_store(bench, proxy)
    bench.redis.script_load(scripts.load("exchange").body)
    with engine(store, 2, run=lambda name: None) as made:
        until(lambda: bench.redis.client_list(_type="normal"))
        proxy.lose_answers(scripts.load("exchange").digest, times=2)
        ids = submit(bench, "run", 2)
        until(lambda: proxy.lost == 2)
        made._stopping.set()

    jobs = [bench.job(job_id) for job_id in ids]
    assert {job.state for job in jobs} <= {JobState.QUEUED, JobState.COMPLETED}
    assert [job.lost_attempts for job in jobs] == [0, 0]
    store.close()


def test_surprises_end_no_slot(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with engine(bench.store, 2, run=lambda name: name) as made:
        real = made._exchange
        surprises = iter([ValueError("one"), KeyError("two"), RuntimeError("three")])

        def exchange(want: int, lane: Lane | None = None) -> None:
            for surprise in surprises:
                raise surprise
            real(want, lane)

        monkeypatch.setattr(made, "_exchange", exchange)
        ids = submit(bench, "run", 20)
        until(lambda: all(bench.state(job_id) is JobState.COMPLETED for job_id in ids))
        assert all(thread.is_alive() for thread in made._threads)


def test_surprise_in_an_attempt_fails_it_and_not_the_slot(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobsvc.worker.isolation.ThreadRunner.run", lambda *_: 1 / 0)
    with engine(bench.store, 1, run=lambda name: name):
        ids = submit(bench, "run", 3)
        until(lambda: all(bench.state(job_id) is JobState.SCHEDULED for job_id in ids))

    error = bench.job(ids[0]).error
    assert error is not None
    assert (error.category.value, error.retryable) == ("internal", True)
    assert "division by zero" in error.message


def test_no_exchange_waits_for_a_slot_while_nothing_is_left_to_report(bench: Bench) -> None:
    """An idle slot beside a long job neither spins nor sleeps through a marker."""
    gate = threading.Event()
    with engine(bench.store, 2, long=lambda name: gate.wait(20), short=lambda name: None) as made:
        submit(bench, "long", 1)
        until(lambda: made.busy == 1)
        before = made._requests
        ids = submit(bench, "short", 50)
        until(lambda: all(bench.state(job_id) is JobState.COMPLETED for job_id in ids))

        assert made._requests - before < 150
        gate.set()


def keeper(bench: Bench, made: Engine) -> Keeper:
    worker = WorkerInfo(id="w", hostname="h", pid=1, queues=("q",), types=(), slots=1, start_ms=1)
    return Keeper(bench.store, made, worker, [], lease_ms=1_000, grace_s=0.1)


def test_keeper_survives_surprises(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with engine(bench.store, 1, run=lambda name: name) as made:
        surprises = iter([ValueError("one"), KeyError("two")])
        real = made.give_back

        def give_back(older_than_s: float) -> None:
            for surprise in surprises:
                raise surprise
            real(older_than_s)

        monkeypatch.setattr(made, "give_back", give_back)
        kept = keeper(bench, made)
        kept.start()
        until(lambda: next(surprises, None) is None)
        before = bench.run(calls.worker_heartbeats(bench.keys))
        until(lambda: bench.run(calls.worker_heartbeats(bench.keys)) != before)
        kept.stop()

    assert bench.run(calls.worker_heartbeats(bench.keys)) == {}


def test_attempt_whose_lease_was_lost_before_it_began_does_not_run(bench: Bench) -> None:
    ran: list[str] = []
    gate = threading.Event()

    def long(name: str) -> None:
        ran.append(name)
        gate.wait(20)

    with engine(bench.store, 1, long=long) as made:
        made._mean_ms = 0.1  # as after many short jobs: it takes some along
        first, *others = submit(bench, "long", 4)
        until(lambda: ran)
        with made._exchanging:
            made._exchange(3)
        kept = keeper(bench, made)
        for job_id in others:
            bench.expire(job_id)
        bench.sweep()
        kept._renew()
        gate.set()
        until(lambda: bench.state(first) is JobState.COMPLETED)
        until(lambda: made.busy == 0 or len(ran) >= 4)
        until(lambda: all(bench.state(job_id) is JobState.COMPLETED for job_id in others))

    assert Counter(ran) == Counter(
        [first, *others]
    )  # each once: the lost ones ran in their second attempt only
    assert {bench.job(job_id).attempt for job_id in others} == {2}


def test_attempt_cancelled_before_it_began_does_not_run(bench: Bench) -> None:
    ran: list[str] = []
    gate = threading.Event()

    def long(name: str) -> None:
        ran.append(name)
        gate.wait(20)

    with engine(bench.store, 1, long=long) as made:
        first, second = submit(bench, "long", 2)
        until(lambda: ran)
        with made._exchanging:
            made._exchange(1)
        assert bench.cancel(second) == ["requested"]
        kept = keeper(bench, made)
        kept._renew()
        gate.set()
        until(lambda: bench.state(second) is JobState.CANCELLED)

    assert ran == [first]
    cancel = bench.job(second).cancel
    assert cancel is not None
    assert cancel.deliver_ms > 0


def test_current_job_is_gone_after_an_attempt(bench: Bench) -> None:
    seen: list[object] = []

    def look(name: str) -> None:
        seen.append(current_job().id)

    with engine(bench.store, 1, look=look):
        (job_id,) = submit(bench, "look", 1)
        until(lambda: bench.state(job_id) is JobState.COMPLETED)

    assert seen == [job_id]
    assert current_job(default=None) is None
