# Generated from _async/letters.py by tools/gen_sync.py; change that one.
"""Dead letters: the failed jobs that are kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from jobsvc_proto.v1 import job_service_pb2 as pb
from jobsvc_proto.v1 import queue_service_pb2 as queue_pb
from jobsvc_sdk import _convert, _requests
from jobsvc_sdk.tables import JobTable
from jobsvc_sdk.values import RetrySummary

from .handles import Job
from .transport import LONG_CALL_TIMEOUT_S

if TYPE_CHECKING:
    from .client import ClientCore

_PAGE = 200


class DeadLetters:
    """Failed jobs that are kept and match a filter. Nothing is asked before they are iterated over or acted on."""

    def __init__(self, client: ClientCore, wanted: pb.DeadLetterFilter) -> None:
        self._client = client
        self._wanted = wanted

    def __iter__(self) -> Iterator[Job]:
        return self._walk()

    def _walk(self) -> Iterator[Job]:
        """Iterate over them, the newest first, page by page."""
        wanted, token, transport = self._wanted, "", self._client._transport
        condition = _requests.list_filter(
            state="failed", queue=wanted.queue or None, job_type=wanted.job_type or None
        )
        while True:
            request = pb.ListRequest(
                filter=condition, page_size=_PAGE, page_token=token, view=pb.JOB_VIEW_BASIC
            )
            answer = transport.call(lambda: transport.jobs.List, request, doing="List")
            for message in answer.jobs:
                status = _convert.job(message, full=False)
                if _requests.is_wanted(wanted, status):
                    yield Job(self._client, status)
            token = answer.next_page_token
            if not token:
                return

    def list(self, limit: int | None = 100) -> JobTable:
        """List them, the newest first; iterating over this object gives them one by one.

        Args:
            limit: At most so many; None means all.
        """
        found = JobTable()
        for job in self:
            if limit is not None and len(found) >= limit:
                break
            found.append(job)
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
