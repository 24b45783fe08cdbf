"""Counts, pages and the catalog."""

from __future__ import annotations

from jobsvc.model.catalog import JobType
from jobsvc.model.job import Priority
from jobsvc.model.lifecycle import JobState, Outcome
from jobsvc.model.retry import RetryPolicy
from jobsvc.store import calls
from tests.store.bench import Bench


def fill(bench: Bench) -> None:
    for number in range(8):
        bench.submit(f"j{number}")
    bench.submit("s", delay_ms=60_000)
    bench.submit("other", queue="p")
    claims = bench.claim(5)
    bench.finish(claims[0], body="1")
    bench.finish(claims[1], Outcome.FAILED, "{}")
    bench.finish(claims[2], Outcome.RETRIED, "{}", delay_ms=60_000)
    bench.cancel("j7")


def test_counts_equal_a_recount(bench: Bench) -> None:
    fill(bench)
    now = bench.now_ms()

    at, rows = bench.run(calls.counts())

    p, q = rows
    assert at >= now
    assert (p.queue, p.queued, p.processing) == ("p", 1, 0)
    assert (q.queued, q.processing, q.scheduled) == (2, 2, 2)
    assert (q.completed, q.failed, q.cancelled) == (1, 1, 1)
    assert q.ever == {"completed": 1, "failed": 1, "cancelled": 1, "retried": 1}
    assert q.oldest_ready_ms == bench.job("j5").create_ms
    assert bench.run(calls.counts(["q"]))[1] == [q]
    assert bench.run(calls.queue_names(bench.keys)) == ["p", "q"]


def test_counts_of_an_empty_queue(bench: Bench) -> None:
    (row,) = bench.run(calls.counts(["nothing"]))[1]

    assert (row.queued, row.oldest_ready_ms, row.ever) == (0, None, {})


def test_counters_only_grow(bench: Bench) -> None:
    bench.submit("a")
    claim = bench.claim_one()
    bench.finish(claim)
    bench.finish(claim)
    bench.age("q", JobState.COMPLETED, ["a"], 10**9)
    bench.run(calls.purge("q", JobState.COMPLETED, max_age_ms=1))

    (row,) = bench.run(calls.counts(["q"]))[1]

    assert (row.completed, row.ever["completed"]) == (0, 1)


def test_oldest_ready_of_a_promoted_job_is_when_it_was_due(bench: Bench) -> None:
    bench.submit("a", delay_ms=60_000)
    bench.redis.hset(bench.keys.job("a"), "due_ms", 12_345)
    bench.make_due("a", at_ms=12_345)
    bench.sweep()

    assert bench.run(calls.counts(["q"]))[1][0].oldest_ready_ms == 12_345


def test_pages_go_from_the_newest_down(bench: Bench) -> None:
    for number in range(5):
        bench.submit(f"j{number}")
    for number, claim in enumerate(bench.claim(5)):
        bench.finish(claim, body="1")
        bench.redis.zadd(bench.keys.queue("q", "completed"), {claim.job_id: [1, 2, 2, 2, 3][number]})

    def page(**options: float) -> list[str]:
        found = bench.run(calls.page(bench.keys, "q", JobState.COMPLETED, limit=2, **options))  # type: ignore[arg-type]
        return [job_id for job_id, _ in found]

    assert page() == ["j4", "j3"]
    assert page(before=2.0, skip=1) == ["j2", "j1"]
    assert page(before=2.0, skip=3) == ["j0"]


def test_states_of_many_jobs(bench: Bench) -> None:
    fill(bench)

    assert bench.run(calls.read_states(["j0", "never", "s", "other"])) == [
        (JobState.COMPLETED, "test.do", "q"),
        None,
        (JobState.SCHEDULED, "test.do", "q"),
        (JobState.QUEUED, "test.do", "p"),
    ]


def test_missing_jobs_are_none(bench: Bench) -> None:
    assert bench.run(calls.read(["never"])) == [None]
    assert bench.run(calls.read_batch("never")) is None


def test_published_types_are_read_back(bench: Bench) -> None:
    job_type = JobType(
        name="a.b",
        queue="q",
        description="é",
        timeout_ms=5,
        retry=RetryPolicy(max_attempts=9, non_retryable_types=("KeyError",)),
        priority=Priority.URGENT,
        isolation="thread",
    )

    bench.twice(calls.publish_types(bench.keys, [job_type]))

    assert bench.run(calls.read_types(bench.keys)) == {"a.b": job_type}


def test_type_of_a_newer_worker_is_read_without_what_we_do_not_know(bench: Bench) -> None:
    bench.redis.hset(
        bench.keys.types, "a", '{"name":"a","queue":"q","novelty":1,"retry":{"max_attempts":4,"novelty":1}}'
    )

    (found,) = bench.run(calls.read_types(bench.keys)).values()

    assert (found.queue, found.retry.max_attempts, found.priority) == ("q", 4, Priority.MEDIUM)
