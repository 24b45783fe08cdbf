"""Calls about queues and their settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from jobsvc.model.job import Priority
from jobsvc.model.queue import Queue, QueueSettings, RateLimit, Retention
from jobsvc.store import records
from jobsvc.store.calls.call import Call
from jobsvc.store.keys import Keys
from jobsvc.store.scripts import load

FIELDS: Mapping[str, tuple[str, ...]] = {
    "max_concurrency": ("max_concurrency",),
    "max_concurrency_per_worker": ("max_concurrency_per_worker",),
    "rate": ("rate_units", "rate_per_ms", "rate_burst"),
    "max_waiting": ("max_waiting",),
    "timeout_ms": ("timeout_ms",),
    "priority": ("priority",),
    "max_attempts": ("max_attempts",),
    "backoff_ms": ("backoff_ms",),
    "max_backoff_ms": ("max_backoff_ms",),
    "completed": ("completed_age_ms", "completed_count"),
    "failed": ("failed_age_ms", "failed_count"),
    "cancelled": ("cancelled_age_ms", "cancelled_count"),
}
"""Attribute of ``QueueSettings`` -> fields of the hash in Redis."""


def configure(
    queue: str,
    settings: QueueSettings,
    names: Iterable[str],
    *,
    how: Literal["update", "declare"],
    etag: str = "",
) -> Call[Queue]:
    """Change some settings of a queue; the others stay.

    Args:
        settings: Has the new values.
        names: Attributes of ``QueueSettings`` to change.
        how: A ``declare``d value does not replace one that somebody ``update``d.
        etag: Change nothing if the queue has another one; empty does not look.

    Raises (when run):
        EtagMismatch: It has another one.
    """
    fields: dict[str, Any] = {}
    for name in names:
        fields.update(zip(FIELDS[name], _values(getattr(settings, name)), strict=False))
        for missing in FIELDS[name]:
            fields.setdefault(missing, "")
    return _configure(queue, fields, how, etag)


def pause(queue: str, reason: str) -> Call[Queue]:
    """Let nothing more start from a queue."""
    return _configure(queue, {"paused": 1, "pause_reason": reason}, "update", "")


def resume(queue: str) -> Call[Queue]:
    """Let jobs start again."""
    return _configure(queue, {"paused": "", "pause_reason": ""}, "update", "")


def _configure(queue: str, fields: Mapping[str, Any], how: str, etag: str) -> Call[Queue]:
    flat = [word for field in fields.items() for word in field]
    words = (queue, how, etag, len(fields), *flat)
    return Call(load("configure"), words, lambda reply: load_queue(queue, records.pairs(reply[1:])))


def read_queue_settings(keys: Keys, queue: str) -> Call[Queue]:
    """Read a queue as it is now; one that nobody gave settings has the defaults."""
    words = ("HGETALL", keys.queue(queue, "settings"))
    return Call(None, words, lambda reply: load_queue(queue, records.pairs(reply)))


def load_queue(name: str, fields: Mapping[str, str]) -> Queue:
    """Read a queue from its hash."""
    number = {field: float(fields[field]) for names in FIELDS.values() for field in names if field in fields}
    rate = None
    if "rate_units" in number:
        rate = RateLimit(number["rate_units"], int(number["rate_per_ms"]), number.get("rate_burst", 1.0))
    plain = {name for name, parts in FIELDS.items() if parts == (name,)} - {"priority"}
    values: dict[str, Any] = {field: int(number[field]) for field in plain if field in number}
    values |= {state: _retention(number, state) for state in ("completed", "failed", "cancelled")}
    priority = Priority(int(number["priority"])) if "priority" in number else None
    settings = QueueSettings(rate=rate, priority=priority, **values)
    return Queue(
        name=name,
        settings=settings,
        etag=fields.get("etag", "0"),
        paused="paused" in fields,
        pause_reason=fields.get("pause_reason", ""),
    )


def _retention(number: Mapping[str, float], state: str) -> Retention | None:
    age, count = number.get(f"{state}_age_ms"), number.get(f"{state}_count")
    if age is None and count is None:
        return None
    return Retention(int(age or 0), int(count or 0))


def _values(value: Any) -> Sequence[Any]:
    if value is None or value == 0:
        return ()
    if isinstance(value, RateLimit):
        return (repr(value.units), value.per_ms, repr(value.burst))
    if isinstance(value, Retention):
        return (value.max_age_ms, value.max_count)
    return (int(value),)
