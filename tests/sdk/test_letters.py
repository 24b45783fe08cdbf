"""Dead letters through the client: the same handle goes on after a retry."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobsvc_sdk import Client, JobFailed, ParamError, connect
from jobsvc_sdk.errors import NotFound
from tests.sdk.test_jobs import do
from tests.stack import Stack


def test_handle_of_a_retried_job_waits_for_its_new_end(live: Client, tmp_path: Path) -> None:
    path = tmp_path / "gate"
    job = do(live, ["fail_unless", str(path)], max_attempts=1)
    with pytest.raises(JobFailed, match=r"job\.retry\(\)"):
        job.result(timeout=30)
    path.touch()
    called = threading.Event()

    assert job.retry()
    job.add_done_callback(lambda _: called.set())

    assert job.result(timeout=30) == "there"
    assert called.wait(10)
    assert job.attempt == 2
    assert [attempt.outcome for attempt in job.status.attempts] == ["failed", "completed"]
    assert not job.retry()


def test_failed_jobs_of_a_batch_are_retried_and_the_batch_goes_on(live: Client, tmp_path: Path) -> None:
    path = tmp_path / "gate"
    steps = [{"steps": [["ok", 1]]}, {"steps": [["fail_unless", str(path)]]}]
    batch = live.map("test.do", steps, max_attempts=1)
    handle = batch.jobs[1]
    assert handle.wait(timeout=30).state == "failed"
    assert len(batch.results(timeout=30, return_exceptions=True)) == 2
    assert batch.status.counts["failed"] == 1
    path.touch()

    assert batch.retry_failed() == 1

    assert batch.results(timeout=30) == [1, "there"]
    assert handle.result(timeout=30) == "there"
    assert batch.jobs[1] is handle


def test_dead_letters_are_listed_retried_and_cleared(live: Client, stack: Stack) -> None:
    began = datetime.now(UTC) - timedelta(minutes=1)
    mark = uuid.uuid4().hex[:8].upper()
    jobs = [do(live, ["fail_for_good", "no", mark]) for _ in range(3)]
    for job in jobs:
        job.wait(timeout=30)
    letters = live.dead_letters(error_code=mark, error_type="Fail", after=began)

    assert {job.id for job in letters.list()} == {job.id for job in letters} == {job.id for job in jobs}
    assert len(letters.list(limit=2)) == 2
    assert live.dead_letters(error_code=mark, before=began).list() == []
    assert letters.retry(limit=1).requeued == 1
    assert jobs[0].refresh().wait(timeout=30).state == "failed"  # it fails again, and is a dead letter again
    assert letters.clear() == 3
    with pytest.raises(NotFound):
        connect(stack.address).job(jobs[0].id)


def test_old_jobs_of_a_queue_are_purged(live: Client) -> None:
    queue = f"q-{uuid.uuid4().hex[:8]}"
    for _ in range(3):
        do(live, ["ok"], queue=queue, delay=3600)

    assert live.queue(queue).purge("scheduled", older_than=timedelta(hours=1)) == 0
    assert live.queue(queue).purge("scheduled") == 3
    with pytest.raises(ParamError, match="name at least one"):
        live.queue(queue).purge()


def test_whoever_waits_for_a_purged_job_is_told(live: Client) -> None:
    queue = f"q-{uuid.uuid4().hex[:8]}"
    job = do(live, ["ok"], queue=queue, delay=3600)
    told = threading.Event()
    job.add_done_callback(lambda _: told.set())

    assert live.queue(queue).purge("scheduled") == 1

    assert told.wait(20)
    with pytest.raises(NotFound):
        job.result(timeout=20)


def test_cleanup_takes_old_jobs_of_all_queues_and_leaves_dead_letters(live: Client) -> None:
    queue = f"q-{uuid.uuid4().hex[:8]}"
    do(live, ["ok"], queue=queue, delay=3600).cancel()
    do(live, ["ok"], queue=queue, delay=3600)

    assert live.cleanup(queue, older_than=timedelta(hours=1)) == 0
    assert live.cleanup(older_than=timedelta(days=300)) == 0
    assert live.cleanup(queue, older_than=0) == 1
    with pytest.raises(NotFound, match="no queue"):
        live.cleanup("nobody", older_than=60)


def test_time_without_a_zone_is_refused(live: Client) -> None:
    with pytest.raises(ParamError, match="time zone"):
        live.dead_letters(after=datetime(2026, 1, 1))


def test_two_thousand_dead_letters_are_retried_while_workers_run(live: Client, tmp_path: Path) -> None:
    path = tmp_path / "gate"
    began = datetime.now(UTC)
    batch = live.map("test.do_in_thread", [{"steps": [["fail_unless", str(path)]]}] * 2_000, max_attempts=1)
    batch.wait(timeout=120)
    assert batch.status.counts["failed"] == 2_000
    path.touch()
    seen: list[int] = []
    letters = live.dead_letters(error_type="ValueError", job_type="test.do_in_thread", after=began)

    done = letters.retry()
    undo = live.hub.subscribe("batch", batch.id, lambda status: seen.append(status.version))

    assert (done.requeued, done.skipped) == (2_000, 0)
    batch.refresh()
    assert batch.results(timeout=120) == ["there"] * 2_000
    undo()
    assert seen == sorted(seen)
    assert batch.status.counts["completed"] == 2_000
    assert {attempt.outcome for attempt in batch.jobs[7].refresh().status.attempts} == {"failed", "completed"}
    assert letters.list() == []
