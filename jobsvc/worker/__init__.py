"""The handlers' side: what a handler is, what it can say while it runs, and the processes that run it."""

from jobsvc.worker.context import Cancelled as Cancelled
from jobsvc.worker.context import Fail as Fail
from jobsvc.worker.context import JobContext as JobContext
from jobsvc.worker.context import Retry as Retry
from jobsvc.worker.context import TimeLimitExceeded as TimeLimitExceeded
from jobsvc.worker.context import current_job as current_job
from jobsvc.worker.context import track as track
from jobsvc.worker.declared import queue as queue
from jobsvc.worker.handler import handler as handler

__all__ = [
    "Cancelled",
    "Fail",
    "JobContext",
    "Retry",
    "TimeLimitExceeded",
    "current_job",
    "handler",
    "queue",
    "track",
]
