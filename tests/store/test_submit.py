"""Adding single jobs."""

from __future__ import annotations

import pytest

from jobsvc.model.errors import IdConflict
from jobsvc.model.job import Priority
from jobsvc.model.lifecycle import JobState
from jobsvc.model.retry import RetryOverride
from jobsvc.store import calls
from tests.store.bench import Bench


def test_submitted_job_is_queued_with_all_that_was_said(bench: Bench) -> None:
    retry = RetryOverride(
        initial_ms=5, max_ms=50, multiplier=1.5, jitter=0.0, non_retryable_types=("KeyError",)
    )

    answer = bench.submit(
        "a",
        arguments='{"x":"é"}',
        priority=Priority.HIGH,
        max_attempts=7,
        max_lost_attempts=2,
        timeout_ms=900,
        retry=retry,
        title="Title",
        labels={"team": "blue"},
        owner="me",
    )

    assert (answer.created, answer.state, answer.version, answer.due_ms) == (True, JobState.QUEUED, 1, 0)
    job = bench.job("a")
    assert (job.state, job.version, job.create_ms) == (JobState.QUEUED, 1, answer.create_ms)
    assert (job.type, job.queue, job.arguments) == ("test.do", "q", '{"x":"é"}')
    assert (job.priority, job.max_attempts, job.max_lost_attempts) == (Priority.HIGH, 7, 2)
    assert (job.timeout_ms, job.retry, job.title) == (900, retry, "Title")
    assert (job.labels, job.owner, job.attempt, job.result) == ({"team": "blue"}, "me", 0, None)
    assert bench.queue_keys()["ready"] == 1
    assert bench.woken()


@pytest.mark.parametrize("job_options", [{}, {"delay_ms": 60_000}])
def test_repeated_submit_adds_nothing(bench: Bench, job_options: dict[str, int]) -> None:
    first, second = bench.twice(calls.submit(bench.new("a", **job_options)))

    assert (first.created, second.created) == (True, False)
    assert (second.state, second.version, second.create_ms, second.due_ms) == (
        first.state,
        1,
        first.create_ms,
        first.due_ms,
    )
    assert sum(bench.queue_keys().values()) == 1


def test_repeated_submit_of_a_job_that_has_run_tells_its_state(bench: Bench) -> None:
    bench.submit("a")
    bench.finish(bench.claim_one(), body="1")

    again = bench.submit("a")

    assert (again.created, again.state, again.version) == (False, JobState.COMPLETED, 3)


@pytest.mark.parametrize("other", [{"type": "test.other"}, {"arguments": '{"x":1}'}])
def test_id_of_another_job_is_refused(bench: Bench, other: dict[str, str]) -> None:
    bench.submit("a")

    with pytest.raises(IdConflict) as caught:
        bench.submit("a", **other)

    assert caught.value.facts == {"id": "a"}
    assert bench.job("a").type == "test.do"
    assert sum(bench.queue_keys().values()) == 1


def test_delayed_job_is_scheduled_and_wakes_whoever_computes_timers(bench: Bench) -> None:
    now = bench.now_ms()

    answer = bench.submit("a", delay_ms=60_000)

    assert answer.state is JobState.SCHEDULED
    assert 60_000 <= answer.due_ms - now < 65_000
    assert bench.job("a").due_ms == answer.due_ms
    assert bench.queue_keys()["scheduled"] == 1
    assert bench.woken()


def test_delayed_job_behind_another_wakes_nobody(bench: Bench) -> None:
    bench.submit("a", delay_ms=10_000)
    bench.woken()

    bench.submit("b", delay_ms=20_000)

    assert not bench.woken()


def test_instant_and_delay_both_hold(bench: Bench) -> None:
    at = bench.now_ms() + 90_000

    assert bench.submit("later", delay_ms=1_000, not_before_ms=at).due_ms == at
    assert bench.submit("past", not_before_ms=1).state is JobState.QUEUED
    assert bench.submit("delay", delay_ms=200_000, not_before_ms=at).due_ms > at


def test_scripts_are_sent_whole_after_redis_forgot_them(bench: Bench) -> None:
    bench.submit("a")

    bench.redis.script_flush()

    assert bench.submit("b").created
    bench.redis.script_flush()
    assert [claim.job_id for claim in bench.claim(5)] == ["a", "b"]
