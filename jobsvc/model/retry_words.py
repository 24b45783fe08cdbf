"""Retry policies as people write them in code: seconds, exception classes, plain words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeAlias

from jobsvc.model.retry import ANY_ERROR, RetryOverride, RetryRule

Span: TypeAlias = timedelta | float
"""``timedelta`` or seconds."""

MAX_ATTEMPTS = 10_000
MAX_DELAYS = 100
MAX_RULES = 100
MAX_DELAY_MS = 30 * 86_400_000
MAX_MULTIPLIER = 1_000

WORDS = (
    "max_attempts",
    "backoff",
    "max_backoff",
    "multiplier",
    "jitter",
    "delays",
    "rules",
    "give_up_on",
    "retry_on",
    "max_lost_attempts",
)  # fmt: skip


class BadRetry(ValueError):
    """A part of a retry policy is wrong; the text begins with its name and says what is accepted."""


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """What somebody has said about retries; 0 and an empty override say nothing."""

    max_attempts: int = 0
    max_lost_attempts: int = 0
    override: RetryOverride = field(default_factory=RetryOverride)


def settings_from_words(words: Mapping[str, Any]) -> RetrySettings:
    """Read a retry policy: ``{"max_attempts": 5, "delays": [0, 30, 90], "rules": {"RATE_LIMITED": 60}}``.

    Args:
        words: Out of ``WORDS``; ``None`` is as if it were not there.

    Raises:
        BadRetry: One is wrong, is none, or contradicts another.
    """
    said = {name: value for name, value in words.items() if value is not None}
    for name in said:
        if name not in WORDS:
            raise BadRetry(f"{name} is not part of a retry policy; there are {', '.join(WORDS)}")
    formula = [name for name in ("backoff", "max_backoff", "multiplier") if name in said]
    if "delays" in said and formula:
        raise BadRetry(f"delays and {formula[0]} contradict each other: list the delays, or give a formula")
    return RetrySettings(
        _whole("max_attempts", said.get("max_attempts")),
        _whole("max_lost_attempts", said.get("max_lost_attempts")),
        RetryOverride(
            initial_ms=_span_ms("backoff", said["backoff"]) if "backoff" in said else None,
            max_ms=_span_ms("max_backoff", said["max_backoff"]) if "max_backoff" in said else None,
            multiplier=_number("multiplier", said.get("multiplier"), 1, MAX_MULTIPLIER),
            jitter=_number("jitter", said.get("jitter"), 0, 1),
            non_retryable_types=tuple(_names("give_up_on", said.get("give_up_on", ()))),
            delays_ms=_delays(said["delays"]) if "delays" in said else (),
            rules=_rules(said.get("rules", {}), said.get("retry_on")),
        ),
    )


def _whole(name: str, value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_ATTEMPTS:
        first = "; it counts the first attempt" if name == "max_attempts" else ""
        raise BadRetry(f"{name} is {value!r}; it must be a whole number from 1 to {MAX_ATTEMPTS:,}{first}")
    return value


def _number(name: str, value: Any, least: float, most: float) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise BadRetry(f"{name} is {value!r}; it must be a number from {least:g} to {most:g}")
    return float(value)


def _span_ms(name: str, value: Any) -> int:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not 0 <= seconds * 1_000 <= MAX_DELAY_MS:  # NaN is refused as well
        raise BadRetry(f"{name} is {value!r}; it must be a timedelta or seconds, from 0 to 30 days")
    return round(seconds * 1_000)


def _delays(value: Any) -> tuple[int, ...]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise BadRetry(
            f"delays is {value!r}; it must be a list such as [0, 30, 90], of which the last repeats"
        )
    listed = list(value)
    if not 1 <= len(listed) <= MAX_DELAYS:
        raise BadRetry(f"delays has {len(listed)} entries; it must have 1 to {MAX_DELAYS}")
    return tuple(_span_ms(f"delays[{index}]", delay) for index, delay in enumerate(listed))


def _rules(rules: Any, retry_on: Any) -> tuple[RetryRule, ...]:
    if not isinstance(rules, Mapping):
        raise BadRetry(
            f'rules is {rules!r}; it must be a mapping such as {{"RATE_LIMITED": 60, "INVALID_CREDENTIALS": False}}'
        )
    found = [_rule(key, what) for key, what in rules.items()]
    if retry_on is not None:
        if any(rule.error == ANY_ERROR for rule in found):
            raise BadRetry(f'retry_on and the rule "{ANY_ERROR}" contradict each other: give one of them')
        found += [RetryRule(name) for name in _names("retry_on", retry_on)]
        found.append(RetryRule(ANY_ERROR, retry=False))
    if len(found) > MAX_RULES:
        raise BadRetry(f"rules has {len(found)} entries; it must have at most {MAX_RULES}")
    return tuple(found)


def _rule(key: Any, what: Any) -> RetryRule:
    [error] = _names("rules", (key,))
    if isinstance(what, bool):
        return RetryRule(error, retry=what)
    try:
        return RetryRule(error, delay_ms=_span_ms(f"rules[{error}]", what))
    except BadRetry:
        raise BadRetry(
            f"rules[{error}] is {what!r}; it must be False (give up), True (retry) or a delay as timedelta or "
            "seconds, from 0 to 30 days"
        ) from None


def _names(name: str, value: Any) -> list[str]:
    """Names of errors: exception classes by their qualified name, text as it is."""
    listed = value if isinstance(value, tuple | list | set | frozenset) else (value,)
    return [_name(name, one) for one in listed]


def _name(name: str, one: Any) -> str:
    if isinstance(one, type) and issubclass(one, BaseException):
        return f"{one.__module__}.{one.__qualname__}"
    if isinstance(one, str) and 0 < len(one) <= 256:
        return str(one)
    raise BadRetry(
        f"{name} has {one!r}; errors are named by exception class, its name, or an error code, "
        "with 1 to 256 characters"
    )
