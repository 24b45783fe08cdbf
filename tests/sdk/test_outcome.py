"""What the end of a job means for its caller."""

from __future__ import annotations

import pickle
import traceback
from typing import Any

import pytest

from jobsvc_sdk import errors
from jobsvc_sdk._outcome import error_of, value_of
from jobsvc_sdk.values import ErrorValue, JobStatus

TRACE = 'Traceback (most recent call last):\n  File "/srv/handlers.py", line 17, in profile\nValueError: bad row 17'


def failed(category: str = "application", **changes: Any) -> JobStatus:
    error = ErrorValue(category, "ValueError", "bad row 17", TRACE)
    settings: dict[str, Any] = {"attempt": 3, "max_attempts": 3, "error": error, **changes}
    return JobStatus("0-abc", "analytics.profile", state="failed", **settings)


def test_failed_job_says_what_failed_and_when() -> None:
    error = error_of(failed())

    assert type(error) is errors.JobFailed
    assert str(error) == "analytics.profile 0-abc failed on attempt 3 of 3: ValueError: bad row 17"
    assert (error.job_id, error.remote_traceback) == ("0-abc", TRACE)


def test_failed_job_prints_the_workers_traceback_above() -> None:
    error = error_of(failed())
    assert error is not None

    text = "".join(traceback.format_exception(error))

    assert (
        text.index('File "/srv/handlers.py", line 17')
        < text.index("direct cause")
        < text.index("attempt 3 of 3")
    )
    assert 'client.job("0-abc").logs()' in text


@pytest.mark.parametrize(
    ("category", "kind", "words"),
    [
        ("timeout", errors.JobTimedOut, "ran into its time limit on attempt 3 of 3"),
        ("worker_lost", errors.JobLost, "was lost with its worker on attempt 3 of 3"),
        ("internal", errors.JobFailed, "failed on attempt 3 of 3"),
    ],
)
def test_kind_of_failure_has_its_class(category: str, kind: type, words: str) -> None:
    error = error_of(failed(category))

    assert type(error) is kind
    assert isinstance(error, errors.JobFailed)
    assert words in str(error)


def test_failure_with_a_code_shows_it() -> None:
    error = error_of(failed(error=ErrorValue(type="Fail", message="no access", code="INVALID_CREDENTIALS")))

    assert "[INVALID_CREDENTIALS]: Fail: no access" in str(error)


def test_lost_attempts_are_counted_apart() -> None:
    assert "on attempt 3 of 3 (2 lost with their worker)" in str(error_of(failed(lost_attempts=2)))


def test_cancelled_job_says_why() -> None:
    error = error_of(JobStatus("0-abc", "a.b", state="cancelled", cancel_reason="too slow"))

    assert isinstance(error, errors.JobCancelled)
    assert str(error) == "a.b 0-abc was cancelled: too slow"


def test_cancelled_job_without_a_reason_says_no_more() -> None:
    status = JobStatus("0-abc", "a.b", state="cancelled", error=ErrorValue("cancelled", message="cancelled"))

    assert str(error_of(status)) == "a.b 0-abc was cancelled"


def test_result_keeps_whole_numbers_exact() -> None:
    status = JobStatus(
        "0-a", state="completed", result_json='{"n": 123456789012345678901, "x": 1.0, "none": null}'
    )

    assert error_of(status) is None
    assert value_of(status) == {"n": 123456789012345678901, "x": 1.0, "none": None}
    assert type(value_of(status)["n"]) is int


@pytest.mark.parametrize("text", [None, "{"])
def test_result_that_cannot_be_read_is_a_protocol_error(text: str | None) -> None:
    with pytest.raises(errors.ProtocolError, match="0-a"):
        value_of(JobStatus("0-a", state="completed", result_json=text))


def test_each_call_makes_an_error_of_its_own() -> None:
    assert error_of(failed()) is not error_of(failed())


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.JobsvcError)
    ],
)
def test_errors_can_be_pickled(kind: type[errors.JobsvcError]) -> None:
    error = kind("what happened")
    error.reason = "R"

    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is kind
    assert (copy.message, copy.reason) == ("what happened", "R")
