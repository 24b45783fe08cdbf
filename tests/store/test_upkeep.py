"""What happens as time goes by: due jobs, expired leases, outages, retention."""

from __future__ import annotations

import pytest

from jobsvc.model.job import ErrorCategory
from jobsvc.model.lifecycle import JobState, Outcome
from jobsvc.store import calls
from jobsvc.store.calls import MIN_RETENTION_MS, Purged
from tests.store.bench import Bench

OLD_MS = MIN_RETENTION_MS + 1_000


def test_sweep_makes_due_jobs_ready(bench: Bench) -> None:
    bench.submit("later", delay_ms=60_000)
    bench.submit("now", delay_ms=60_000)
    bench.make_due("now")
    bench.woken()

    assert bench.sweep().promoted == 1

    assert (bench.state("now"), bench.state("later")) == (JobState.QUEUED, JobState.SCHEDULED)
    assert bench.woken()


def test_expired_lease_is_taken_back(bench: Bench) -> None:
    bench.batch("b", bench.items("b", 2))
    bench.claim(2)
    bench.woken()
    bench.expire("b.0")

    swept = bench.sweep()

    assert (swept.reaped, swept.shift_ms) == (1, 0)
    assert (bench.state("b.0"), bench.state("b.1")) == (JobState.QUEUED, JobState.PROCESSING)
    assert bench.job("b.0").lost_attempts == 1
    assert bench.read_batch("b").counts[JobState.QUEUED] == 1
    assert bench.woken()


def test_job_that_is_lost_too_often_fails(bench: Bench) -> None:
    bench.batch("b", [bench.new("b.0"), bench.new("b.1", max_lost_attempts=1)])
    ended = []
    for _ in range(calls.MAX_LOST_ATTEMPTS + 1):
        for claim in bench.claim(2):
            bench.expire(claim.job_id)
        bench.sweep()
        ended.append((bench.state("b.0"), bench.state("b.1")))

    assert ended == [
        (JobState.QUEUED, JobState.QUEUED),
        (JobState.QUEUED, JobState.FAILED),
        (JobState.QUEUED, JobState.FAILED),
        (JobState.FAILED, JobState.FAILED),
    ]
    error = bench.job("b.0").error
    assert error is not None
    assert error.category is ErrorCategory.WORKER_LOST
    assert bench.read_batch("b").recent_failures == ("b.0", "b.1")


def test_outage_moves_leases_on_before_anything_is_taken_back(bench: Bench) -> None:
    bench.submit("a")
    bench.claim_one()
    last = bench.now_ms() - 5_000  # somebody sweeps, then nobody for five seconds
    bench.redis.set(f"{bench.keys.tag}:swept_ms", last)
    bench.redis.zadd(bench.keys.queue("q", "leases"), {"a": last + 2_000})

    first, second = bench.twice(calls.sweep(outage_ms=2_000))

    assert 5_000 <= first.shift_ms < 10_000
    assert bench.redis.zscore(bench.keys.queue("q", "leases"), "a") == last + 2_000 + first.shift_ms
    assert (first.reaped, second) == (0, calls.Swept(0, 0, 0))


def test_short_gap_is_no_outage(bench: Bench) -> None:
    bench.submit("a")
    bench.claim_one()
    bench.redis.set(f"{bench.keys.tag}:swept_ms", bench.now_ms() - 1_500)
    bench.expire("a")

    swept = bench.sweep(outage_ms=2_000)

    assert (swept.shift_ms, swept.reaped) == (0, 1)


def test_clock_that_jumps_back_takes_nothing_away(bench: Bench) -> None:
    bench.submit("a")
    bench.claim_one()
    bench.redis.set(f"{bench.keys.tag}:swept_ms", bench.now_ms() + 3_600_000)

    assert bench.sweep(outage_ms=2_000) == calls.Swept(0, 0, 0)


def end(bench: Bench, *names: str, outcome: Outcome = Outcome.COMPLETED) -> None:
    for name in names:
        bench.submit(name)
    for claim in bench.claim(len(names)):
        bench.finish(claim, outcome, "{}")


def purge(bench: Bench, state: JobState = JobState.COMPLETED, **options: int) -> Purged:
    return bench.run(calls.purge("q", state, **{"max_age_ms": 10**12, **options}))


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.COMPLETED, JobState.COMPLETED),
        (Outcome.FAILED, JobState.FAILED),
        (Outcome.CANCELLED, JobState.CANCELLED),
    ],
)
def test_old_jobs_are_removed_with_all_their_parts(bench: Bench, outcome: Outcome, state: JobState) -> None:
    bench.submit("old", title="T")
    claim = bench.claim_one()
    bench.run(calls.log("old", claim.token, ["{}"], before=0))
    bench.run(calls.progress([("old", claim.token, calls.running.Progress(percent=1))]))
    if outcome is not Outcome.FAILED:  # which would end cancelled
        bench.cancel("old")
    bench.finish(claim, outcome, "{}")
    end(bench, "new", outcome=outcome)
    bench.age("q", state, ["old"], OLD_MS)

    assert purge(bench, state, max_age_ms=OLD_MS) == Purged(1, 0, False)

    assert (bench.find("old"), bench.state("new")) == (None, state)
    assert not list(bench.redis.scan_iter(f"{bench.keys.tag}:*:old"))


