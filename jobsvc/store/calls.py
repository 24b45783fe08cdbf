"""Every question and command to the store, as values: what to send, and how to read the answer.

Nothing here does I/O; ``Store.run`` and ``AsyncStore.run`` do. All calls may be repeated when their answer was lost.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from jobsvc.model.catalog import JobType, WorkerInfo
from jobsvc.model.job import HEAD_START_MS, Batch, ErrorCategory, Job, JobError, NewBatch, NewJob, Progress
from jobsvc.model.lifecycle import JobState, Outcome
from jobsvc.model.retry import RetryOverride
from jobsvc.store import records
from jobsvc.store.keys import Keys
from jobsvc.store.scripts import Script, load

T = TypeVar("T")
Argument = str | bytes | int | float

OUTAGE_MS = 2_000
"""A gap between two sweeps that is longer than this is an outage, not a dead worker."""

MAX_LOST_ATTEMPTS = 3
"""Attempts that may be lost with their worker before a job fails, unless the job says otherwise."""

REQUEST_MEMORY_MS = 24 * 3_600_000
"""How long a repeated request id gives the first answer again."""

MIN_RETENTION_MS = 600_000
"""Finished jobs that are younger than this always stay."""

SWEEP_LIMIT = 200
STAGE_SIZE = 500
"""Jobs of a batch in one script."""

LIVE_WORKER_MS = 15_000
"""A worker whose last heartbeat is older than this counts as gone."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One command: the words to send, and the reader of the answer.

    Attributes:
        script: The script to run, or ``None`` for a plain Redis command.
        words: Arguments of the script after its key, or the whole plain command.
        read: Turns the answer into a value.
    """

    script: Script | None
    words: tuple[Argument, ...]
    read: Callable[[Any], T]


def _nothing(_: Any) -> None:
    return None


def _strings(reply: Sequence[str]) -> list[str]:
    return list(reply)


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
    return Call(load("commit"), (batch_id,), lambda reply: Committed(reply[0] == 1, reply[1], reply[2]))


def abort(batch_id: str, *, staged_before_ms: int = 0) -> Call[bool]:
    """Take back a batch that was staged and not committed."""
    return Call(load("abort"), (batch_id, staged_before_ms), bool)


def abandoned(keys: Keys, *, before_ms: int) -> Call[list[str]]:
    """Ids of batches that were staged before an instant and not committed: their server died in between."""
    return Call(None, ("ZRANGEBYSCORE", f"{keys.tag}:staging", "-inf", before_ms, "LIMIT", 0, 20), _strings)


@dataclass(frozen=True, slots=True)
class Report:
    """What became of an attempt.

    Attributes:
        token: The lease's token; only its holder may report.
        delay_ms: With ``RETRIED``, ``SNOOZED`` and ``RELEASED``: wait that long before the next attempt.
        body: The result as JSON with ``COMPLETED``, the error as JSON otherwise; may be empty.
    """

    job_id: str
    token: str
    outcome: Outcome
    delay_ms: int = 0
    body: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that a worker may run now, until its lease ends.

    Attributes:
        token: Grows with every lease of the job; who reports under an older one is refused.
        attempt: Number of this attempt, from 1; lost ones are counted in it.
        lost_attempts: How many earlier attempts were lost with their worker.
        max_attempts: The job's own limit, 0 for the handler's.
        timeout_ms: The job's own limit for one attempt, 0 for the handler's.
    """

    job_id: str
    token: str
    type: str
    queue: str
    attempt: int
    lost_attempts: int
    batch_id: str
    max_attempts: int
    timeout_ms: int
    arguments: str
    spec: str

    @property
    def retry(self) -> RetryOverride | None:
        """The job's own back-off, ``None`` for the handler's."""
        return records.load_retry(self.spec)


@dataclass(frozen=True, slots=True)
class Exchanged:
    """Answer to an exchange.

    Attributes:
        replies: Per report: ``ok``, ``already`` (it was a repeat) or ``lost`` (the lease was lost, nothing changed).
        claims: The jobs to run now.
        due_in_ms: Milliseconds until the next scheduled job of the queues is due; ``None`` when there is none.
    """

    replies: list[str]
    claims: list[Claim]
    due_in_ms: int | None


def exchange(
    worker_id: str,
    request: str,
    *,
    lease_ms: int,
    reports: Sequence[Report],
    want: int,
    queues: Sequence[str],
) -> Call[Exchanged]:
    """Report attempts that ended and take up to ``want`` jobs, in one round trip.

    Args:
        request: A repeat with the same text gets the same jobs; must not contain blanks.
        queues: Where to look, in this order.
    """
    words: list[Argument] = [worker_id, request, lease_ms, want, len(queues), len(reports), *queues]
    for report in reports:
        words += (report.job_id, report.token, report.outcome.value, report.delay_ms, report.body)
    return Call(load("exchange"), tuple(words), _read_exchanged)


def _read_exchanged(reply: Sequence[Any]) -> Exchanged:
    return Exchanged(reply[0], [Claim(*row) for row in reply[1]], None if reply[2] < 0 else reply[2])


def renew(worker: WorkerInfo, *, lease_ms: int, held: Iterable[tuple[str, str]]) -> Call[list[str]]:
    """Extend the leases of running jobs, given as (job id, token), and say that the worker lives.

    Returns (when run): per job ``ok``, ``cancel`` (stop it) or ``lost`` (somebody else has it).
    """
    flat = [word for pair in held for word in pair]
    return Call(load("renew"), (worker.id, records.dump_worker(worker), lease_ms, *flat), _strings)


