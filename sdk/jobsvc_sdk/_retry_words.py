"""Retry policies between the words of Python and the contract. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, TypeAlias

from google.protobuf.duration_pb2 import Duration

from jobsvc_proto.v1 import common_pb2

from .errors import ParamError, Violation

Span: TypeAlias = timedelta | float
"""A length of time: a timedelta, or seconds."""

ErrorName: TypeAlias = "type[BaseException] | str"
"""An exception class, or its name, or an error code."""

MAX_DELAY_S = 30 * 86_400
MAX_COUNT = 10_000
MAX_ENTRIES = 100
ALMOST_NOTHING = 1e-9
"""In the place of 0, with which a number of the contract takes the job type's: no delay differs by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When a failed attempt of a job is repeated, and after how long; what is None is decided by its job type.

    The words are those of ``@handler(retry=...)``. Durations are timedeltas or seconds.

    Attributes:
        max_attempts: Failed attempts after which the job has failed; 1 for no retries.
        backoff: Delay after the first failed attempt.
        max_backoff: No delay is longer.
        multiplier: Factor from one delay to the next, from 1.
        jitter: Fraction of each delay that may be taken off at random, 0 to 1.
        delays: The delays one by one instead of ``backoff`` and its like; the last repeats.
        rules: By error code or exception: ``False`` gives up, ``True`` retries, a duration retries after it. The first
            that matches decides; ``"*"`` matches every error, ``"TIMEOUT"`` an attempt that used up its time.
        give_up_on: Exceptions that end the job at once, with those that are derived from them.
        retry_on: If given, all other exceptions end the job at once.
        max_lost_attempts: Attempts that may be lost with their worker before the job has failed.
    """

    max_attempts: int | None = None
    backoff: Span | None = None
    max_backoff: Span | None = None
    multiplier: float | None = None
    jitter: float | None = None
    delays: Sequence[Span] | None = None
    rules: Mapping[ErrorName, bool | Span] | None = None
    give_up_on: ErrorName | Sequence[ErrorName] | None = None
    retry_on: ErrorName | Sequence[ErrorName] | None = None
    max_lost_attempts: int | None = None


def write_policy(message: common_pb2.RetryPolicy, policy: RetryPolicy | Mapping[str, Any]) -> None:
    """Write a policy into a message.

    Args:
        message: Where to.
        policy: A policy, or a mapping with the same words.

    Raises:
        ParamError: A word is wrong, is none, or contradicts another.
    """
    if isinstance(policy, RetryPolicy):
        words = {field.name: getattr(policy, field.name) for field in fields(policy)}
    elif isinstance(policy, Mapping):
        words = dict(policy)
    else:
        raise ParamError(
            f"retry: expected a RetryPolicy or a mapping such as {{'delays': [0, 30, 90]}}, got {policy!r}",
            violations=[Violation("retry", "expected a RetryPolicy or a mapping")],
        )
    said = {word: value for word, value in words.items() if value is not None}
    for word in said:
        if word not in _WRITERS:
            raise _wrong(word, f"is not part of a retry policy; there are {', '.join(_WRITERS)}")
    formula = next((word for word in ("backoff", "max_backoff", "multiplier") if word in said), None)
    if "delays" in said and formula:
        raise _wrong("delays", f"contradicts {formula}: list the delays, or give a formula")
    if "retry_on" in said and "*" in tuple(said.get("rules", ())):
        raise _wrong("retry_on", 'contradicts the rule "*": give one of them')
    for word, write in _WRITERS.items():  # in this order: what retry_on says comes after the rules
        if word in said:
            write(message, word, said[word])


def _count(message: common_pb2.RetryPolicy, word: str, value: Any) -> None:
    if type(value) is not int or not 1 <= value <= MAX_COUNT:
        raise _wrong(word, f"expected a whole number from 1 to {MAX_COUNT:,}, got {value!r}")
    setattr(message, word, value)


def _number(field: str, least: float, most: float) -> Callable[[common_pb2.RetryPolicy, str, Any], None]:
    def write(message: common_pb2.RetryPolicy, word: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            raise _wrong(word, f"expected a number from {least:g} to {most:g}, got {value!r}")
        setattr(message, field, value or ALMOST_NOTHING)

    return write


def _span(field: str) -> Callable[[common_pb2.RetryPolicy, str, Any], None]:
    def write(message: common_pb2.RetryPolicy, word: str, value: Any) -> None:
        getattr(message, field).CopyFrom(_duration(word, value))

    return write


def _duration(word: str, value: Any) -> Duration:
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    # Written so that NaN is refused as well.
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= MAX_DELAY_S:
        raise _wrong(word, f"expected a timedelta or seconds from 0 to 30 days, got {value!r}")
    message = Duration()
    message.FromTimedelta(timedelta(seconds=seconds))
    return message


def _delays(message: common_pb2.RetryPolicy, word: str, value: Any) -> None:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise _wrong(word, f"expected a list such as [0, 30, 90], of which the last repeats, got {value!r}")
    listed = list(value)
    if not 1 <= len(listed) <= MAX_ENTRIES:
        raise _wrong(word, f"expected 1 to {MAX_ENTRIES} entries, got {len(listed)}")
    message.delays.extend(_duration(f"{word}[{index}]", delay) for index, delay in enumerate(listed))


def _rules(message: common_pb2.RetryPolicy, word: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise _wrong(word, f"expected a mapping such as {{'RATE_LIMITED': 60}}, got {value!r}")
    for key, what in value.items():
        [error] = _names(word, (key,))
        rule = message.rules.add(error_code=error, retry=what is not False)
        if not isinstance(what, bool):
            rule.delay.CopyFrom(_duration(f"{word}[{error}]", what))


def _give_up_on(message: common_pb2.RetryPolicy, word: str, value: Any) -> None:
    message.non_retryable_error_types.extend(_names(word, value))


def _retry_on(message: common_pb2.RetryPolicy, word: str, value: Any) -> None:
    for name in _names(word, value):
        message.rules.add(error_code=name, retry=True)
    message.rules.add(error_code="*")


def _names(word: str, value: Any) -> list[str]:
    """Names of errors: exception classes by their qualified name, text as it is."""
    listed = value if isinstance(value, (tuple, list, set, frozenset)) else (value,)
    return [_name(word, one) for one in listed]


def _name(word: str, one: Any) -> str:
    if isinstance(one, type) and issubclass(one, BaseException):
        return f"{one.__module__}.{one.__qualname__}"
    if isinstance(one, str) and 0 < len(one) <= 256:
        return str(one)
    raise _wrong(word, f"expected exception classes, their names or error codes, got {one!r}")


def _wrong(word: str, description: str) -> ParamError:
    return ParamError(f"retry: {word} {description}", violations=[Violation(f"retry.{word}", description)])


_WRITERS: Mapping[str, Callable[[common_pb2.RetryPolicy, str, Any], None]] = {
    "max_attempts": _count,
    "backoff": _span("initial_backoff"),
    "max_backoff": _span("max_backoff"),
    "multiplier": _number("backoff_multiplier", 1, 1_000),
    "jitter": _number("jitter", 0, 1),
    "delays": _delays,
    "rules": _rules,
    "give_up_on": _give_up_on,
    "retry_on": _retry_on,
    "max_lost_attempts": _count,
}
"""Word of Python -> what writes it into the message."""
