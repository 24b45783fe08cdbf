"""Attempts that count for nothing: released and snoozed ones, and how often a job may be snoozed."""

from __future__ import annotations

from jobsvc.model.job import MAX_SNOOZES, ErrorCategory, JobError
from jobsvc.model.lifecycle import JobState, Outcome
from jobsvc.store import records
from jobsvc.store.calls import Report
from tests.store.bench import Bench

ERROR = JobError(ErrorCategory.APPLICATION, "jobsvc.Snooze", "too often", code="SNOOZED_TOO_OFTEN")


def test_released_and_snoozed_attempts_do_not_count(bench: Bench) -> None:
    bench.submit("a")
    bench.finish(bench.claim_one(), Outcome.RELEASED)
    bench.finish(bench.claim_one(), Outcome.SNOOZED, delay_ms=1_000)
    bench.make_due("a")
    bench.finish(bench.claim_one(), Outcome.RELEASED, delay_ms=1_000)
    bench.make_due("a")

    assert bench.claim_one().attempt == 1
    assert bench.job("a").attempts == ()


def test_job_that_is_snoozed_too_often_has_failed(bench: Bench) -> None:
    bench.submit("a")
    bench.redis.hset(bench.keys.job("a"), "snoozed", MAX_SNOOZES - 1)
    bench.finish(bench.claim_one(), Outcome.SNOOZED, records.dump_error(ERROR), delay_ms=1_000)
    assert bench.job("a").state is JobState.SCHEDULED
    bench.make_due("a")

    bench.finish(bench.claim_one(), Outcome.SNOOZED, records.dump_error(ERROR), delay_ms=1_000)

    job = bench.job("a")
    assert (job.state, job.error, job.attempt, job.snoozes) == (JobState.FAILED, ERROR, 1, MAX_SNOOZES + 1)
    assert [attempt.outcome for attempt in job.attempts] == [Outcome.FAILED]


def test_snoozed_job_that_was_cancelled_is_not_called_failed(bench: Bench) -> None:
    bench.submit("a")
    claim = bench.claim_one()
    bench.cancel("a")

    bench.finish(claim, Outcome.SNOOZED, records.dump_error(ERROR), delay_ms=1_000)

    job = bench.job("a")
    assert (job.state, job.error, job.snoozes) == (JobState.CANCELLED, None, 0)


def test_repeated_report_of_a_snooze_is_counted_once(bench: Bench) -> None:
    bench.submit("a")
    report = Report("a", bench.claim_one().token, Outcome.SNOOZED, 1_000, records.dump_error(ERROR))

    replies = [bench.exchange(report).replies[0] for _ in range(2)]

    assert replies == ["ok", "already"]
    assert (bench.job("a").snoozes, bench.job("a").attempt) == (1, 0)
