"""Asynchronous jobs over gRPC, with live progress.

This is the side of those who write handlers::

    from jobsvc import Retry, current_job, handler

    @handler("reports.monthly", max_attempts=3)
    def monthly(month: str) -> dict: ...

The names are loaded on first use, so that ``import jobsvc`` stays cheap and a command that only talks to a server
loads neither Redis nor Dramatiq.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobsvc.worker import ApplicationError as ApplicationError
    from jobsvc.worker import Cancelled as Cancelled
    from jobsvc.worker import Fail as Fail
    from jobsvc.worker import Retry as Retry
    from jobsvc.worker import RetryPolicy as RetryPolicy
    from jobsvc.worker import Snooze as Snooze
    from jobsvc.worker import current_job as current_job
    from jobsvc.worker import handler as handler
    from jobsvc.worker import queue as queue
    from jobsvc.worker import track as track

__version__ = "0.1.0.dev0"
__all__ = [
    "ApplicationError",
    "Cancelled",
    "Fail",
    "Retry",
    "RetryPolicy",
    "Snooze",
    "__version__",
    "current_job",
    "handler",
    "queue",
    "track",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("jobsvc.worker"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
