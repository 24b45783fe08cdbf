"""Start deadlines: what has not started by then is cancelled, whoever looks."""

from __future__ import annotations

import pytest

from jobsvc.model.lifecycle import JobState, Outcome
from jobsvc.store import calls
from tests.store.bench import Bench

SOON_MS = 60_000


def pass_deadline(bench: Bench, job_id: str) -> None:
    """Let the start deadline of a job pass now."""
    bench.redis.hset(bench.keys.job(job_id), "expire_ms", 1)
    bench.redis.zadd(bench.keys.queue("q", "deadlines"), {job_id: 1}, xx=True)


def deadlines(bench: Bench) -> list[str]:
    found: list[str] = bench.redis.zrange(bench.keys.queue("q", "deadlines"), 0, -1)
    return found


def submit(bench: Bench, job_id: str, **options: int) -> None:
    bench.submit(job_id, expire_ms=bench.now_ms() + SOON_MS, **options)


@pytest.mark.parametrize("delay_ms", [0, 30_000])
def test_sweep_cancels_what_did_not_start(bench: Bench, delay_ms: int) -> None:
    submit(bench, "a", delay_ms=delay_ms)
    submit(bench, "b")
    pass_deadline(bench, "a")

    bench.sweep()
    bench.sweep()

    job = bench.job("a")
    assert (job.state, job.attempt, job.cancel) == (JobState.CANCELLED, 0, None)
    assert job.error is not None
    assert (job.error.code, job.error.category.value) == ("EXPIRED", "cancelled")
    assert bench.state("b") is JobState.QUEUED
    assert deadlines(bench) == ["b"]
    assert bench.run(calls.counts(["q"]))[1][0].ever == {"cancelled": 1}


def test_claim_passes_over_what_has_expired_and_takes_the_next(bench: Bench) -> None:
    submit(bench, "a")
    submit(bench, "b")
    pass_deadline(bench, "a")

    assert [claim.job_id for claim in bench.claim(1)] == ["b"]
    assert bench.state("a") is JobState.CANCELLED
    assert deadlines(bench) == []


@pytest.mark.parametrize("outcome", [Outcome.RETRIED, Outcome.RELEASED])
def test_job_that_has_started_does_not_expire_any_more(bench: Bench, outcome: Outcome) -> None:
    submit(bench, "a")
    claim = bench.claim_one()
    bench.finish(claim, outcome, "{}", delay_ms=0)
    bench.redis.hset(bench.keys.job("a"), "expire_ms", 1)

    bench.sweep()

    assert bench.state("a") in (JobState.QUEUED, JobState.SCHEDULED)


@pytest.mark.parametrize("end", ["cancel", "remove"])
def test_deadline_goes_with_its_job(bench: Bench, end: str) -> None:
    submit(bench, "a")

    if end == "cancel":
        bench.cancel("a")
    else:
        bench.run(calls.remove(["a"], JobState.QUEUED))

    assert deadlines(bench) == []


def test_jobs_of_a_batch_expire_and_the_batch_ends(bench: Bench) -> None:
    jobs = [
        bench.new(f"b.{number}", expire_ms=bench.now_ms() + SOON_MS, delay_ms=number * 1_000)
        for number in range(2)
    ]
    bench.batch("b", jobs)
    assert sorted(deadlines(bench)) == ["b.0", "b.1"]
    for job in jobs:
        pass_deadline(bench, job.id)

    bench.sweep()

    batch = bench.read_batch("b")
    assert batch.terminal
    assert batch.counts[JobState.CANCELLED] == 2


def test_released_job_counts_no_attempt_and_has_no_deadline(bench: Bench) -> None:
    submit(bench, "a")
    bench.finish(bench.claim_one(), Outcome.RELEASED)
    bench.redis.hset(bench.keys.job("a"), "expire_ms", 1)

    assert [claim.job_id for claim in bench.claim(1)] == ["a"]
