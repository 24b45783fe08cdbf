"""What the SDK hands to its users: plain frozen values, no protobuf.

Times are timezone-aware (UTC). States are the seven words of :data:`STATES`. ``version`` grows with every change, so of
two values with the same id the one with the higher version is the newer one, whatever way it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ._attempts import AttemptValue as AttemptValue
from ._attempts import ErrorValue as ErrorValue

STATES = ("blocked", "scheduled", "queued", "processing", "completed", "failed", "cancelled")
"""Every state a job can be in, in the order of its life."""

TERMINAL_STATES = frozenset({"completed", "failed", "cancelled"})
"""States that a job never leaves by itself."""


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job at one moment.

    Attributes:
        id: The job's id.
        job_type: Registered name of the handler, e.g. ``"analytics.profile"``.
        title: Text for people; may be empty.
        queue: The queue it went to.
        state: One of :data:`STATES`.
        version: Orders statuses of the same job.
        percent: 0 to 100; None when the job cannot tell.
        step: Name of the current step; may be empty.
        message: Line for people; may be empty.
        completed_units: How many of ``total_units`` are done.
        total_units: How many there are, in ``unit``.
        unit: For example ``"rows"``.
        attempt: Number of the newest attempt, from 1; 0 before the first.
        lost_attempts: Attempts that vanished with their worker; counted apart.
        snoozes: How often its handler asked to be called later; counted as no attempt.
        max_attempts: After how many failed attempts the job fails; None when the server did not say.
        create_time: When the server took it.
        start_time: When its newest attempt began.
        end_time: When it reached a terminal state.
        due_time: While it is scheduled: when it may start, or start again.
        finish_p50: Estimated end: as likely sooner as later.
        finish_p90: Estimated end: nine of ten end sooner.
        error: Why it failed, or why its last attempt did.
        result_json: The result as JSON text; only of a completed job and only when ``full``.
        arguments_json: The arguments as JSON text; only when ``full``.
        batch_id: Its batch; empty when it has none.
        cancel_requested: It was asked to stop and has not ended yet, or ended through that.
        attempts: Oldest first; only when ``full``.
        cancel_reason: What the caller of ``cancel`` wrote.
        queue_position: 1 is next; None when not queued or not known.
        full: Whether arguments, attempts and result were part of the answer.
    """

    id: str
    job_type: str = ""
    title: str = ""
    queue: str = ""
    state: str = "queued"
    version: int = 0
    percent: float | None = None
    step: str = ""
    message: str = ""
    completed_units: int | None = None
    total_units: int | None = None
    unit: str = ""
    attempt: int = 0
    lost_attempts: int = 0
    snoozes: int = 0
    max_attempts: int | None = None
    create_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    due_time: datetime | None = None
    finish_p50: datetime | None = None
    finish_p90: datetime | None = None
    error: ErrorValue | None = None
    result_json: str | None = None
    arguments_json: str | None = None
    batch_id: str = ""
    cancel_requested: bool = False
    attempts: tuple[AttemptValue, ...] = ()
    cancel_reason: str = ""
    queue_position: int | None = None
    full: bool = False

    @property
    def terminal(self) -> bool:
        """Whether the state is completed, failed or cancelled."""
        return self.state in TERMINAL_STATES

    @property
    def finished(self) -> bool:
        """The same as :attr:`terminal`."""
        return self.terminal

    @property
    def duration(self) -> timedelta | None:
        """Time the last attempt took; None before the end."""
        if self.start_time is None or self.end_time is None:
            return None
        return self.end_time - self.start_time


@dataclass(frozen=True, slots=True)
class FailureValue:
    """A failed job of a batch in one line."""

    job_id: str
    title: str = ""
    error: ErrorValue | None = None
    end_time: datetime | None = None


