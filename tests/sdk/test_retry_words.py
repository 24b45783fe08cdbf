"""Retry policies in the words of the SDK, as the contract has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobsvc.model.retry import RetryPolicy as Model
from jobsvc.model.retry_words import settings_from_words
from jobsvc.rpc.policies import Problems, read_policy
from jobsvc_proto.v1 import common_pb2
from jobsvc_sdk import JobFailed, RetryPolicy, _convert, _requests
from jobsvc_sdk._outcome import error_of
from jobsvc_sdk._requests import Options
from jobsvc_sdk.errors import ParamError
from jobsvc_sdk.values import AttemptValue, ErrorValue, JobStatus

WORDS: list[dict[str, Any]] = [
    {},
    {"max_attempts": 7, "max_lost_attempts": 1},
    {"backoff": 2, "max_backoff": timedelta(minutes=5), "multiplier": 3, "jitter": 0.5},
    {"delays": [0, 30, timedelta(seconds=90)], "jitter": 0.1},
    {"rules": {"A": False, "B": True, "C": 60, ValueError: 0}},
    {"retry_on": (OSError, "KeyError"), "give_up_on": ConnectionError, "rules": {"A": 1}},
]


@pytest.mark.parametrize("words", WORDS)
def test_words_mean_the_same_to_a_job_and_to_a_handler(words: dict[str, Any]) -> None:
    problems: Problems = []

    for policy in (words, RetryPolicy(**words)):
        spec = _requests.job_spec("a.b", "{}", Options(retry=policy))
        attempts, lost, override = read_policy(spec, problems)
        said = settings_from_words(words)

        assert not problems
        assert (attempts, lost) == (said.max_attempts, said.max_lost_attempts)
        assert Model().with_override(override) == Model().with_override(said.override)


def test_no_jitter_is_not_the_jitter_of_the_job_type() -> None:
    spec = _requests.job_spec("a.b", "{}", Options(retry={"jitter": 0}))
    _, _, override = read_policy(spec, [])

    assert Model().with_override(override).delay_ms(20, lambda: 1.0) == 60_000


@pytest.mark.parametrize(
    ("retry", "words"),
    [
        ({"delay": 3}, "retry: delay is not part of a retry policy; there are max_attempts, backoff"),
        ([3], "retry: expected a RetryPolicy or a mapping"),
        ({"max_attempts": 0}, "retry: max_attempts expected a whole number from 1 to 10,000, got 0"),
        ({"backoff": -1}, "retry: backoff expected a timedelta or seconds from 0 to 30 days, got -1"),
        ({"backoff": float("nan")}, "retry: backoff expected a timedelta"),
        ({"multiplier": 0.5}, "retry: multiplier expected a number from 1 to 1000, got 0.5"),
        ({"jitter": True}, "retry: jitter expected a number from 0 to 1, got True"),
        ({"delays": "0,30"}, "retry: delays expected a list such as [0, 30, 90]"),
        ({"delays": []}, "retry: delays expected 1 to 100 entries, got 0"),
        ({"delays": [1, "x"]}, "retry: delays[1] expected a timedelta or seconds"),
        ({"delays": [1], "max_backoff": 3}, "retry: delays contradicts max_backoff"),
        ({"rules": ["A"]}, "retry: rules expected a mapping"),
        ({"rules": {"A": "no"}}, "retry: rules[A] expected a timedelta or seconds"),
        ({"rules": {"*": True}, "retry_on": OSError}, 'retry: retry_on contradicts the rule "*"'),
        ({"give_up_on": 3}, "retry: give_up_on expected exception classes, their names or error codes"),
    ],
)
def test_wrong_words_are_refused_before_anything_is_sent(retry: Any, words: str) -> None:
    with pytest.raises(ParamError) as caught:
        _requests.job_spec("a.b", "{}", Options(retry=retry))

    assert str(caught.value).startswith(words)
    assert caught.value.violations[0].field.startswith("retry")


def test_attempts_are_given_once() -> None:
    with pytest.raises(ParamError, match="max_attempts: is given twice, in retry and beside it"):
        _requests.job_spec("a.b", "{}", Options(max_attempts=3, retry={"max_attempts": 3}))


def test_attempt_says_when_the_next_is_due() -> None:
    message = common_pb2.Attempt(number=1, outcome=common_pb2.Attempt.OUTCOME_RETRIED)
    message.end_time.FromSeconds(1_000)
    message.retry_delay.FromSeconds(30)
    message.error.code = "RATE_LIMITED"
    message.error.details.json = '{"limit": 5}'

    attempt = _convert.attempt(message)

    assert (attempt.outcome, attempt.retry_delay) == ("retried", timedelta(seconds=30))
    assert attempt.next_time == datetime.fromtimestamp(1_030, UTC)
    assert attempt.error is not None
    assert (attempt.error.code, attempt.error.details) == ("RATE_LIMITED", {"limit": 5})
    assert AttemptValue(1, outcome="failed", end_time=attempt.end_time).next_time is None


def test_failure_shows_its_code() -> None:
    error = ErrorValue(type="jobsvc.Fail", message="no such user", code="INVALID_CREDENTIALS")

    failure = error_of(JobStatus("j", state="failed", error=error))

    assert isinstance(failure, JobFailed)
    assert failure.code == "INVALID_CREDENTIALS"
    assert "[INVALID_CREDENTIALS]" in str(failure)
    assert error.details is None
