"""Time limits and cancellations of running jobs."""

from __future__ import annotations

from typing import Any

import pytest

from jobsvc.model.job import ErrorCategory
from jobsvc.model.lifecycle import JobState, Outcome
from tests.waiting import until
from tests.worker.rig import Rig, alive, until_gone

BOTH = pytest.mark.parametrize("job_type", ["test.do", "test.do_in_thread"])

LIMIT_S = 3.0
"""What is promised within a second may take this long on a machine with other work."""


def begun(rig: Rig, *steps: list[Any], **options: Any) -> str:
    """Submit a job and wait until its handler runs."""
    name = f"begun-{next(rig._numbers)}"
    job_id = rig.submit(["note", rig.path(name)], *steps, **options)
    until(lambda: rig.notes(name))
    return job_id


def pid_of(rig: Rig, job_id: str, name: str) -> int:
    return int(next(words[3] for words in rig.notes(name) if words[1] == job_id))


@BOTH
def test_cancelled_handler_stops_at_its_next_checkpoint(shared: Rig, job_type: str) -> None:
    job_id = begun(shared, ["sleep", 60], job_type=job_type)

    assert shared.cancel(job_id) == ["requested"]

    job = shared.wait(job_id)
    assert job.state is JobState.CANCELLED
    assert job.cancel is not None
    assert job.cancel.deliver_ms >= job.cancel.request_ms
    assert job.cancel.kill_ms == 0
    assert (job.end_ms - job.cancel.request_ms) / 1_000 < LIMIT_S
    assert [attempt.outcome for attempt in job.attempts] == [Outcome.CANCELLED]


@pytest.mark.parametrize("step", [["block", 60], ["spin"], ["stubborn", 60]])
def test_handler_that_does_not_hear_is_killed(shared: Rig, step: list[Any]) -> None:
    name = f"pid-{step[0]}"
    job_id = begun(shared, ["note", shared.path(name)], step)

    shared.cancel(job_id)

    job = shared.wait(job_id)
    assert job.state is JobState.CANCELLED
    assert job.cancel is not None
    assert 500 <= job.end_ms - job.cancel.request_ms < LIMIT_S * 1_000
    assert job.cancel.kill_ms > 0
    until_gone([pid_of(shared, job_id, name)])
    assert shared.run(["ok", 1]) == 1


def test_killed_child_takes_along_what_its_handler_started(shared: Rig) -> None:
    path = shared.path("grandchild")
    job_id = begun(shared, ["spawn", path], ["block", 60])
    pid = int(until(lambda: shared.notes("grandchild"))[0][0])
    assert alive(pid)

    shared.cancel(job_id)

    assert shared.wait(job_id).state is JobState.CANCELLED
    until_gone([pid])


def test_crash_of_a_child_whose_fork_lives_on_is_noticed(shared: Rig) -> None:
    """The fork has the pipe open, too: the pipe alone would never end."""
    job = shared.wait(shared.submit(["spawn", shared.path("fork")], ["exit", 5], max_attempts=1))

    assert job.error is not None
    assert "status 5" in job.error.message
    until_gone([int(shared.notes("fork")[0][0])])


def test_job_cancelled_before_it_started_never_runs(rig: Rig) -> None:
    rig.worker(threads=1)
    first = begun(rig, ["await", rig.path("gate")])
    second = rig.submit(["note", rig.path("second")])

    assert rig.cancel(second) == ["cancelled"]
    rig.open_gate("gate")

    rig.wait(first)
    assert rig.run(["ok", 1]) == 1
    assert rig.notes("second") == []


@BOTH
def test_handler_that_returns_although_it_was_cancelled_has_completed(shared: Rig, job_type: str) -> None:
    gate = f"gate-{job_type}"
    job_id = begun(shared, ["await_deaf", shared.path(gate)], ["ok", "done"], job_type=job_type)

    shared.cancel(job_id)
    shared.open_gate(gate)

    job = shared.wait(job_id)
    assert job.state in (JobState.COMPLETED, JobState.CANCELLED)
    assert (job.result == '"done"') == (job.state is JobState.COMPLETED)


