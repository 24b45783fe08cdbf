"""What comes of an attempt, in child processes and in threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobsvc.model.job import ErrorCategory, JobError
from jobsvc.model.lifecycle import JobState, Outcome
from jobsvc.model.retry import RetryOverride
from tests.worker.rig import Rig

BOTH = pytest.mark.parametrize("job_type", ["test.do", "test.do_in_thread"])
HANDLERS = str(Path(__file__).resolve().parents[1] / "handlers.py")


def error_of(rig: Rig, *steps: list[Any], **options: Any) -> JobError:
    job = rig.wait(rig.submit(*steps, **{"max_attempts": 1, **options}))
    assert job.state is JobState.FAILED
    assert job.error is not None
    return job.error


@pytest.mark.parametrize("job_type", ["test.do", "test.do_in_thread", "test.do_async"])
@pytest.mark.parametrize("value", [None, 7, 1.5, "é\U0001f600", [1, {"a": None}], True])
def test_returned_value_is_the_result(shared: Rig, job_type: str, value: Any) -> None:
    assert shared.run(["ok", value], job_type=job_type) == value


@BOTH
def test_handler_knows_its_job(shared: Rig, job_type: str) -> None:
    about = shared.run(["about"], job_type=job_type, id=f"about-{job_type}", max_attempts=7)

    assert about["id"] == f"about-{job_type}"
    assert (about["attempt"], about["max_attempts"], about["job_type"]) == (1, 7, job_type)
    assert (about["batch_id"], about["cancelled"]) == ("", False)
    assert (about["pid"] == shared.workers[0].pid) == (job_type == "test.do_in_thread")


@pytest.mark.parametrize("job_type", ["test.do", "test.do_in_thread", "test.do_async"])
def test_raised_exception_is_told_from_the_handlers_frame_on(shared: Rig, job_type: str) -> None:
    error = error_of(shared, ["fail", "bad row 17"], job_type=job_type)

    assert (error.category, error.type, error.message) == (
        ErrorCategory.APPLICATION,
        "builtins.ValueError",
        "bad row 17",
    )
    first = error.stack_trace.splitlines()[1]
    assert first.startswith(f'  File "{HANDLERS}", line '), error.stack_trace
    assert "jobsvc/worker" not in error.stack_trace
    assert "asyncio" not in error.stack_trace
    assert error.stack_trace.rstrip().endswith("ValueError: bad row 17")


@BOTH
def test_failed_attempt_is_repeated_until_it_succeeds(shared: Rig, job_type: str) -> None:
    job_id = shared.submit(["fail", "not yet", 3], ["ok", "done"], job_type=job_type)

    assert shared.result(job_id) == "done"
    job = shared.job(job_id)
    assert (job.attempt, job.error) == (3, None)
    assert [attempt.outcome for attempt in job.attempts] == [Outcome.RETRIED] * 2


def test_attempts_are_limited(shared: Rig) -> None:
    job = shared.wait(shared.submit(["fail", "never"]))

    assert (job.state, job.attempt) == (JobState.FAILED, 3)
    assert [attempt.outcome for attempt in job.attempts] == [Outcome.RETRIED] * 2 + [Outcome.FAILED]
    assert shared.wait(shared.submit(["fail"], max_attempts=2)).attempt == 2


def test_job_sets_its_own_back_off(shared: Rig) -> None:
    retry = RetryOverride(initial_ms=600_000, max_ms=600_000, jitter=0.0)

    job = shared.wait(shared.submit(["fail"], retry=retry), JobState.SCHEDULED)

    assert 590_000 < job.due_ms - job.attempts[0].end_ms <= 601_000
    assert shared.cancel(job.id) == ["cancelled"]


def test_exception_of_a_kind_that_no_attempt_helps_fails_at_once(shared: Rig) -> None:
    job = shared.wait(shared.submit(["fail"], retry=RetryOverride(non_retryable_types=("ValueError",))))

    assert (job.state, job.attempt) == (JobState.FAILED, 1)


@BOTH
def test_fail_ends_the_job_whatever_is_left(shared: Rig, job_type: str) -> None:
    job = shared.wait(
        shared.submit(["fail_for_good", "wrong password", "BAD_CREDENTIALS"], job_type=job_type)
    )

    assert job.error is not None
    assert (job.state, job.attempt) == (JobState.FAILED, 1)
    assert (job.error.type, job.error.message, job.error.code, job.error.retryable) == (
        "jobsvc.Fail",
        "wrong password",
        "BAD_CREDENTIALS",
        False,
    )


@BOTH
def test_retry_says_how_long_to_wait(shared: Rig, job_type: str) -> None:
    waiting = shared.wait(shared.submit(["retry", 500], job_type=job_type), JobState.SCHEDULED)

    assert 499_000 < waiting.due_ms - waiting.attempts[0].end_ms <= 501_000
    assert shared.cancel(waiting.id) == ["cancelled"]
    assert shared.run(["retry", 0, 3], ["ok", 1], job_type=job_type) == 1


@BOTH
@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("nan", "the value is nan; JSON has no such number"),
        ("object", "the handler returned object, which cannot be kept as JSON"),
        ("large", "the result has 300,002 bytes as JSON, the limit is 262,144"),
        ("surrogate", "half of a surrogate pair"),
        ("deep", "cannot be kept as JSON"),
    ],
)
def test_result_that_cannot_be_kept_fails_the_job(shared: Rig, job_type: str, kind: str, text: str) -> None:
    error = error_of(shared, ["result", kind], job_type=job_type, max_attempts=3)

    assert (error.category, error.type, error.retryable) == (
        ErrorCategory.APPLICATION,
        "jobsvc.BadResult",
        False,
    )
    assert text in error.message


def test_set_is_returned_as_a_list(shared: Rig) -> None:
    assert sorted(shared.run(["result", "set"])) == [1, 2]


@BOTH
@pytest.mark.parametrize(
    ("step", "message"),
    [("raise_surrogate", "half a pair: ?"), ("raise_mute", "(its text cannot be had: RuntimeError)")],
)
def test_exception_that_cannot_be_told_stops_no_slot(
    shared: Rig, job_type: str, step: str, message: str
) -> None:
    for _ in range(5):  # more than there are slots
        assert error_of(shared, [step], job_type=job_type).message == message

    assert shared.run(["ok", 1], job_type=job_type) == 1


@BOTH
def test_arguments_that_do_not_fit_fail_without_another_attempt(shared: Rig, job_type: str) -> None:
    error = error_of(shared, job_type=job_type, arguments={"step": 1}, max_attempts=3)

    assert error.category is ErrorCategory.INVALID_ARGUMENTS
    assert "steps: Field required" in error.message
    assert "step: Extra inputs are not permitted" in error.message


@BOTH
def test_exit_of_the_interpreter_is_a_failure_like_others(shared: Rig, job_type: str) -> None:
    error = error_of(shared, ["leave"], job_type=job_type)

    assert error.type == "builtins.SystemExit"


@pytest.mark.parametrize(
    ("step", "how"),
    [
        (["crash"], "was ended by SIGSEGV"),
        (["exit", 3], "ended by itself with status 3"),
        (["signal", "SIGKILL"], "was ended by SIGKILL; it may have run out of memory"),
        (["signal", "SIGTERM"], "was ended by SIGTERM"),
    ],
)
def test_process_that_dies_fails_its_attempt_only(shared: Rig, step: list[Any], how: str) -> None:
    others = [shared.submit(["sleep", 0.3], ["ok", number]) for number in range(3)]

    job = shared.wait(shared.submit(step, max_attempts=2))

    assert (job.state, job.attempt, job.lost_attempts) == (JobState.FAILED, 2, 0)
    assert job.error is not None
    assert (job.error.type, job.error.retryable) == ("jobsvc.ProcessDied", True)
    assert how in job.error.message
    assert [shared.result(job_id) for job_id in others] == [0, 1, 2]
    assert all(shared.job(job_id).attempt == 1 for job_id in others)


def test_unknown_type_on_a_served_queue_is_handed_back(shared: Rig) -> None:
    job_id = shared.submit(["ok"], job_type="test.unknown")

    job = shared.wait(job_id, JobState.SCHEDULED)

    assert (job.attempt, job.attempts) == (0, ())
    assert shared.cancel(job_id) == ["cancelled"]


def test_handler_is_alone_with_its_environment(shared: Rig) -> None:
    assert shared.run(["environment", "JOBSVC_NAMESPACE"]) == shared.namespace


def test_handler_may_work_in_processes_of_its_own(shared: Rig) -> None:
    assert shared.run(["pool", [-1, 2, -3]]) == [1, 2, 3]
