"""Everything the SDK raises by itself.

    JobsvcError
    ├── JobFailed            the job ended in state failed; the worker's traceback is its cause
    │   ├── JobTimedOut      ... because its last attempt ran into its time limit
    │   └── JobLost          ... because it kept losing its workers
    ├── JobCancelled         the job was cancelled: there is no result
    ├── ParamError           arguments or options are wrong; nothing was submitted
    │   └── BatchRejected    ... in some items of a batch
    ├── UnknownJobType       no worker ever published this job type
    ├── NotFound             no such job, batch, queue or job type
    ├── Conflict             the id is taken by a job with other content, or somebody else changed it first
    ├── QueueFull            as many jobs wait in the queue as it takes; nothing was submitted
    ├── NotAvailable         this server cannot do that (yet)
    ├── PermissionDenied     the token is missing, wrong or not enough
    ├── ServerUnavailable    the server, or its Redis, cannot be reached now
    └── ProtocolError        an answer that makes no sense; most likely a bug

Waiting with a ``timeout`` raises the built-in :class:`TimeoutError` and never cancels anything.

What came from the server is told apart by the stable ``reason`` it sent, never by its text; ``reason`` and
``metadata`` keep it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from .values import ErrorValue


class JobsvcError(Exception):
    """Base of all errors of this SDK.

    Attributes:
        reason: The server's stable reason, e.g. ``"JOB_NOT_FOUND"``; empty when the SDK found out by itself.
        metadata: Facts the server sent with it.
    """

    def __init__(
        self, message: str = "", *, reason: str = "", metadata: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.metadata = dict(metadata or {})

    @property
    def message(self) -> str:
        """What happened, to what, and what to do next."""
        return str(self.args[0]) if self.args else ""


class RemoteTraceback(Exception):
    """Carries a worker's traceback, so that Python prints it above the error it caused."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        """Return the traceback on lines of its own."""
        return f"\n{self.text.rstrip()}\n"


class JobFailed(JobsvcError):
    """A job ended in state failed.

    Attributes:
        job_id: The job.
        error: What the worker reported.
    """

    def __init__(self, message: str = "", *, job_id: str = "", error: ErrorValue | None = None) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.error = error or ErrorValue()

    @property
    def code(self) -> str:
        """The error code that the handler gave, e.g. ``"RATE_LIMITED"``; empty when it gave none."""
        return self.error.code

    @property
    def remote_traceback(self) -> str:
        """The traceback as the worker saw it; empty when it left none."""
        return self.error.stack_trace


class JobTimedOut(JobFailed):
    """The last attempt of a job ran into its time limit."""


class JobLost(JobFailed):
    """A job was lost with its worker too often."""


class JobCancelled(JobsvcError):
    """A job was cancelled.

    Attributes:
        job_id: The job.
        error: Why, when a dependency or an expiry cancelled it.
    """

    def __init__(self, message: str = "", *, job_id: str = "", error: ErrorValue | None = None) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.error = error


@dataclass(frozen=True, slots=True)
class Violation:
    """One wrong field.

    Attributes:
        field: Path in what was submitted, e.g. ``"arguments.limit"`` or ``"arguments.rows[3].price"``.
        description: What is wrong and what is expected.
    """

    field: str
    description: str

    def __str__(self) -> str:
        """Return the path, without ``arguments.``, and what is wrong with it."""
        return f"{self.field.removeprefix('arguments.')}: {self.description}"


class ParamError(JobsvcError):
    """Arguments or options are wrong; nothing was submitted.

    Attributes:
        violations: Every wrong field.
    """

    def __init__(
        self,
        message: str = "",
        *,
        violations: Sequence[Violation] = (),
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)
        self.violations = tuple(violations)


class BatchRejected(ParamError):
    """Some items of a batch are wrong.

    Attributes:
        items: Error of each rejected item, by its index from 0.
    """

    def __init__(
        self,
        message: str = "",
        *,
        items: Mapping[int, JobsvcError] | None = None,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)
        self.items = dict(items or {})
        self.violations = tuple(
            Violation(f"[{index}].{violation.field}", violation.description)
            for index, error in self.items.items()
            for violation in getattr(error, "violations", ())
        )


class UnknownJobType(JobsvcError):
    """No worker ever published this job type.

    Attributes:
        job_type: The name that was asked for.
        nearest: Known names that look like it, the best first.
    """

    def __init__(
        self,
        message: str = "",
        *,
        job_type: str = "",
        nearest: Sequence[str] = (),
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)
        self.job_type = job_type
        self.nearest = tuple(nearest)


class NotFound(JobsvcError):
    """No such job, batch or job type, or it is not visible to this caller."""


class Conflict(JobsvcError):
    """The id, or the request id, is taken by something with other content."""


class QueueFull(JobsvcError):
    """As many jobs wait in the queue as its setting max_waiting allows; nothing was submitted. Try again later."""


class NotAvailable(JobsvcError):
    """This server does not offer that.

    Attributes:
        feature: What was asked for: a field of the contract or a call.
    """

    def __init__(
        self,
        message: str = "",
        *,
        feature: str = "",
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)
        self.feature = feature


class PermissionDenied(JobsvcError):
    """The token is missing, wrong, or not enough for this."""


class ServerUnavailable(JobsvcError):
    """The server, or the Redis behind it, cannot be reached or cannot take more now.

    Jobs that were acknowledged before are safe.

    Attributes:
        address: Where the server was looked for.
        retry_after: How long the server asked to wait; None when it did not say.
    """

    def __init__(
        self,
        message: str = "",
        *,
        address: str = "",
        retry_after: timedelta | None = None,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, reason=reason, metadata=metadata)
        self.address = address
        self.retry_after = retry_after


class ProtocolError(JobsvcError):
    """The server answered something this SDK cannot make sense of, or failed inside."""