def test_surplus_jobs_are_removed_oldest_first(bench: Bench) -> None:
    names = [f"j{number}" for number in range(5)]
    end(bench, *names)
    for number, name in enumerate(names):
        bench.age("q", JobState.COMPLETED, [name], OLD_MS * (5 - number))

    assert purge(bench, max_count=2) == Purged(3, 0, False)

    assert [name for name in names if bench.find(name)] == ["j3", "j4"]


def test_young_jobs_stay_whatever_the_limits_say(bench: Bench) -> None:
    end(bench, "a", "b", "c")

    assert purge(bench, max_age_ms=0, max_count=1).removed == 0


def test_jobs_of_a_running_batch_stay(bench: Bench) -> None:
    bench.batch("b", bench.items("b", 2))
    first, second = bench.claim(2)
    bench.finish(first, body="1")
    end(bench, "other")
    bench.age("q", JobState.COMPLETED, ["b.0"], OLD_MS * 2)
    bench.age("q", JobState.COMPLETED, ["other"], OLD_MS)

    assert purge(bench, max_age_ms=OLD_MS - 500) == Purged(1, 1, False)
    assert bench.state("b.0") is JobState.COMPLETED

    bench.finish(second, body="2")
    assert purge(bench, max_age_ms=OLD_MS - 500).removed == 1
    batch = bench.read_batch("b")
    assert (batch.counts[JobState.COMPLETED], batch.total) == (2, 2)


def test_batch_goes_with_the_last_of_its_jobs(bench: Bench) -> None:
    bench.batch("b", [bench.new("b.0"), bench.new("mine")])
    for claim in bench.claim(2):
        bench.finish(claim, Outcome.FAILED, "{}")
    bench.age("q", JobState.FAILED, ["b.0", "mine"], OLD_MS)

    assert purge(bench, JobState.FAILED, max_age_ms=OLD_MS - 500).removed == 2

    assert bench.run(calls.read_batch("b")) is None
    assert not list(bench.redis.scan_iter(f"{bench.keys.tag}:batch*"))


def test_long_purges_go_on_where_they_stopped(bench: Bench) -> None:
    bench.batch("b", [*bench.items("b", 250), bench.new("b.250", queue="other")])
    names = [f"j{number}" for number in range(30)]
    for name in names:
        bench.submit(name)
    for claim in bench.claim(1_000):
        bench.finish(claim, body="1")
    bench.age("q", JobState.COMPLETED, [f"b.{index}" for index in range(250)], OLD_MS * 2)
    bench.age("q", JobState.COMPLETED, names, OLD_MS)

    first = purge(bench, max_age_ms=OLD_MS - 500)
    second = purge(bench, max_age_ms=OLD_MS - 500, skip=first.kept)

    assert (first, second) == (Purged(0, 200, True), Purged(30, 50, False))


@pytest.mark.parametrize("from_request", [True, False])
def test_request_ids_are_remembered_longer_than_jobs(bench: Bench, from_request: bool) -> None:
    bench.submit("a", from_request_id=from_request)
    bench.batch("b", bench.items("b", 1), from_request_id=from_request)
    for claim in bench.claim(2):
        bench.finish(claim, body="1")
    bench.age("q", JobState.COMPLETED, ["a", "b.0"], OLD_MS)
    assert purge(bench, max_age_ms=OLD_MS - 500).removed == 2

    job = bench.submit("a", from_request_id=from_request)
    batch = bench.batch("b", bench.items("b", 1), from_request_id=from_request)

    assert (job.created, batch.created) == (not from_request, not from_request)
    assert job.state is (None if from_request else JobState.QUEUED)
    if from_request:
        assert 0 < bench.redis.pttl(bench.keys.part("a", "remembered")) <= calls.REQUEST_MEMORY_MS


def test_duty_has_one_holder_at_a_time(bench: Bench) -> None:
    def ask(holder: str) -> bool:
        return bench.run(calls.acquire_duty(bench.keys, holder, lease_ms=60_000))

    assert [ask("a"), ask("a"), ask("b")] == [True, True, False]
    bench.redis.delete(f"{bench.keys.tag}:duty")
    assert [ask("b"), ask("a")] == [True, False]


def test_old_workers_are_forgotten(bench: Bench) -> None:
    bench.redis.zadd(bench.keys.workers, {"old": 1_000, "new": 2_000})

    bench.run(calls.forget_old_workers(bench.keys, before_ms=2_000))

    assert bench.run(calls.worker_heartbeats(bench.keys)) == {"new": 2_000}