def progress(reports: Iterable[tuple[str, str, Progress]]) -> Call[list[str]]:
    """Keep what running handlers last reported: (job id, token, progress). Answers as ``renew``."""
    words = [word for job_id, token, p in reports for word in (job_id, token, records.dump_progress(p))]
    return Call(load("progress"), tuple(words), _strings)


MAX_LOG_LINES = 1_000
"""Log lines that are kept per job, the newest."""


def log(job_id: str, token: str, lines: Sequence[str]) -> Call[int]:
    """Append log lines, each a JSON object as text. Answers the number of lines ever written, -1 when the lease is lost."""
    return Call(load("log"), (job_id, token, MAX_LOG_LINES, *lines), int)


def cancel(job_ids: Sequence[str], *, reason: str = "", requested_by: str = "") -> Call[list[str]]:
    """Stop jobs. Answers per job ``cancelled``, ``requested`` (it runs and is told), ``finished`` or ``missing``."""
    why = records.compact({"reason": reason, "requested_by": requested_by})
    return Call(load("cancel"), (why, *job_ids), _strings)


def cancel_seen(job_id: str, token: str, what: str) -> Call[bool]:
    """Note that the code of a running job was told (``deliver``) or killed (``kill``)."""
    return Call(load("cancel_seen"), (job_id, token, what), bool)


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
    return Call(None, ("LRANGE", keys.part(job_id, "logs"), -newest, -1), _strings)


def count_log_lines(keys: Keys, job_id: str) -> Call[int]:
    """Number of log lines that a job ever wrote."""
    return Call(None, ("HGET", keys.job(job_id), "log_lines"), lambda reply: int(reply or 0))


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How many jobs of a queue are where, all counted at one instant.

    Attributes:
        oldest_ready_ms: Since when the first in line is ready; ``None`` when the queue is empty.
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


def counts(queues: Sequence[str] = ()) -> Call[tuple[int, list[QueueCounts]]]:
    """Count the jobs of some queues, or of all. Answers (the instant in ms, the counts by name)."""

    def parse(reply: Sequence[Any]) -> tuple[int, list[QueueCounts]]:
        rows = []
        for row in reply[1:]:
            ever = {name: int(value) for name, value in records.pairs(row[8]).items()}
            rows.append(QueueCounts(*row[:7], None if row[7] < 0 else row[7], ever))
        return reply[0], rows

    return Call(load("counts"), tuple(queues), parse)


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
    return Call(None, ("SMEMBERS", keys.queues), lambda reply: sorted(reply))


def publish_types(keys: Keys, types: Iterable[JobType]) -> Call[None]:
    """Publish job types; those of the same name are replaced."""
    words = [word for job_type in types for word in (job_type.name, records.dump_type(job_type))]
    return Call(None, ("HSET", keys.types, *words), _nothing)


def announce_catalog(keys: Keys) -> Call[None]:
    """Tell servers that job types or workers have changed."""
    return Call(None, ("PUBLISH", keys.catalog, "changed"), _nothing)


def read_types(keys: Keys) -> Call[dict[str, JobType]]:
    """Read all published job types, by name."""

    def parse(reply: Sequence[str]) -> dict[str, JobType]:
        return {name: records.load_type(text) for name, text in sorted(records.pairs(reply).items())}

    return Call(None, ("HGETALL", keys.types), parse)


def worker_heartbeats(keys: Keys) -> Call[dict[str, int]]:
    """Last heartbeats of all workers, ms by worker id."""
    return Call(
        None,
        ("ZRANGE", keys.workers, 0, -1, "WITHSCORES"),
        lambda reply: {worker: int(float(score)) for worker, score in records.pairs(reply).items()},
    )


def read_workers(keys: Keys, heartbeats: dict[str, int]) -> Call[list[WorkerInfo]]:
    """What the given workers say of themselves; those that are long gone are left out."""

    def parse(reply: Sequence[str | None]) -> list[WorkerInfo]:
        found = zip(heartbeats.items(), reply, strict=True)
        return [records.load_worker(text, beat) for (_, beat), text in found if text]

    return Call(None, ("MGET", *(keys.worker(worker_id) for worker_id in heartbeats)), parse)


def forget_worker(keys: Keys, worker_id: str) -> list[Call[None]]:
    """A worker says goodbye."""
    return [
        Call(None, ("ZREM", keys.workers, worker_id), _nothing),
        Call(None, ("DEL", keys.worker(worker_id), f"{keys.tag}:claim:{worker_id}"), _nothing),
    ]


def forget_old_workers(keys: Keys, *, before_ms: int) -> Call[None]:
    """Drop workers that have not been heard of since an instant."""
    return Call(None, ("ZREMRANGEBYSCORE", keys.workers, "-inf", f"({before_ms}"), _nothing)


def wake(marker: str) -> Call[None]:
    """Set the marker of a queue, so that a waiting worker looks for work."""
    return Call(None, ("ZADD", marker, 0, "1"), _nothing)


def unblock(client_id: int) -> Call[None]:
    """Let a connection that waits for a marker go on."""
    return Call(None, ("CLIENT", "UNBLOCK", client_id), _nothing)


def clock() -> Call[int]:
    """The clock of Redis in ms since the epoch."""
    return Call(None, ("TIME",), lambda reply: int(reply[0]) * 1_000 + int(reply[1]) // 1_000)


def acquire_duty(keys: Keys, holder: str, *, lease_ms: int) -> Call[bool]:
    """Take or keep the duty of doing what is done by one server at a time."""
    return Call(load("duty"), (holder, lease_ms), bool)


HEAD_STARTS = {str(int(priority)): head_start for priority, head_start in HEAD_START_MS.items()}
