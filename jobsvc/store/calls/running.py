"""Calls of workers: take jobs, keep them, say how they go and how they ended; and stop them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jobsvc.model.catalog import WorkerInfo
from jobsvc.model.job import Progress
from jobsvc.model.lifecycle import Outcome
from jobsvc.model.retry import RetryOverride
from jobsvc.store import records
from jobsvc.store.calls.call import Call, nothing, strings
from jobsvc.store.resp import Argument
from jobsvc.store.scripts import load


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
        spared: Failed attempts that do not count, because the job was queued again after it had failed; -1 when this
            attempt is its last, whatever the limit.
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
    spared: int
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
        due_in_ms: Milliseconds until there may be more to start without anybody being woken: a scheduled job is due, or
            a rate limit allows the next start; ``None`` when nothing is known to come.
        full: Queues that are shut for this worker alone, because it runs as many of their jobs as one worker may.
    """

    replies: list[str]
    claims: list[Claim]
    due_in_ms: int | None
    full: frozenset[str] = frozenset()


CLAIM_LANES = ("", "idle")
"""Lanes of a worker's requests: of slots that have just run something, and of the one that waits for all others."""


def exchange(
    worker_id: str,
    request: str,
    *,
    lane: str = "",
    lease_ms: int,
    reports: Sequence[Report],
    want: int,
    queues: Sequence[str],
) -> Call[Exchanged]:
    """Report attempts that ended and take up to ``want`` jobs, in one round trip.

    Args:
        request: A repeat with the same text gets the same jobs; must not contain blanks.
        lane: Requests of one lane follow one another; those of several lanes, out of ``CLAIM_LANES``, may be on their
            way at the same time.
        queues: Where to look, in this order.
    """
    words: list[Argument] = [worker_id, request, lane, lease_ms, want, len(queues), len(reports), *queues]
    for report in reports:
        words += (report.job_id, report.token, report.outcome.value, report.delay_ms, report.body)
    return Call(load("exchange"), tuple(words), _read_exchanged)


def _read_exchanged(reply: Sequence[Any]) -> Exchanged:
    due_in_ms = None if reply[2] < 0 else reply[2]
    return Exchanged(reply[0], [Claim(*row) for row in reply[1]], due_in_ms, frozenset(reply[3]))


@dataclass(frozen=True, slots=True)
class Renewed:
    """Answer to a heartbeat.

    Attributes:
        drain: The worker is to take nothing more, and to end.
        jobs: Per job ``ok``, ``cancel`` (stop it) or ``lost`` (somebody else has it).
    """

    drain: bool
    jobs: list[str]


def renew(worker: WorkerInfo, *, lease_ms: int, held: Iterable[tuple[str, str]]) -> Call[Renewed]:
    """Extend the leases of running jobs, given as (job id, token), and say that the worker lives."""
    flat = [word for pair in held for word in pair]
    words: tuple[Argument, ...] = (worker.id, records.dump_worker(worker), lease_ms, *flat)
    return Call(load("renew"), words, lambda reply: Renewed(reply[0] == "drain", list(reply[1:])))


def progress(reports: Iterable[tuple[str, str, Progress]]) -> Call[list[str]]:
    """Keep what running handlers last reported: (job id, token, progress). Answers per job as ``renew``."""
    words = [word for job_id, token, p in reports for word in (job_id, token, records.dump_progress(p))]
    return Call(load("progress"), tuple(words), strings)


MAX_LOG_LINES = 1_000
"""Log lines that are kept per job, the newest."""


def log(job_id: str, token: str, lines: Sequence[str], *, before: int) -> Call[int]:
    """Append log lines, each a JSON object as text.

    Args:
        before: How many lines this attempt wrote before these, dropped ones included: so lines that are sent again are
            not written again.

    Answers the number of lines ever written, -1 when the lease is lost.
    """
    return Call(load("log"), (job_id, token, MAX_LOG_LINES, before, *lines), int)


def cancel(job_ids: Sequence[str], *, reason: str = "", requested_by: str = "") -> Call[list[str]]:
    """Stop jobs. Answers per job ``cancelled``, ``requested`` (it runs and is told), ``finished`` or ``missing``."""
    why = records.compact({"reason": reason, "requested_by": requested_by})
    return Call(load("cancel"), (why, *job_ids), strings)


def cancel_seen(job_id: str, token: str, what: str) -> Call[bool]:
    """Note that the code of a running job was told (``deliver``) or killed (``kill``)."""
    return Call(load("cancel_seen"), (job_id, token, what), bool)


def wake(marker: str) -> Call[None]:
    """Set the marker of a queue, so that a waiting worker looks for work."""
    return Call(None, ("ZADD", marker, 0, "1"), nothing)


def unblock(client_id: int) -> Call[None]:
    """Let a connection that waits for a marker go on."""
    return Call(None, ("CLIENT", "UNBLOCK", client_id), nothing)
