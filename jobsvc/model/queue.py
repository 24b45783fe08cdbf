"""Queues and their settings: what holds over all workers, and what jobs get that bring nothing of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from jobsvc.model.job import Priority

QUEUE_NAME = re.compile(r"[A-Za-z0-9._:-]{1,128}")
MAX_COUNT = 1_000_000_000
DAY_MS = 86_400_000
MAX_SPAN_MS = 3_650 * DAY_MS

_UNITS_MS = {
    "s": 1_000,
    "sec": 1_000,
    "second": 1_000,
    "min": 60_000,
    "m": 60_000,
    "minute": 60_000,
    "h": 3_600_000,
    "hour": 3_600_000,
    "day": DAY_MS,
    "d": DAY_MS,
}
_RATE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)?\s*([a-z]+)\s*")


class BadSetting(ValueError):
    """A setting of a queue is wrong.

    Attributes:
        field: Which.
        problem: What is wrong, and what is accepted.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")
        self.field = field
        self.problem = problem


def _check_number(field: str, value: Any, least: float, most: float, *, whole: bool = False) -> None:
    number = isinstance(value, int) or (isinstance(value, float) and not whole)
    if isinstance(value, bool) or not number or not least <= value <= most:
        kind = "a whole number" if whole else "a number"
        raise BadSetting(field, f"is {value!r}; it must be {kind} from {least:g} to {most:g}")


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most ``units`` starts per ``per_ms`` milliseconds, evenly, of which ``burst`` may come at one instant.

    In any window of time no more than ``burst + units * window / per_ms`` jobs start.
    """

    units: float
    per_ms: int
    burst: float = 1.0

    @classmethod
    def parse(cls, text: str, burst: float = 1.0) -> RateLimit:
        """Read ``"20/min"``, ``"10/s"`` or ``"5/30s"``.

        Raises:
            BadSetting: It is something else.
        """
        found = _RATE.fullmatch(text)
        per_ms = found and round(float(found[2] or 1) * _UNITS_MS.get(found[3], 0))
        if not found or not per_ms:
            raise BadSetting("rate", f"is {text!r}; write it as 20/min, 10/s or 5/30s")
        return cls(float(found[1]), per_ms, burst)

    def __str__(self) -> str:
        for name, ms in (("day", DAY_MS), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)):
            if self.per_ms == ms:
                return f"{self.units:g}/{name}"
        return f"{self.units:g}/{self.per_ms / 1_000:g}s"


@dataclass(frozen=True, slots=True)
class Retention:
    """How long finished jobs are kept: both limits hold; 0 is none."""

    max_age_ms: int = 0
    max_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """Settings of a queue. 0 and ``None`` mean that there is no limit, or that something else decides.

    Attributes:
        max_concurrency: Jobs that run at once, over all workers.
        max_concurrency_per_worker: Jobs that run at once in one worker process.
        rate: How many jobs start per time, over all workers.
        max_waiting: Jobs that may wait, queued or scheduled; more are refused.
        timeout_ms: Limit of one attempt, for jobs whose caller and handler set none.
        priority: For jobs whose caller and handler set none.
        max_attempts: For jobs whose caller and handler set none.
        backoff_ms: Delay after the first failed attempt, for jobs whose caller and handler set no retry policy.
        max_backoff_ms: The longest such delay.
        completed, failed, cancelled: How long jobs that ended so are kept.
    """

    max_concurrency: int = 0
    max_concurrency_per_worker: int = 0
    rate: RateLimit | None = None
    max_waiting: int = 0
    timeout_ms: int = 0
    priority: Priority | None = None
    max_attempts: int = 0
    backoff_ms: int = 0
    max_backoff_ms: int = 0
    completed: Retention | None = None
    failed: Retention | None = None
    cancelled: Retention | None = None

    def __post_init__(self) -> None:
        for name in ("max_concurrency", "max_concurrency_per_worker", "max_waiting", "max_attempts"):
            _check_number(name, getattr(self, name), 0, MAX_COUNT, whole=True)
        for name in ("timeout_ms", "backoff_ms", "max_backoff_ms"):
            _check_number(name.removesuffix("_ms"), getattr(self, name), 0, MAX_SPAN_MS, whole=True)
        if self.rate is not None:
            _check_number("rate", self.rate.units, 1e-6, MAX_COUNT)
            _check_number("rate", self.rate.per_ms, 1, 31 * DAY_MS)
            _check_number("burst", self.rate.burst, 1, MAX_COUNT)
        for name in ("completed", "failed", "cancelled"):
            kept: Retention | None = getattr(self, name)
            if kept is not None:
                _check_number(f"{name} max_age", kept.max_age_ms, 0, MAX_SPAN_MS)
                _check_number(f"{name} max_count", kept.max_count, 0, MAX_COUNT, whole=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue as it is now.

    Attributes:
        etag: Changes with every change of the settings.
        paused: Nothing is started from it.
        pause_reason: For people; empty when it is not paused.
    """

    name: str
    settings: QueueSettings = QueueSettings()
    etag: str = "0"
    paused: bool = False
    pause_reason: str = ""


