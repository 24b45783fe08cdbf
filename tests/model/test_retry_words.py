"""Retry policies as people write them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jobsvc.model.retry import RetryOverride, RetryRule
from jobsvc.model.retry_words import BadRetry, RetrySettings, settings_from_words


def test_words_become_settings() -> None:
    said = settings_from_words(
        {
            "max_attempts": 6,
            "delays": [0, 30, timedelta(seconds=90), 0.5],
            "jitter": 0,
            "rules": {
                "INVALID_CREDENTIALS": False,
                "RATE_LIMITED": 60,
                OSError: timedelta(seconds=1),
                "X": True,
            },
            "give_up_on": (ValueError, "requests.Timeout"),
            "max_lost_attempts": 1,
            "backoff": None,
        }
    )

    assert said == RetrySettings(
        6,
        1,
        RetryOverride(
            jitter=0.0,
            delays_ms=(0, 30_000, 90_000, 500),
            non_retryable_types=("builtins.ValueError", "requests.Timeout"),
            rules=(
                RetryRule("INVALID_CREDENTIALS", retry=False),
                RetryRule("RATE_LIMITED", delay_ms=60_000),
                RetryRule("builtins.OSError", delay_ms=1_000),
                RetryRule("X"),
            ),
        ),
    )


def test_formula_and_types_to_retry_become_settings() -> None:
    said = settings_from_words({"backoff": 2, "max_backoff": 600, "multiplier": 3, "retry_on": OSError})

    assert said == RetrySettings(
        override=RetryOverride(
            2_000, 600_000, 3.0, rules=(RetryRule("builtins.OSError"), RetryRule("*", retry=False))
        )
    )
    assert settings_from_words({}) == RetrySettings()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"delay": 3}, "delay is not part of a retry policy; there are max_attempts, backoff"),
        (
            {"max_attempts": 0},
            "max_attempts is 0; it must be a whole number from 1 to 10,000; it counts the first",
        ),
        ({"max_attempts": True}, "max_attempts is True"),
        ({"max_lost_attempts": 0}, "max_lost_attempts is 0; it must be a whole number from 1 to 10,000"),
        ({"backoff": -1}, "backoff is -1; it must be a timedelta or seconds, from 0 to 30 days"),
        ({"max_backoff": float("nan")}, "max_backoff is nan; it must be"),
        ({"backoff": "5s"}, "backoff is '5s'; it must be a timedelta or seconds"),
        ({"multiplier": 0.5}, "multiplier is 0.5; it must be a number from 1 to 1000"),
        ({"jitter": 2}, "jitter is 2; it must be a number from 0 to 1"),
        ({"delays": []}, "delays has 0 entries; it must have 1 to 100"),
        ({"delays": [1] * 101}, "delays has 101 entries"),
        ({"delays": "0,30"}, "delays is '0,30'; it must be a list such as"),
        ({"delays": [0, -1]}, "delays[1] is -1; it must be a timedelta or seconds"),
        ({"delays": [1], "backoff": 1}, "delays and backoff contradict each other"),
        ({"rules": ["A"]}, "rules is ['A']; it must be a mapping such as"),
        ({"rules": {"A": "no"}}, "rules[A] is 'no'; it must be False (give up), True (retry) or a delay"),
        ({"rules": {"": False}}, "rules has ''; errors are named by"),
        ({"rules": {str(n): False for n in range(101)}}, "rules has 101 entries; it must have at most 100"),
        ({"rules": {"*": True}, "retry_on": OSError}, 'retry_on and the rule "*" contradict each other'),
        ({"give_up_on": (3,)}, "give_up_on has 3; errors are named by exception class"),
        ({"retry_on": int}, "retry_on has <class 'int'>; errors are named by"),
    ],
)
def test_wrong_words_are_named(words: dict[str, Any], text: str) -> None:
    with pytest.raises(BadRetry) as caught:
        settings_from_words(words)

    assert str(caught.value).startswith(text)
