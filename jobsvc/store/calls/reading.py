"""Calls that only look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobsvc.model.job import Batch, Job
from jobsvc.model.lifecycle import JobState
from jobsvc.model.meter import Meter
from jobsvc.store import records
from jobsvc.store.calls.call import Call, strings
from jobsvc.store.keys import Keys
from jobsvc.store.scripts import load


def read(job_ids: Sequence[str], *, full: bool = False) -> Call[list[Job | None]]:
    """Read the records of jobs, ``None`` for those that do not exist. At most some hundreds at a time."""

    def parse(reply: Sequence[Any]) -> list[Job | None]:
        return [
            parts and records.load_job(job_id, parts) for job_id, parts in zip(job_ids, reply, strict=True)
        ]

    return Call(load("read"), ("full" if full else "basic", *job_ids), parse)


def read_batch(batch_id: str, *, named: bool = True) -> Call[Batch | None]:
    """Read a batch and its counts.

    Args:
        named: Also read the ids that the caller gave to items, which are up to one an item.
    """
    words = (batch_id, "named" if named else "")
    return Call(load("read_batch"), words, lambda reply: reply and records.load_batch(batch_id, reply))


def read_states(job_ids: Sequence[str]) -> Call[list[tuple[JobState, str, str] | None]]:
    """State, job type and queue of up to a thousand jobs, ``None`` for those that do not exist."""

    def parse(reply: Sequence[Any]) -> list[tuple[JobState, str, str] | None]:
        return [row and (JobState(row[0]), row[1], row[2]) for row in reply]

    return Call(load("read_states"), tuple(job_ids), parse)


def read_logs(keys: Keys, job_id: str, *, newest: int = 0) -> Call[list[str]]:
    """Read log lines of a job, oldest first, each a JSON object as text.

    Args:
        newest: Only this many, the newest; 0 for all that are kept.
    """
    return Call(None, ("LRANGE", keys.part(job_id, "logs"), -newest, -1), strings)


def count_log_lines(keys: Keys, job_id: str) -> Call[int]:
    """Number of log lines that a job ever wrote."""
    return Call(None, ("HGET", keys.job(job_id), "log_lines"), lambda reply: int(reply or 0))


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How many jobs of a queue are where, all counted at one instant.

    Attributes:
        oldest_ready_ms: Since when the first in line is ready; ``None`` when the queue is empty.
        paused: Nothing is started from it.
        ever: Counters that only grow: ``completed``, ``failed``, ``cancelled``, ``retried``, ``lost``.
    """

    queue: str
    queued: int
    processing: int
    scheduled: int
    completed: int
    failed: int
    cancelled: int
    oldest_ready_ms: int | None
    ever: dict[str, int]
    paused: bool


def counts(queues: Sequence[str] = ()) -> Call[tuple[int, list[QueueCounts]]]:
    """Count the jobs of some queues, or of all. Answers (the instant in ms, the counts by name)."""

    def parse(reply: Sequence[Any]) -> tuple[int, list[QueueCounts]]:
        rows = []
        for row in reply[1:]:
            row[7] = None if row[7] < 0 else row[7]
            row[8] = {name: int(value) for name, value in records.pairs(row[8]).items()}
            row[9] = row[9] == 1
            rows.append(QueueCounts(*row))
        return reply[0], rows

    return Call(load("counts"), tuple(queues), parse)


def meters(queues: Sequence[str], *, window_ms: int) -> Call[dict[str, Meter]]:
    """What happened lately in up to some dozens of queues, by name; the window is rounded to ten seconds."""

    def parse(reply: Sequence[Any]) -> dict[str, Meter]:
        return {
            row[0]: Meter.read(reply[0], {what: int(count) for what, count in records.pairs(row[1:]).items()})
            for row in reply[1:]
        }

    return Call(load("meters"), (window_ms, *queues), parse)


PLACES = {
    JobState.PROCESSING: "leases",
    JobState.QUEUED: "ready",
    JobState.SCHEDULED: "scheduled",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
    JobState.COMPLETED: "completed",
}
"""The sorted set of a queue that holds the jobs of a state, in the order in which lists show them."""


def page(
    keys: Keys, queue: str, state: JobState, *, limit: int, before: float | None = None, skip: int = 0
) -> Call[list[tuple[str, float]]]:
    """Ids of a queue's jobs in one state with their scores, newest first.

    Args:
        before: Begin with this score and go down; ``None`` begins with the newest.
        skip: Leave out that many at the beginning: those with the score ``before`` that were seen already.
    """
    newest = "+inf" if before is None else repr(before)
    words = (
        "ZRANGE",
        keys.queue(queue, PLACES[state]),
        newest,
        "-inf",
        "BYSCORE",
        "REV",
        "LIMIT",
        skip,
        limit,
        "WITHSCORES",
    )

    def parse(reply: Sequence[str]) -> list[tuple[str, float]]:
        return [(job_id, float(score)) for job_id, score in zip(reply[::2], reply[1::2], strict=True)]

    return Call(None, words, parse)


def queue_names(keys: Keys) -> Call[list[str]]:
    """Names of all queues that ever had a job."""
    return Call(None, ("SMEMBERS", keys.queues), sorted)
