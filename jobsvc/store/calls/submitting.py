"""Calls that add jobs: one by one, or as batches that become visible all at once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobsvc.model.job import NewBatch, NewJob
from jobsvc.model.lifecycle import JobState
from jobsvc.store import records
from jobsvc.store.calls.call import Call, strings
from jobsvc.store.keys import Keys
from jobsvc.store.resp import Argument
from jobsvc.store.scripts import load

STAGE_SIZE = 500
"""Jobs of a batch in one script."""


EMPTY_BATCH_MS = 24 * 3_600_000
"""How long a batch can be read of which no job was accepted, milliseconds."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """Answer to a submit.

    Attributes:
        created: False when the job existed already.
        state: Its state; ``None`` when the job was submitted before and its record is no longer kept.
    """

    created: bool
    state: JobState | None
    version: int
    create_ms: int
    due_ms: int


def submit(job: NewJob) -> Call[Submitted]:
    """Add a job, or find the one that has its id, type and arguments.

    Raises (when run):
        IdConflict: The id is taken by a job of another type or with other arguments.
        StoreFull: Redis is at its memory limit.
    """

    def read(reply: Sequence[Any]) -> Submitted:
        state = None if reply[1] == "gone" else JobState(reply[1])
        return Submitted(reply[0] == 1, state, reply[2], reply[3], reply[4])

    return Call(
        load("submit"),
        (
            job.id,
            job.type,
            job.queue,
            job.arguments,
            int(job.priority),
            job.delay_ms,
            job.not_before_ms,
            job.max_attempts,
            job.max_lost_attempts,
            job.timeout_ms,
            records.dump_spec(job),
            "1" if job.from_request_id else "",
            job.expire_ms,
        ),
        read,
    )


@dataclass(frozen=True, slots=True)
class Staged:
    """Answer to staging a part of a batch.

    Attributes:
        committed: The batch was committed before; nothing was staged.
        conflicts: Indexes of items whose id is taken by another job.
    """

    committed: bool
    conflicts: tuple[int, ...]


def stage(batch: NewBatch, size: int, jobs: Sequence[tuple[int, NewJob]]) -> list[Call[Staged]]:
    """Write the jobs of a batch in parts, invisible until ``commit``.

    Args:
        batch: The batch.
        size: Number of items that the caller sent, rejected ones included.
        jobs: (index, job) of the items to write. A job whose id is ``<batch>.<index>`` costs nothing extra.
    """
    fingerprint = _fingerprint(batch, size, jobs)
    head = (batch.id, size, fingerprint, records.dump_spec(batch), "1" if batch.from_request_id else "")
    script = load("stage")
    parts = [jobs[at : at + STAGE_SIZE] for at in range(0, len(jobs), STAGE_SIZE)] or [()]
    return [Call(script, (*head, *_stage_words(batch.id, part)), _read_staged) for part in parts]


def _read_staged(reply: Sequence[Any]) -> Staged:
    return Staged(reply[0] == 1, tuple(int(index) for index in reply[1:]))


def _stage_words(batch_id: str, jobs: Sequence[tuple[int, NewJob]]) -> list[Argument]:
    # most jobs of a batch differ in nothing but their arguments, so everything else is sent once as a template
    templates: dict[tuple[Argument, ...], int] = {}
    items: list[Argument] = []
    for index, job in jobs:
        template = (
            job.type,
            job.queue,
            int(job.priority),
            job.delay_ms,
            job.not_before_ms,
            job.max_attempts,
            job.max_lost_attempts,
            job.timeout_ms,
            records.dump_spec(job),
            job.expire_ms,
        )
        number = templates.setdefault(template, len(templates) + 1)
        items += (index, number, "" if job.id == f"{batch_id}.{index}" else job.id, job.arguments)
    return [len(templates), len(jobs), *(word for template in templates for word in template), *items]


def _fingerprint(batch: NewBatch, size: int, jobs: Sequence[tuple[int, NewJob]]) -> str:
    digest = hashlib.blake2b(f"{batch.title}\0{size}".encode(), digest_size=12)
    for index, job in jobs:
        digest.update(f"\0{index}\0{job.id}\0{job.type}\0{job.queue}\0{job.arguments}".encode())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Committed:
    """Answer to a commit. ``created`` is False when the batch had been committed before."""

    created: bool
    total: int
    create_ms: int


def commit(batch_id: str) -> Call[Committed]:
    """Make the staged jobs of a batch visible, all at once."""
    words = (batch_id, EMPTY_BATCH_MS)
    return Call(load("commit"), words, lambda reply: Committed(reply[0] == 1, reply[1], reply[2]))


def abort(batch_id: str, *, staged_before_ms: int = 0) -> Call[bool]:
    """Take back a batch that was staged and not committed."""
    return Call(load("abort"), (batch_id, staged_before_ms), bool)


def abandoned(keys: Keys, *, before_ms: int) -> Call[list[str]]:
    """Ids of batches that were staged before an instant and not committed: their server died in between."""
    return Call(None, ("ZRANGEBYSCORE", f"{keys.tag}:staging", "-inf", before_ms, "LIMIT", 0, 20), strings)