def check_queue_name(name: str) -> str:
    """Return a queue's name.

    Raises:
        BadSetting: It cannot be one.
    """
    if not QUEUE_NAME.fullmatch(name):
        raise BadSetting("queue", f"{name[:64]!r}: a name has 1 to 128 characters out of A-Z a-z 0-9 . _ : -")
    return name


# -- as people write them ------------------------------------------------------------------------------------------

_SPANS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": DAY_MS}


def _span_ms(field: str, value: Any) -> int:
    """Read ``timedelta``, seconds, or text such as ``30s``, ``5m``, ``24h``, ``7d``."""
    if isinstance(value, timedelta):
        return round(value.total_seconds() * 1_000)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return round(value * 1_000)
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*", str(value))
    if not found:
        raise BadSetting(field, f"is {value!r}; write a duration such as 500ms, 10s, 5m, 24h or 7d")
    return round(float(found[1]) * _SPANS[found[2]])


def settings_from_words(words: Mapping[str, Any]) -> tuple[QueueSettings, tuple[str, ...]]:
    """Read settings as they stand in a file or in code: ``{"max_concurrency": 3, "rate": "20/min"}``.

    Args:
        words: ``max_concurrency``, ``max_concurrency_per_worker``, ``rate`` with ``burst``, ``max_waiting``,
            ``timeout``, ``priority``, ``max_attempts``, ``backoff``, ``max_backoff``, and for each of ``completed``,
            ``failed`` and ``cancelled`` ``keep_..._for`` and ``keep_..._count``.

    Returns:
        The settings, and the names of those fields of theirs that were given.

    Raises:
        BadSetting: One is wrong, or is no setting.
    """
    known = {
        "max_concurrency", "max_concurrency_per_worker", "rate", "burst", "max_waiting", "timeout", "priority",
        "max_attempts", "backoff", "max_backoff",
        *(f"keep_{state}_{what}" for state in _STATES for what in ("for", "count")),
    }  # fmt: skip
    for name in words:
        if name not in known:
            raise BadSetting(name, f"is no setting of a queue; there are {', '.join(sorted(known))}")
    values: dict[str, Any] = {
        name: words[name]
        for name in ("max_concurrency", "max_concurrency_per_worker", "max_waiting", "max_attempts")
        if name in words
    }
    for name in ("timeout", "backoff", "max_backoff"):
        if name in words:
            values[f"{name}_ms"] = _span_ms(name, words[name])
    if "priority" in words:
        values["priority"] = _priority(words["priority"])
    if "rate" in words:
        values["rate"] = (
            RateLimit.parse(str(words["rate"]), words.get("burst", 1.0)) if words["rate"] else None
        )
    elif "burst" in words:
        raise BadSetting("burst", "goes with rate")
    for state in _STATES:
        names = (f"keep_{state}_for", f"keep_{state}_count")
        if any(name in words for name in names):
            age_ms = _span_ms(names[0], words[names[0]]) if names[0] in words else 0
            values[state] = Retention(age_ms, words.get(names[1], 0))
    return QueueSettings(**values), tuple(values)


_STATES = ("completed", "failed", "cancelled")


def _priority(value: Any) -> Priority:
    names = {priority.name.lower(): priority for priority in Priority}
    if str(value) not in names:
        raise BadSetting("priority", f"is {value!r}; it can be {', '.join(names)}")
    return names[str(value)]
