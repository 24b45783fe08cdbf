# Generated from _async/letters.py by tools/gen_sync.py; change that one.
"""Dead letters: the failed jobs that are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobsvc_proto.v1 import job_service_pb2 as pb
from jobsvc_proto.v1 import queue_service_pb2 as queue_pb
from jobsvc_sdk import _requests
from jobsvc_sdk.tables import JobTable
from jobsvc_sdk.values import RetrySummary

from .transport import LONG_CALL_TIMEOUT_S

if TYPE_CHECKING:
    from .client import ClientCore


class DeadLetters:
    """Failed jobs that are kept and match a filter. Nothing is asked before one of the methods is called."""

    def __init__(self, client: ClientCore, wanted: pb.DeadLetterFilter) -> None:
        self._client = client
        self._wanted = wanted

    def list(self, limit: int | None = 100) -> JobTable:
        """List them, the newest first.

        Args:
            limit: At most so many; None means all.
        """
        wanted, found = self._wanted, JobTable()
        jobs = self._client.jobs(
            state="failed", queue=wanted.queue or None, job_type=wanted.job_type or None, limit=None
        )
        for job in jobs:
            if _requests.is_wanted(wanted, job.last_status):
                found.append(job)
                if len(found) == limit:
                    break
        return found

    def retry(self, *, limit: int = 0, reset_attempts: bool = False) -> RetrySummary:
        """Queue them again, oldest first, with their history of attempts.

        Args:
            limit: At most so many; 0 for all.
            reset_attempts: Count their attempts from the beginning; otherwise each gets one more.
        """
        wanted = pb.DeadLetterFilter()
        wanted.CopyFrom(self._wanted)
        wanted.limit = limit
        return self._client._transport.retry(
            pb.RetryRequest(dead_letters=wanted, reset_attempts=reset_attempts)
        )

    def clear(self, *, limit: int = 0) -> int:
        """Remove them for good, oldest first, and return how many that were.

        Args:
            limit: At most so many; 0 for all.
        """
        wanted = pb.DeadLetterFilter()
        wanted.CopyFrom(self._wanted)
        wanted.limit = limit
        transport = self._client._transport
        answer = transport.call(
            lambda: transport.queues.ClearDeadLetters,
            queue_pb.ClearDeadLettersRequest(filter=wanted),
            doing="ClearDeadLetters",
            timeout_s=LONG_CALL_TIMEOUT_S,
        )
        return int(answer.cleared_count)

    def __repr__(self) -> str:
        wanted = ", ".join(f"{field.name}={value!r}" for field, value in self._wanted.ListFields())
        return f"<DeadLetters {wanted or 'all'}>"
