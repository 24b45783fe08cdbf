"""What travels between a worker and the child process that runs a handler: frames of one kind byte and JSON.

Nothing is pickled: what a handler does to its process cannot reach into the worker through here.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

from jobsvc.model.job import ErrorCategory, JobError, Progress
from jobsvc.store import records
from jobsvc.worker.execution import Task
from jobsvc.worker.raised import Ended

TASK, STOP, COMPLETED, FAILED, PROGRESS, LOG = b"TSCFPL"
"""Kinds: a task to run, a request to stop it, its end with a result or otherwise, progress, a log line."""

_TASK_FIELDS = tuple(field.name for field in fields(Task))


def pack_task(task: Task) -> bytes:
    """A task for the child."""
    return b"T" + json.dumps([getattr(task, name) for name in _TASK_FIELDS]).encode()


def unpack_task(frame: bytes) -> Task:
    """The task in a frame."""
    return Task(*json.loads(frame[1:]))


def pack_stop(token: str, why: str) -> bytes:
    """A request to stop the task with this token; ``why`` is ``cancel`` or ``timeout``."""
    return f"S{token} {why}".encode()


def unpack_stop(frame: bytes) -> tuple[str, str]:
    """Token and reason of a request to stop."""
    token, _, why = frame[1:].decode().partition(" ")
    return token, why


def pack_end(ended: Ended) -> bytes:
    """What came of the task."""
    if ended.result is not None:
        return b"C" + ended.result.encode("utf-8", "surrogatepass")
    error = None if ended.error is None else asdict(ended.error)
    return b"F" + json.dumps([error, ended.after_ms, ended.types, ended.snooze_ms]).encode()


def unpack_end(frame: bytes) -> Ended:
    """What came of the task."""
    if frame[0] == COMPLETED:
        return Ended(result=frame[1:].decode("utf-8", "surrogatepass"))
    error, after_ms, types, snooze_ms = json.loads(frame[1:])
    if error is not None:
        error = JobError(**{**error, "category": ErrorCategory(error["category"])})
    return Ended(error=error, after_ms=after_ms, types=tuple(types), snooze_ms=snooze_ms)


def pack_progress(progress: Progress) -> bytes:
    """Progress of the task."""
    return b"P" + records.dump_progress(progress).encode("utf-8", "replace")


def unpack_progress(frame: bytes) -> Progress:
    """Progress of the task."""
    return Progress(**json.loads(frame[1:]))


def pack_log(level: str, text: str, time_ms: int) -> bytes:
    """A log line of the task."""
    return b"L" + json.dumps([level, text, time_ms]).encode()


def unpack_log(frame: bytes) -> Any:
    """Level, text and time of a log line."""
    return json.loads(frame[1:])
