"""Stopping jobs."""

from __future__ import annotations

import pytest

from jobsvc.model.lifecycle import JobState, Outcome
from jobsvc.store import calls
from tests.store.bench import Bench


@pytest.mark.parametrize("options", [{}, {"delay_ms": 60_000}])
def test_waiting_job_is_cancelled_at_once(bench: Bench, options: dict[str, int]) -> None:
    bench.batch("b", bench.items("b", 1, **options))

    assert bench.cancel("b.0") == ["cancelled"]

    job = bench.job("b.0")
    assert (job.state, job.end_ms > 0, job.version) == (JobState.CANCELLED, True, 2)
    assert job.cancel is not None
    assert (job.cancel.reason, job.cancel.requested_by) == ("why", "who")
    assert bench.read_batch("b").terminal
    assert bench.claim(1) == []


def test_job_that_waits_for_its_next_attempt_is_cancelled_at_once(bench: Bench) -> None:
    bench.submit("a")
    bench.finish(bench.claim_one(), Outcome.RETRIED, "{}", delay_ms=60_000)

    assert bench.cancel("a") == ["cancelled"]
    assert bench.state("a") is JobState.CANCELLED


def test_worker_of_a_running_job_is_told(bench: Bench) -> None:
    bench.submit("a")
    claim = bench.claim_one()
    listener = bench.redis.pubsub(ignore_subscribe_messages=True)
    listener.subscribe(bench.keys.control)
    listener.get_message(timeout=5)

    assert bench.cancel("a") == ["requested"]

    job = bench.job("a")
    assert (job.state, job.version) == (JobState.PROCESSING, 3)
    assert job.cancel is not None
    assert job.cancel.request_ms > 0
    message = listener.get_message(timeout=5)
    assert message["data"] == f"cancel a {claim.token}"
    listener.close()


def test_repeated_cancel_changes_nothing(bench: Bench) -> None:
    bench.submit("a")
    bench.submit("b")
    bench.claim_one()

    assert bench.twice(calls.cancel(["a", "b"])) == (["requested", "cancelled"], ["requested", "finished"])
    assert (bench.job("a").version, bench.job("b").version) == (3, 2)


@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.FAILED, Outcome.CANCELLED])
def test_finished_job_stays_as_it_is(bench: Bench, outcome: Outcome) -> None:
    bench.submit("a")
    bench.finish(bench.claim_one(), outcome, "{}")
    before = bench.job("a")

    assert bench.cancel("a", "never") == ["finished", "missing"]
    assert bench.job("a") == before


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.COMPLETED, JobState.COMPLETED),
        (Outcome.CANCELLED, JobState.CANCELLED),
        (Outcome.FAILED, JobState.CANCELLED),
        (Outcome.RETRIED, JobState.CANCELLED),
        (Outcome.RELEASED, JobState.CANCELLED),
        (Outcome.SNOOZED, JobState.CANCELLED),
    ],
)
def test_job_that_was_told_to_stop_does_not_come_back(
    bench: Bench, outcome: Outcome, state: JobState
) -> None:
    bench.batch("b", bench.items("b", 1))
    claim = bench.claim_one()
    bench.cancel("b.0")

    assert bench.finish(claim, outcome, "{}", delay_ms=1_000) == "ok"

    assert bench.state("b.0") is state
    assert bench.read_batch("b").counts[state] == 1


def test_lost_job_that_was_told_to_stop_is_cancelled(bench: Bench) -> None:
    bench.batch("b", bench.items("b", 1))
    bench.claim_one()
    bench.cancel("b.0")
    bench.expire("b.0")

    bench.sweep()

    assert bench.state("b.0") is JobState.CANCELLED
    assert bench.read_batch("b").terminal


def test_what_became_of_a_cancellation_is_kept(bench: Bench) -> None:
    bench.submit("a")
    claim = bench.claim_one()
    assert bench.run(calls.cancel_seen("a", claim.token, "deliver")) is False
    bench.cancel("a")

    assert bench.twice(calls.cancel_seen("a", claim.token, "deliver")) == (True, True)
    first = bench.job("a").cancel
    assert bench.run(calls.cancel_seen("a", claim.token, "kill")) is True

    cancel = bench.job("a").cancel
    assert first is not None
    assert cancel is not None
    assert (cancel.deliver_ms, first.kill_ms) == (first.deliver_ms, 0)
    assert cancel.kill_ms >= cancel.deliver_ms >= cancel.request_ms > 0