def test_handler_that_fails_although_it_was_cancelled_is_not_tried_again(shared: Rig) -> None:
    job_id = begun(shared, ["until_cancelled"], ["fail"])

    shared.cancel(job_id)

    assert shared.wait(job_id).state is JobState.CANCELLED


@BOTH
def test_time_limit_is_told_at_checkpoints(shared: Rig, job_type: str) -> None:
    job = shared.wait(shared.submit(["sleep", 60], job_type=job_type, timeout_ms=300, max_attempts=1))

    assert (job.state, job.attempt) == (JobState.FAILED, 1)
    assert job.error is not None
    assert (job.error.category, job.error.retryable) == (ErrorCategory.TIMEOUT, True)
    assert "in _sleep" in job.error.stack_trace
    assert 300 <= job.end_ms - job.start_ms < LIMIT_S * 1_000


@pytest.mark.parametrize("step", [["block", 60], ["spin"]])
def test_time_limit_kills_what_does_not_hear(shared: Rig, step: list[Any]) -> None:
    name = f"limit-{step[0]}"
    job_id = shared.submit(["note", shared.path(name)], step, timeout_ms=200, max_attempts=1)

    job = shared.wait(job_id)

    assert job.error is not None
    assert job.error.category is ErrorCategory.TIMEOUT
    assert "did not stop" in job.error.message
    assert 700 <= job.end_ms - job.start_ms < LIMIT_S * 1_000
    until_gone([pid_of(shared, job_id, name)])


def test_sleeping_call_in_a_thread_is_stopped_when_it_returns(shared: Rig) -> None:
    job_id = shared.submit(
        ["block", 1.5], ["log", "never"], job_type="test.do_in_thread", timeout_ms=200, max_attempts=1
    )

    job = shared.wait(job_id)

    assert job.error is not None
    assert job.error.category is ErrorCategory.TIMEOUT
    assert job.end_ms - job.start_ms >= 1_500
    assert shared.lines(job_id) == []
    assert shared.run(["ok", 1], job_type="test.do_in_thread") == 1


def test_timed_out_attempt_is_tried_again(shared: Rig) -> None:
    job_id = shared.submit(["block_until_attempt", 2], ["ok", "second"], timeout_ms=200)

    assert shared.result(job_id) == "second"
    assert shared.job(job_id).attempt == 2


@pytest.mark.parametrize("way", ["cancel", "limit"])
def test_neighbours_of_a_killed_job_do_not_notice(shared: Rig, way: str) -> None:
    neighbours = [shared.submit(["sleep", 1.2], ["about"], max_attempts=1) for _ in range(3)]
    options = {"timeout_ms": 100} if way == "limit" else {}
    job_id = begun(shared, ["spin"], max_attempts=1, **options)
    if way == "cancel":
        shared.cancel(job_id)

    shared.wait(job_id)
    followers = [shared.submit(["ok", number], max_attempts=1) for number in range(8)]

    assert [shared.result(each) for each in followers] == list(range(8))
    assert [shared.result(each)["attempt"] for each in neighbours] == [1, 1, 1]


def test_many_cancels_at_once_hit_their_jobs_only(shared: Rig) -> None:
    """Half of many jobs are cancelled at any moment of their life; the other half never notices."""
    ids = [shared.submit(["sleep", 0.02], ["ok", number], max_attempts=1) for number in range(120)]
    for number in range(0, 120, 2):
        shared.cancel(ids[number])

    for number, job_id in enumerate(ids):
        job = shared.wait(job_id)
        if number % 2:
            assert (job.state, job.result) == (JobState.COMPLETED, str(number)), job
        else:
            assert job.state in (JobState.CANCELLED, JobState.COMPLETED)


def test_threads_of_a_handler_may_look_whether_to_stop(shared: Rig) -> None:
    job_id = begun(shared, ["look_in_threads", 60])

    shared.cancel(job_id)

    job = shared.wait(job_id)
    assert job.cancel is not None
    assert (job.state, job.cancel.kill_ms) == (JobState.CANCELLED, 0)
    assert [shared.run(["look_in_threads", 0.05], ["ok", number]) for number in range(8)] == list(range(8))
