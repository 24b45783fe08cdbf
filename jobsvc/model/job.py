"""A job and what belongs to it, as values.

Instants are whole milliseconds since the Unix epoch by the clock of Redis (``*_ms``); durations are milliseconds too.
Ids are opaque strings. JSON stays text until somebody needs the value: jobsvc carries arguments and results, it does
not look into them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from jobsvc.model.lifecycle import JobState, Outcome
from jobsvc.model.retry import RetryOverride

INLINE_LIMIT_BYTES = 262_144
"""Default limit for arguments and results that travel inside messages, in bytes of UTF-8."""

MAX_BATCH_SIZE = 10_000
"""Most jobs that one batch can have."""

MAX_SNOOZES = 10_000
"""How often a job can be snoozed before it has failed: what waits for something that never comes must end, too."""


class Priority(IntEnum):
    """Named priorities; the numbers are those of the wire."""

    LOW = 10
    MEDIUM = 20
    HIGH = 30
    URGENT = 40


HEAD_START_MS: Mapping[Priority, int] = {
    Priority.LOW: 0,
    Priority.MEDIUM: 10 * 60_000,
    Priority.HIGH: 60 * 60_000,
    Priority.URGENT: 6 * 60 * 60_000,
}
"""How much earlier a job counts as ready than it is, by priority.

A queue runs its jobs by (time ready - head start): first come first served within a priority, higher priority first,
and nobody waits for ever, because a low job that has waited for six hours longer comes before a new urgent one.
"""


class ErrorCategory(StrEnum):
    """Why an attempt did not complete, for programs."""

    APPLICATION = "application"
    TIMEOUT = "timeout"
    WORKER_LOST = "worker_lost"
    CANCELLED = "cancelled"
    DEPENDENCY = "dependency"
    INVALID_ARGUMENTS = "invalid_arguments"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class JobError:
    """Why an attempt did not complete. Failures are data, they travel like results.

    Attributes:
        category: For programs.
        type: Qualified name of the exception type, e.g. ``builtins.ValueError``; may be empty.
        message: One line or more for people.
        stack_trace: The traceback as the worker saw it; may be empty.
        code: The code that the handler gave (``Fail(code=...)``); may be empty.
        retryable: Whether another attempt could have helped.
        details: What the handler attached (``Fail(details=...)``), as JSON; may be empty.
    """

    category: ErrorCategory
    type: str = ""
    message: str = ""
    stack_trace: str = ""
    code: str = ""
    retryable: bool = False
    details: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a handler last reported. Every field may be missing.

    Attributes:
        percent: 0 to 100.
        step: Name of the current step.
        message: A line for people.
        completed_units: How many units are done, out of ``total_units``.
        total_units: How many units there are.
        unit: What is counted, e.g. ``rows``.
        update_ms: When it was reported.
    """

    percent: float | None = None
    step: str = ""
    message: str = ""
    completed_units: int | None = None
    total_units: int | None = None
    unit: str = ""
    update_ms: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at running a job that did not simply complete.

    Attributes:
        delay_ms: With ``RETRIED``: how long the job waits for its next attempt.
    """

    number: int
    worker_id: str
    start_ms: int
    end_ms: int
    outcome: Outcome
    error: JobError | None = None
    delay_ms: int = 0


@dataclass(frozen=True, slots=True)
class CancelStatus:
    """What became of the request to stop a running job, as far as it got."""

    reason: str = ""
    requested_by: str = ""
    request_ms: int = 0
    deliver_ms: int = 0
    kill_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to be submitted: what the caller asked for, already checked.

    Attributes:
        id: Its id, unique within the organisation.
        type: Job type.
        queue: Name of the queue.
        arguments: A JSON object as text.
        priority: Order within the queue.
        delay_ms: Milliseconds from now before it may start; 0 for at once.
        not_before_ms: Instant before which it may not start; 0 for none.
        expire_ms: Instant by which it must have started, or is cancelled; 0 for none.
        max_attempts: Overrides the handler's limit of attempts; 0 takes the handler's.
        timeout_ms: Overrides the handler's limit for one attempt; 0 takes the handler's.
        retry: Overrides the handler's back-off; ``None`` takes the handler's.
        title: For people.
        labels: Searchable pairs.
        owner: Who submitted it.
        from_request_id: The id was derived from a request id, which has to be remembered.
    """

    id: str
    type: str
    queue: str
    arguments: str
    priority: Priority = Priority.MEDIUM
    delay_ms: int = 0
    not_before_ms: int = 0
    expire_ms: int = 0
    max_attempts: int = 0
    timeout_ms: int = 0
    max_lost_attempts: int = 0
    retry: RetryOverride | None = None
    title: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
    from_request_id: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job and everything that is known about it.

    ``arguments``, ``result`` and ``attempts`` are filled only when the job was read in full. ``version`` grows with
    every change and orders what different sources say about the job. ``kept_ms`` is how long its queue keeps it now
    that it has ended, 0 for as long as it is among the newest; ``None`` when the queue has no such setting.
    """

    id: str
    type: str
    queue: str
    state: JobState
    version: int
    priority: Priority
    create_ms: int
    start_ms: int = 0
    end_ms: int = 0
    due_ms: int = 0
    expire_ms: int = 0
    attempt: int = 0
    lost_attempts: int = 0
    snoozes: int = 0
    max_attempts: int = 0
    max_lost_attempts: int = 0
    timeout_ms: int = 0
    retry: RetryOverride | None = None
    worker_id: str = ""
    batch_id: str = ""
    title: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
    progress: Progress | None = None
    error: JobError | None = None
    cancel: CancelStatus | None = None
    kept_ms: int | None = None
    arguments: str | None = None
    result: str | None = None
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBatch:
    """A batch to be submitted."""

    id: str
    title: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
    from_request_id: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch and its counts.

    Attributes:
        counts: Number of jobs by state; all states are present.
        size: Number of items that were asked for; item ``i`` is the job ``<id>.<i>`` unless ``named`` says otherwise.
        named: Ids of the items that the caller named, by index.
        recent_failures: Ids of the jobs that failed last, newest first, at most five.
    """

    id: str
    version: int
    counts: Mapping[JobState, int]
    size: int
    create_ms: int
    start_ms: int = 0
    end_ms: int = 0
    title: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
    named: Mapping[int, str] = field(default_factory=dict)
    recent_failures: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Number of jobs that were accepted."""
        return sum(self.counts.values())

    @property
    def terminal(self) -> bool:
        """Whether every job of the batch has ended."""
        return self.total > 0 and all(not count for state, count in self.counts.items() if not state.terminal)

    def job_id(self, index: int) -> str:
        """Id of item ``index``, which exists only if the item was accepted."""
        return self.named.get(index) or f"{self.id}.{index}"
