"""Calls that happen as time goes by: leases expire, delays end, finished jobs are forgotten."""

from __future__ import annotations

from dataclasses import dataclass

from jobsvc.model.job import ErrorCategory, JobError
from jobsvc.model.lifecycle import JobState
from jobsvc.store import records
from jobsvc.store.calls.call import Call
from jobsvc.store.keys import Keys
from jobsvc.store.scripts import load

OUTAGE_MS = 2_000
"""A gap between two sweeps that is longer than this is an outage, not a dead worker."""


MAX_LOST_ATTEMPTS = 3
"""Attempts that may be lost with their worker before a job fails, unless the job says otherwise."""


REQUEST_MEMORY_MS = 24 * 3_600_000
"""How long a repeated request id gives the first answer again."""


MIN_RETENTION_MS = 600_000
"""Finished jobs that are younger than this always stay."""


SWEEP_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did: jobs that became ready, leases taken back, leases moved on by ``shift_ms``."""

    promoted: int
    reaped: int
    shift_ms: int


def sweep(*, outage_ms: int = OUTAGE_MS, max_lost_attempts: int = MAX_LOST_ATTEMPTS) -> Call[Swept]:
    """Let time have its effect: promote scheduled jobs that are due, take back expired leases."""
    lost = records.dump_error(
        JobError(
            ErrorCategory.WORKER_LOST,
            message="the worker stopped answering while it ran this job",
            retryable=True,
        )
    )
    words = (outage_ms, max_lost_attempts, lost, SWEEP_LIMIT)
    return Call(load("sweep"), words, lambda reply: Swept(*reply))


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge did; ``more`` when there may be more to remove."""

    removed: int
    kept: int
    more: bool


def purge(queue: str, state: JobState, *, max_age_ms: int, max_count: int = 0, skip: int = 0) -> Call[Purged]:
    """Remove finished jobs of a queue that are no longer kept, oldest first, 200 at most.

    Jobs younger than ten minutes and jobs of batches that still run always stay.

    Args:
        skip: Jobs to pass over: those that the last call left alone.
    """
    words = (
        queue,
        state.value,
        max_age_ms,
        max_count,
        MIN_RETENTION_MS,
        skip,
        SWEEP_LIMIT,
        REQUEST_MEMORY_MS,
    )
    return Call(load("purge"), words, lambda reply: Purged(reply[0], reply[1], reply[2] == 1))


def clock() -> Call[int]:
    """The clock of Redis in ms since the epoch."""
    return Call(None, ("TIME",), lambda reply: int(reply[0]) * 1_000 + int(reply[1]) // 1_000)


def acquire_duty(keys: Keys, holder: str, *, lease_ms: int) -> Call[bool]:
    """Take or keep the duty of doing what is done by one server at a time."""
    return Call(load("duty"), (holder, lease_ms), bool)