def _no_counts() -> dict[str, int]:
    return dict.fromkeys(STATES, 0)


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """A batch at one moment.

    Attributes:
        id: The batch's id.
        title: Text for people; may be empty.
        version: Orders statuses of the same batch.
        counts: Jobs in each of :data:`STATES`; every state is present.
        total: Jobs in the batch.
        percent: 0 to 100.
        create_time: When the server took it.
        start_time: When its first job started.
        end_time: When its last job ended.
        finish_p50: Estimated end: as likely sooner as later.
        finish_p90: Estimated end: nine of ten end sooner.
        failures: The newest failures, at most five.
        running_job_id: One job that runs now, as an example; empty when none does.
        running_step: Its step.
        running_message: Its message.
    """

    id: str
    title: str = ""
    version: int = 0
    counts: Mapping[str, int] = field(default_factory=_no_counts)
    total: int = 0
    percent: float = 0.0
    create_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    finish_p50: datetime | None = None
    finish_p90: datetime | None = None
    failures: tuple[FailureValue, ...] = ()
    running_job_id: str = ""
    running_step: str = ""
    running_message: str = ""

    @property
    def finished(self) -> int:
        """How many jobs are completed, failed or cancelled."""
        return sum(self.counts.get(state, 0) for state in TERMINAL_STATES)

    @property
    def terminal(self) -> bool:
        """Whether every job has ended."""
        return self.finished >= self.total


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line a job logged.

    Attributes:
        number: Counts from 1 within the job.
        time: When it was logged.
        level: ``debug``, ``info``, ``warning`` or ``error``.
        text: The line.
        attempt: The attempt that logged it.
    """

    number: int
    time: datetime | None
    level: str
    text: str
    attempt: int = 0

    def __str__(self) -> str:
        """Return the line with its time and, unless it is ``info``, its level."""
        stamp = self.time.astimezone().strftime("%H:%M:%S") if self.time else "--:--:--"
        level = "" if self.level == "info" else f" {self.level.upper()}"
        return f"{stamp}{level} {self.text}"


@dataclass(frozen=True, slots=True)
class RetrySummary:
    """What a retry of several jobs did.

    Attributes:
        requeued: Failed jobs that are queued again.
        skipped: Jobs that had not failed and were left alone.
        missing: Ids of jobs that do not exist.
    """

    requeued: int = 0
    skipped: int = 0
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QueueValue:
    """Numbers of one queue.

    Attributes:
        name: The queue.
        queued: Ready, waiting for a worker.
        processing: Running now.
        scheduled: Waiting for their start time.
        blocked: Waiting for other jobs.
        completed: Kept now.
        failed: Kept now.
        cancelled: Kept now.
        paused: Whether the queue starts nothing.
        per_second: Jobs that ended per second, over the window asked for.
        failure_ratio: Failed of all that ended in the window, 0 to 1.
        wait_p50: Median time from ready to start; None when nothing started.
        wait_p95: Nineteen of twenty started sooner; None when nothing started.
        run_p50: Median time of an attempt; None when nothing ended.
        run_p95: Nineteen of twenty took less; None when nothing ended.
        oldest_waiting: Age of the oldest queued job; None when none waits.
        total: All of the above counts.
    """

    name: str
    queued: int = 0
    processing: int = 0
    scheduled: int = 0
    blocked: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    paused: bool = False
    per_second: float = 0.0
    failure_ratio: float = 0.0
    wait_p50: timedelta | None = None
    wait_p95: timedelta | None = None
    run_p50: timedelta | None = None
    run_p95: timedelta | None = None
    oldest_waiting: timedelta | None = None
    total: int = 0


@dataclass(frozen=True, slots=True)
class WorkerValue:
    """A live worker process, as it last said of itself.

    Attributes:
        id: Opaque; a new one each time the process starts.
        hostname: Name of its machine.
        pid: Process id there.
        queues: Queues it takes jobs from.
        slots: Jobs it can run at once.
        running: How many it runs.
        running_job_ids: Which, the first hundred.
        memory_bytes: Resident memory of the process and its children; 0 when that cannot be told.
        start_time: When it started.
        heartbeat_time: When it last reported.
        draining: It takes no more jobs, and ends.
        version: Version of jobsvc that it runs.
    """

    id: str
    hostname: str = ""
    pid: int = 0
    queues: tuple[str, ...] = ()
    slots: int = 0
    running: int = 0
    running_job_ids: tuple[str, ...] = ()
    memory_bytes: int = 0
    start_time: datetime | None = None
    heartbeat_time: datetime | None = None
    draining: bool = False
    version: str = ""


@dataclass(frozen=True, slots=True)
class JobTypeValue:
    """What can be submitted.

    Attributes:
        name: Dotted name, e.g. ``"analytics.profile"``.
        description: The handler's docstring.
        queue: Where it goes unless the caller says otherwise.
        arguments_schema_json: JSON Schema of the arguments object.
        live_workers: Workers that can run it now.
        timeout: Limit of one attempt; None when there is none.
        max_attempts: Attempts in total; None when the server did not say.
        deprecated: Whether it should no longer be used.
        isolation: ``process`` or ``thread``.
        memory_limit_bytes: Most memory of an attempt; 0 for no limit.
    """

    name: str
    description: str = ""
    queue: str = ""
    arguments_schema_json: str = ""
    live_workers: int = 0
    timeout: timedelta | None = None
    max_attempts: int | None = None
    deprecated: bool = False
    isolation: str = ""
    memory_limit_bytes: int = 0

    @property
    def summary(self) -> str:
        """First line of the description."""
        return self.description.strip().partition("\n")[0]


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a server says about itself.

    Attributes:
        version: Its version.
        features: Names of optional features it has.
        max_inline_bytes: Largest arguments or result, in bytes of JSON.
        max_batch_size: Most jobs in one ``map``.
        worker_count: Live worker processes.
        degraded: Redis is away: nothing can be submitted now.
    """

    version: str = ""
    features: tuple[str, ...] = ()
    max_inline_bytes: int = 0
    max_batch_size: int = 0
    worker_count: int = 0
    degraded: bool = False


@dataclass(frozen=True, slots=True)
class CancelSummary:
    """What became of a request to cancel several jobs.

    Attributes:
        cancelled: Jobs that had not started and never will.
        requested: Running jobs that were asked to stop; their end follows.
        already_finished: Jobs that had ended before.
        missing: Ids that do not exist.
    """

    cancelled: int = 0
    requested: int = 0
    already_finished: int = 0
    missing: tuple[str, ...] = ()
