"""Batches: staged in parts, visible all at once, counted exactly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobsvc.model.errors import IdConflict, JobsvcError
from jobsvc.model.job import NewBatch, NewJob
from jobsvc.model.lifecycle import JobState, Outcome
from jobsvc.store import calls
from jobsvc.store.calls import STAGE_SIZE, Staged
from tests.store.bench import Bench


def stage(bench: Bench, batch_id: str, jobs: list[NewJob], **options: object) -> list[Staged]:
    parts = calls.stage(NewBatch(id=batch_id, **options), len(jobs), list(enumerate(jobs)))  # type: ignore[arg-type]
    return [bench.run(part) for part in parts]


def test_committed_batch_has_its_jobs_and_counts(bench: Bench) -> None:
    jobs = [*bench.items("b", 3), bench.new("b.3", delay_ms=60_000), bench.new("mine", queue="other")]

    done = bench.batch("b", jobs, title="T", labels={"a": "b"}, owner="me")

    assert (done.created, done.total) == (True, 5)
    batch = bench.read_batch("b")
    assert (batch.total, batch.size, batch.title, batch.owner) == (5, 5, "T", "me")
    assert (batch.counts[JobState.QUEUED], batch.counts[JobState.SCHEDULED]) == (4, 1)
    assert [batch.job_id(index) for index in range(5)] == ["b.0", "b.1", "b.2", "b.3", "mine"]
    assert not batch.terminal
    job = bench.job("mine")
    assert (job.batch_id, job.queue, job.create_ms) == ("b", "other", batch.create_ms)
    assert bench.woken()
    assert bench.woken("other")


def test_staged_jobs_do_not_exist_yet(bench: Bench) -> None:
    stage(bench, "b", [*bench.items("b", 2), bench.new("mine", delay_ms=60_000)])

    assert bench.find("b.0") is None
    assert bench.find("mine") is None
    assert bench.run(calls.read_batch("b")) is None
    assert bench.cancel("b.0", "mine") == ["missing", "missing"]
    assert bench.claim(10) == []
    bench.run(calls.commit("b"))
    assert [claim.job_id for claim in bench.claim(10)] == ["b.0", "b.1"]


def test_id_of_a_staged_job_cannot_be_submitted_apart(bench: Bench) -> None:
    """The staged job may be taken back: whoever was told that the job exists would have lost it."""
    stage(bench, "b", [bench.new("mine")])

    with pytest.raises(IdConflict):
        bench.submit("mine")

    assert bench.run(calls.abort("b"))
    assert bench.submit("mine").created


def test_repeated_stages_and_commits_are_one_batch(bench: Bench) -> None:
    jobs = bench.items("b", STAGE_SIZE + 10)

    for _ in range(2):
        assert stage(bench, "b", jobs) == [Staged(False, ()), Staged(False, ())]
    first, second = bench.twice(calls.commit("b"))

    assert (first.created, first.total) == (True, STAGE_SIZE + 10)
    assert second == replace(first, created=False)
    assert stage(bench, "b", jobs) == [Staged(True, ()), Staged(True, ())]
    assert bench.batch("b", jobs) == second
    assert bench.queue_keys()["ready"] == STAGE_SIZE + 10


def test_job_that_became_due_between_two_stages_is_counted_once(bench: Bench) -> None:
    jobs = [bench.new("b.0", not_before_ms=bench.now_ms() + 30)]
    assert stage(bench, "b", jobs) == [Staged(False, ())]
    while bench.now_ms() <= jobs[0].not_before_ms:
        pass

    stage(bench, "b", jobs)

    assert bench.run(calls.commit("b")).total == 1
    assert bench.claim_one().job_id == "b.0"


def test_batch_id_with_other_content_is_refused(bench: Bench) -> None:
    stage(bench, "b", bench.items("b", 2))

    for jobs in (bench.items("b", 3), bench.items("b", 2, arguments='{"x":1}')):
        with pytest.raises(IdConflict):
            stage(bench, "b", jobs)
    bench.run(calls.commit("b"))
    with pytest.raises(IdConflict):
        stage(bench, "b", bench.items("b", 3))


def test_items_whose_id_is_taken_are_left_out(bench: Bench) -> None:
    bench.submit("taken")
    jobs = [bench.new("b.0"), bench.new("taken"), bench.new("free")]

    assert stage(bench, "b", jobs) == [Staged(False, (1,))]

    assert bench.run(calls.commit("b")).total == 2
    assert bench.read_batch("b").named == {2: "free"}
    assert bench.job("taken").batch_id == ""


def test_aborted_batch_leaves_nothing(bench: Bench) -> None:
    before = set(bench.redis.scan_iter("*"))
    stage(bench, "b", [*bench.items("b", 3, title="T"), bench.new("mine", delay_ms=60_000)])

    assert bench.twice(calls.abort("b")) == (True, False)

    assert set(bench.redis.scan_iter("*")) == before
    with pytest.raises(JobsvcError, match="BATCH_NOT_STAGED"):
        bench.run(calls.commit("b"))


def test_committed_batch_cannot_be_aborted(bench: Bench) -> None:
    bench.batch("b", bench.items("b", 2))

    assert bench.run(calls.abort("b")) is False
    assert bench.state("b.0") is JobState.QUEUED


def test_abandoned_batches_are_found_and_taken_back(bench: Bench) -> None:
    stage(bench, "b", bench.items("b", 1))
    now = bench.now_ms()

    assert bench.run(calls.abandoned(bench.keys, before_ms=now - 60_000)) == []
    assert bench.run(calls.abort("b", staged_before_ms=now - 60_000)) is False
    assert bench.run(calls.abandoned(bench.keys, before_ms=now + 1)) == ["b"]
    assert bench.run(calls.abort("b", staged_before_ms=now + 1)) is True
    assert bench.run(calls.abandoned(bench.keys, before_ms=now + 1)) == []


def test_batch_without_jobs_has_ended_and_is_forgotten_in_time(bench: Bench) -> None:
    bench.submit("taken")

    done = bench.batch("b", [bench.new("taken")])

    assert (done.created, done.total) == (True, 0)
    assert bench.read_batch("b").end_ms > 0
    assert 0 < bench.redis.pttl(bench.keys.batch("b")) <= calls.EMPTY_BATCH_MS


def test_counts_follow_every_move(bench: Bench) -> None:
    bench.batch(
        "b", [*bench.items("b", 5), bench.new("b.5", delay_ms=60_000), bench.new("b.6", delay_ms=60_000)]
    )
    start = bench.read_batch("b")
    claims = bench.claim(5)

    bench.finish(claims[0], body="1")
    bench.finish(claims[1], Outcome.FAILED, "{}")
    bench.finish(claims[2], Outcome.RETRIED, "{}", delay_ms=90_000)
    bench.finish(claims[3], Outcome.RELEASED)
    bench.cancel("b.5")
    bench.make_due("b.6")
    bench.sweep()

    batch = bench.read_batch("b")
    wanted = {
        JobState.COMPLETED: 1,
        JobState.FAILED: 1,
        JobState.SCHEDULED: 1,
        JobState.QUEUED: 2,
        JobState.PROCESSING: 1,
        JobState.CANCELLED: 1,
        JobState.BLOCKED: 0,
    }
    assert dict(batch.counts) == wanted
    assert batch.version > start.version
    assert batch.start_ms >= start.create_ms
    assert (batch.end_ms, batch.terminal) == (0, False)


def test_batch_ends_with_its_last_job(bench: Bench) -> None:
    bench.batch("b", bench.items("b", 2))
    first, second = bench.claim(2)

    bench.finish(first, body="1")
    assert bench.read_batch("b").end_ms == 0
    bench.finish(second, Outcome.FAILED, "{}")

    batch = bench.read_batch("b")
    assert (batch.end_ms > 0, batch.terminal) == (True, True)


def test_batch_shows_its_newest_failures(bench: Bench) -> None:
    bench.batch("b", bench.items("b", 7))

    for claim in bench.claim(7):
        bench.finish(claim, Outcome.FAILED, "{}")

    assert bench.read_batch("b").recent_failures == ("b.6", "b.5", "b.4", "b.3", "b.2")


def test_names_of_batches_cannot_meet(bench: Bench) -> None:
    """A client may choose any id, also one that looks like a part of another batch."""
    bench.batch("b", [bench.new("x1"), bench.new("b.1")])
    for index, name in enumerate(("b:named", "b:failures", "b:staged")):
        bench.batch(name, [bench.new(f"y{index}"), bench.new(f"{name}.1")])
    for claim in bench.claim(10):
        bench.finish(claim, Outcome.FAILED, "{}")

    assert bench.read_batch("b").recent_failures == ("b.1", "x1")
    assert bench.read_batch("b:named").named == {0: "y0"}
