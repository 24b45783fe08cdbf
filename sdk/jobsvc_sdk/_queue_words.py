"""Settings of a queue between the words of Python and the contract. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration

from jobsvc_proto.v1 import common_pb2
from jobsvc_proto.v1 import queue_service_pb2 as pb

from . import _requests
from ._convert import span_of
from .errors import ParamError, Violation

_UNITS_S = {"s": 1, "min": 60, "h": 3_600, "day": 86_400}
_RATE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)?\s*(s|min|h|day)\s*")
_PRIORITIES = {"low": 10, "medium": 20, "high": 30, "urgent": 40}
_STATES = ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """A queue and its settings; None where there is no limit, or where something else decides.

    Attributes:
        name: The queue.
        paused: Nothing is started from it.
        pause_reason: What whoever paused it said.
        max_concurrency: Jobs that run at once, over all workers.
        max_concurrency_per_worker: Jobs that run at once in one worker process.
        rate: How many jobs start per time, over all workers, e.g. ``"20/min"``.
        burst: How many of them may start at one instant.
        max_waiting: More waiting jobs are refused.
        timeout: Limit of one attempt, for jobs whose caller and handler set none.
        priority: For jobs whose caller and handler set none.
        max_attempts: For jobs whose caller and handler set none.
        backoff: Delay after the first failed attempt, for jobs whose caller and handler set no retries.
        max_backoff: The longest such delay.
        keep_for: How long finished jobs are kept, by state; a state that is missing takes the server's setting.
        keep_count: How many finished jobs are kept, by state.
        etag: Changes with every change.
    """

    name: str
    paused: bool = False
    pause_reason: str = ""
    max_concurrency: int | None = None
    max_concurrency_per_worker: int | None = None
    rate: str | None = None
    burst: float | None = None
    max_waiting: int | None = None
    timeout: timedelta | None = None
    priority: str | None = None
    max_attempts: int | None = None
    backoff: timedelta | None = None
    max_backoff: timedelta | None = None
    keep_for: Mapping[str, timedelta] | None = None
    keep_count: Mapping[str, int] | None = None
    etag: str = ""


def queue_info(message: pb.Queue) -> QueueInfo:
    """Convert a queue."""
    policy = message.default_retry_policy
    names = {number: name for name, number in _PRIORITIES.items()}
    kept = {state: getattr(message, f"{state}_retention") for state in _STATES}
    return QueueInfo(
        name=message.name,
        paused=message.paused,
        pause_reason=message.pause_reason,
        max_concurrency=message.max_concurrency or None,
        max_concurrency_per_worker=message.max_concurrency_per_worker or None,
        rate=_rate_text(message.rate_limit) if message.HasField("rate_limit") else None,
        burst=message.rate_limit.burst if message.HasField("rate_limit") else None,
        max_waiting=message.max_waiting or None,
        timeout=span_of(message, "default_attempt_timeout"),
        priority=names.get(message.default_priority),
        max_attempts=policy.max_attempts or None,
        backoff=span_of(policy, "initial_backoff"),
        max_backoff=span_of(policy, "max_backoff"),
        keep_for={state: span for state in _STATES if (span := span_of(kept[state], "max_age")) is not None},
        keep_count={state: kept[state].max_count for state in _STATES if kept[state].max_count},
        etag=message.etag,
    )


def update_request(name: str, words: Mapping[str, Any], etag: str = "") -> pb.UpdateQueueRequest:
    """Return the request that gives a queue new settings; ``None`` takes a setting away.

    Raises:
        ParamError: One is wrong, or is no setting.
    """
    request = pb.UpdateQueueRequest(queue=pb.Queue(name=name, etag=etag))
    if not words:
        raise _wrong("update", f"name at least one setting: {', '.join(_WRITERS)}")
    if "burst" in words and "rate" not in words:
        raise _wrong("burst", "goes with rate")
    for word, value in words.items():
        if word == "burst":
            continue
        if word not in _WRITERS:
            raise _wrong(word, f"is no setting of a queue; there are {', '.join(_WRITERS)}")
        path = _WRITERS[word](request.queue, value)
        if path not in request.update_mask.paths:
            request.update_mask.paths.append(path)
    if words.get("rate") is not None and words.get("burst") is not None:
        request.queue.rate_limit.burst = words["burst"]
    return request


def _number(field: str) -> Callable[[pb.Queue, Any], str]:
    def write(queue: pb.Queue, value: Any) -> str:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise _wrong(field, f"expected a whole number of 0 or more, or None, got {value!r}")
        setattr(queue, field, value or 0)
        return field

    return write


def _span(field: str, word: str) -> Callable[[pb.Queue, Any], str]:
    def write(queue: pb.Queue, value: Any) -> str:
        if value is not None:
            getattr(queue, field).CopyFrom(_requests.span(value, word))
        return field

    return write


def _retry(part: str, word: str) -> Callable[[pb.Queue, Any], str]:
    def write(queue: pb.Queue, value: Any) -> str:
        policy = queue.default_retry_policy
        if part == "max_attempts":
            _number("max_attempts")(policy, value)  # type: ignore[arg-type]
        elif value is not None:
            getattr(policy, part).CopyFrom(_requests.span(value, word))
        return "default_retry_policy"

    return write


def _kept(state: str, what: str) -> Callable[[pb.Queue, Any], str]:
    def write(queue: pb.Queue, value: Any) -> str:
        field = f"{state}_retention"
        if value is not None and what == "for":
            getattr(queue, field).max_age.CopyFrom(_requests.span(value, f"keep_{state}_for"))
        elif value is not None:
            getattr(queue, field).max_count = value
        return field

    return write


def _rate(queue: pb.Queue, value: Any) -> str:
    if value is not None:
        found = _RATE.fullmatch(str(value))
        if not found:
            raise _wrong("rate", f"expected text such as '20/min', '10/s' or '5/30s', got {value!r}")
        queue.rate_limit.max_units = float(found[1])
        seconds = float(found[2] or 1) * _UNITS_S[found[3]]
        queue.rate_limit.per.CopyFrom(Duration(seconds=int(seconds), nanos=round(seconds % 1 * 10**9)))
    return "rate_limit"


def _priority(queue: pb.Queue, value: Any) -> str:
    if value is not None and value not in _PRIORITIES:
        raise _wrong("priority", f"expected one of {', '.join(_PRIORITIES)}, got {value!r}")
    if value is not None:
        queue.default_priority = common_pb2.Priority.Value(f"PRIORITY_{value.upper()}")
    return "default_priority"


def _rate_text(rate: pb.RateLimit) -> str:
    seconds = rate.per.seconds + rate.per.nanos / 10**9
    for name, length in _UNITS_S.items():
        if seconds == length:
            return f"{rate.max_units:g}/{name}"
    return f"{rate.max_units:g}/{seconds:g}s"


def _wrong(name: str, description: str) -> ParamError:
    return ParamError(f"{name}: {description}", violations=[Violation(name, description)])


_WRITERS: Mapping[str, Callable[[pb.Queue, Any], str]] = {
    "max_concurrency": _number("max_concurrency"),
    "max_concurrency_per_worker": _number("max_concurrency_per_worker"),
    "rate": _rate,
    "burst": _rate,
    "max_waiting": _number("max_waiting"),
    "timeout": _span("default_attempt_timeout", "timeout"),
    "priority": _priority,
    "max_attempts": _retry("max_attempts", "max_attempts"),
    "backoff": _retry("initial_backoff", "backoff"),
    "max_backoff": _retry("max_backoff", "max_backoff"),
    **{f"keep_{state}_for": _kept(state, "for") for state in _STATES},
    **{f"keep_{state}_count": _kept(state, "count") for state in _STATES},
}
"""Word of Python -> what writes it into the message and gives the path for the update mask."""
