"""Dead letters in the store: queued again with their history, and removed without a trace."""

from __future__ import annotations

import pytest

from jobsvc.model.lifecycle import JobState, Outcome
from jobsvc.store import calls
from tests.store.bench import Bench

ERROR = '{"category":"application","type":"builtins.ValueError","code":"BAD"}'


def fail(bench: Bench, *job_ids: str) -> None:
    """Claim and fail jobs."""
    for claim in bench.claim(len(job_ids)):
        assert claim.job_id in job_ids
        bench.finish(claim, Outcome.FAILED, ERROR)


@pytest.mark.parametrize("reset", [False, True])
def test_retried_job_runs_again_with_its_history(bench: Bench, reset: bool) -> None:
    bench.submit("a", max_attempts=1)
    fail(bench, "a")
    before = bench.job("a")

    first, second = bench.twice(calls.retry(["a"], reset=reset))

    assert (first, second) == (["requeued"], ["skipped"])
    job = bench.job("a")
    assert (job.state, job.attempt, job.end_ms) == (JobState.QUEUED, 1, 0)
    assert job.version > before.version
    assert [attempt.outcome for attempt in job.attempts] == [Outcome.FAILED]
    assert bench.woken()
    claim = bench.claim_one()
    assert (claim.attempt, claim.spared) == (2, 1 if reset else -1)
    bench.finish(claim, Outcome.COMPLETED, "1")
    assert bench.job("a").state is JobState.COMPLETED


def test_request_queues_no_job_twice_whatever_becomes_of_it(bench: Bench) -> None:
    for name in "abc":
        bench.submit(name, max_attempts=1)
    fail(bench, "a", "b", "c")
    call = calls.retry(["a", "b", "a", "nobody"], request_id="r")

    first, second = bench.twice(call)
    fail(bench, "a", "b")

    assert first == second == bench.run(call) == ["requeued", "requeued", "requeued", "missing"]
    assert bench.run(calls.retried_by(bench.keys, "r")) == 2
    assert (bench.state("a"), bench.state("b")) == (JobState.FAILED, JobState.FAILED)
    assert bench.run(calls.retry(["a"], request_id="another")) == ["requeued"]
    assert 0 < bench.redis.pttl(bench.keys.part("r", "retrying")) <= calls.REQUEST_MEMORY_MS
    bench.check()


def test_request_queues_no_more_than_it_may_over_all_its_calls(bench: Bench) -> None:
    for name in "abc":
        bench.submit(name)
    fail(bench, "a", "b", "c")

    assert bench.run(calls.retry(["a"], request_id="r", most=2)) == ["requeued"]
    assert bench.run(calls.retry(["b", "c"], request_id="r", most=2)) == ["requeued", "skipped"]


def test_only_failed_jobs_are_retried(bench: Bench) -> None:
    for name in "abc":
        bench.submit(name)
    bench.cancel("a")
    bench.claim(1)

    assert bench.run(calls.retry(["a", "b", "c", "nobody"])) == ["skipped"] * 3 + ["missing"]


def test_batch_that_had_ended_goes_on_when_a_job_of_it_is_retried(bench: Bench) -> None:
    bench.batch("b", bench.items("b", 2))
    fail(bench, "b.0", "b.1")
    ended = bench.read_batch("b")
    assert (ended.terminal, ended.recent_failures) == (True, ("b.1", "b.0"))

    bench.run(calls.retry(["b.0"]))

    batch = bench.read_batch("b")
    assert (batch.terminal, batch.end_ms, batch.recent_failures) == (False, 0, ("b.1",))
    assert batch.version > ended.version
    bench.check()
    bench.finish(bench.claim_one())
    assert bench.read_batch("b").terminal


def test_attempts_lost_before_a_reset_do_not_count(bench: Bench) -> None:
    bench.submit("a", max_lost_attempts=1)
    for _ in range(2):
        bench.claim_one()
        bench.expire("a")
        bench.sweep()
    assert bench.state("a") is JobState.FAILED

    bench.run(calls.retry(["a"], reset=True))
    bench.claim_one()
    bench.expire("a")
    bench.sweep()

    assert (bench.state("a"), bench.job("a").lost_attempts) == (JobState.QUEUED, 3)


def test_failures_say_what_a_filter_asks(bench: Bench) -> None:
    bench.submit("a")
    bench.submit("b")
    fail(bench, "a")

    assert bench.run(calls.failures(["a", "b", "nobody"])) == [
        calls.Failure("test.do", "builtins.ValueError", "BAD"),
        None,
        None,
    ]


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.SCHEDULED, JobState.FAILED, JobState.COMPLETED])
def test_removed_job_leaves_nothing_behind(bench: Bench, state: JobState) -> None:
    delay_ms = 60_000 if state is JobState.SCHEDULED else 0
    bench.submit("a", delay_ms=delay_ms, title="t")
    if state.terminal:
        bench.finish(bench.claim_one(), Outcome(state.value), ERROR)

    assert bench.twice(calls.remove(["a", "nobody"], state)) == (1, 0)

    assert not [key for key in bench.redis.keys(f"{bench.keys.tag}:*") if key.endswith(":a")]


def test_removed_job_of_a_batch_counts_as_cancelled_and_the_last_one_takes_the_batch_along(
    bench: Bench,
) -> None:
    bench.batch("b", bench.items("b", 2))
    fail(bench, "b.0")

    assert bench.run(calls.remove(["b.1"], JobState.QUEUED)) == 1
    batch = bench.read_batch("b")
    assert batch.terminal
    assert (batch.counts[JobState.FAILED], batch.counts[JobState.CANCELLED]) == (1, 1)
    bench.check()
    assert bench.run(calls.remove(["b.0"], JobState.FAILED)) == 1
    assert bench.run(calls.read_batch("b")) is None


def test_only_what_is_old_enough_and_in_the_state_is_removed(bench: Bench) -> None:
    bench.submit("a")
    bench.submit("running")
    bench.redis.hset(bench.keys.job("a"), "create_ms", bench.now_ms() - 5_000)

    assert bench.run(calls.remove(["a", "running"], JobState.QUEUED, min_age_ms=3_000)) == 1
    bench.claim_one()
    assert bench.run(calls.remove(["running"], JobState.QUEUED)) == 0
    assert bench.state("running") is JobState.PROCESSING


def test_answer_to_a_request_is_remembered(bench: Bench) -> None:
    assert bench.run(calls.remembered_answer(bench.keys, "r")) is None
    bench.run(calls.remember_answer(bench.keys, "r", {"requeued": 3}))

    assert bench.run(calls.remembered_answer(bench.keys, "r")) == {"requeued": 3}
