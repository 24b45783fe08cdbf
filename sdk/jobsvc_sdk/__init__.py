"""Submit jobs to a jobsvc server, watch them live, take their results.

Example:
    >>> from jobsvc_sdk import connect
    >>> client = connect()
    >>> job = client.submit("analytics.profile", {"dataset": "cars"})
    >>> job.result()
"""

from __future__ import annotations

from . import errors, values
from ._async.entry import AsyncClient, connect_async
from ._async.handles import AsyncBatch, AsyncJob
from ._connection import sdk_version
from ._retry_words import RetryPolicy
from ._sync.entry import Client, connect
from ._sync.handles import Batch, Job
from .errors import (
    BatchRejected,
    Conflict,
    JobCancelled,
    JobFailed,
    JobLost,
    JobsvcError,
    JobTimedOut,
    NotAvailable,
    NotFound,
    ParamError,
    PermissionDenied,
    ProtocolError,
    QueueFull,
    ServerUnavailable,
    UnknownJobType,
)
from .together import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION, as_completed, gather, wait

__version__ = sdk_version()

__all__ = [
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "AsyncBatch",
    "AsyncClient",
    "AsyncJob",
    "Batch",
    "BatchRejected",
    "Client",
    "Conflict",
    "Job",
    "JobCancelled",
    "JobFailed",
    "JobLost",
    "JobTimedOut",
    "JobsvcError",
    "NotAvailable",
    "NotFound",
    "ParamError",
    "PermissionDenied",
    "ProtocolError",
    "QueueFull",
    "RetryPolicy",
    "ServerUnavailable",
    "UnknownJobType",
    "as_completed",
    "connect",
    "connect_async",
    "errors",
    "gather",
    "values",
    "wait",
]
