"""The handlers' side: what a handler is, what it can say while it runs, and the processes that run it."""

from jobsvc.worker.context import JobContext as JobContext
from jobsvc.worker.context import current_job as current_job
from jobsvc.worker.context import track as track
from jobsvc.worker.declared import queue as queue
from jobsvc.worker.exceptions import ApplicationError as ApplicationError
from jobsvc.worker.exceptions import Cancelled as Cancelled
from jobsvc.worker.exceptions import Fail as Fail
from jobsvc.worker.exceptions import Retry as Retry
from jobsvc.worker.exceptions import Snooze as Snooze
from jobsvc.worker.exceptions import TimeLimitExceeded as TimeLimitExceeded
from jobsvc.worker.handler import handler as handler
from jobsvc.worker.retrying import RetryPolicy as RetryPolicy

__all__ = [
    "ApplicationError",
    "Cancelled",
    "Fail",
    "JobContext",
    "Retry",
    "RetryPolicy",
    "Snooze",
    "TimeLimitExceeded",
    "current_job",
    "handler",
    "queue",
    "track",
]
