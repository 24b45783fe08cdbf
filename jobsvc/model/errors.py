"""Every error that jobsvc raises towards its callers.

    JobsvcError
    ├── InvalidRequest          the request cannot be accepted as it is
    │   ├── MalformedId
    │   ├── UnknownJobType
    │   └── ArgumentsTooLarge
    ├── NotFound
    │   ├── JobNotFound
    │   ├── BatchNotFound
    │   ├── JobTypeNotFound
    │   ├── QueueNotFound
    │   └── WorkerNotFound
    ├── QueueFull               as many jobs wait in the queue as it takes
    ├── EtagMismatch            somebody else changed it first
    ├── IdConflict              the id is taken by another request
    ├── FeatureNotAvailable     this server cannot do that yet
    ├── StoreUnavailable        Redis cannot be reached
    ├── StoreFull               Redis is at its memory limit
    └── ConfigurationError      a setting is wrong

Each class has a stable ``reason``; what a program needs to know stands in ``facts``. Adapters turn reasons into their
own codes (``jobsvc.rpc.status``); texts are for people only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """One wrong field of a request.

    Attributes:
        field: Path in the request, e.g. ``spec.arguments.limit``.
        description: What is wrong and what is expected.
    """

    field: str
    description: str


class JobsvcError(Exception):
    """Base of all errors of jobsvc."""

    reason = "INTERNAL"

    def __init__(self, message: str, **facts: str) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts


class InvalidRequest(JobsvcError):
    """The request is wrong; nothing was changed."""

    reason = "INVALID_ARGUMENT"

    def __init__(self, message: str, violations: Sequence[Violation] = (), **facts: str) -> None:
        super().__init__(message, **facts)
        self.violations = tuple(violations)


class MalformedId(InvalidRequest):
    """An id has characters or a length that ids cannot have."""

    reason = "MALFORMED_ID"


class UnknownJobType(InvalidRequest):
    """No worker has ever published this job type."""

    reason = "UNKNOWN_JOB_TYPE"


class ArgumentsTooLarge(InvalidRequest):
    """The arguments are above the inline limit."""

    reason = "ARGUMENTS_TOO_LARGE"


class NotFound(JobsvcError):
    """The thing does not exist, or the caller may not see it."""

    reason = "NOT_FOUND"


class JobNotFound(NotFound):
    """There is no such job, or its record is no longer kept."""

    reason = "JOB_NOT_FOUND"


class BatchNotFound(NotFound):
    """There is no such batch, or its record is no longer kept."""

    reason = "BATCH_NOT_FOUND"


class JobTypeNotFound(NotFound):
    """No worker has ever published this job type."""

    reason = "JOB_TYPE_NOT_FOUND"


class QueueNotFound(NotFound):
    """No job was ever submitted to this queue, and nobody gave it settings."""

    reason = "QUEUE_NOT_FOUND"


class WorkerNotFound(NotFound):
    """No such worker lives."""

    reason = "WORKER_NOT_FOUND"


class QueueFull(JobsvcError):
    """As many jobs wait in the queue as its setting ``max_waiting`` allows; nothing was queued."""

    reason = "QUEUE_FULL"


class EtagMismatch(JobsvcError):
    """What should be changed is not what the caller has seen: somebody else changed it first."""

    reason = "ETAG_MISMATCH"


class IdConflict(JobsvcError):
    """The job id, batch id or request id was used before with other content."""

    reason = "ID_CONFLICT"


class FeatureNotAvailable(JobsvcError):
    """The request asks for something that this server cannot do yet."""

    reason = "FEATURE_NOT_AVAILABLE"


class StoreUnavailable(JobsvcError):
    """Redis cannot be reached, or does not answer; nothing is known to have changed."""

    reason = "STORE_UNAVAILABLE"


class StoreFull(JobsvcError):
    """Redis is at its memory limit and takes no new jobs; running jobs go on."""

    reason = "STORE_FULL"


class ConfigurationError(JobsvcError):
    """A setting is wrong; the message says which, where it stands and what to do."""

    reason = "CONFIGURATION"
