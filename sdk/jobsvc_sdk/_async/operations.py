"""What operators ask of a client: queues and dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, cast

from jobsvc_proto.v1 import admin_service_pb2 as admin_pb
from jobsvc_proto.v1 import job_service_pb2 as pb
from jobsvc_sdk import _convert, _requests
from jobsvc_sdk._requests import Span
from jobsvc_sdk.tables import QueueTable, WorkerTable

from .letters import AsyncDeadLetters
from .queue import AsyncQueue
from .transport import AsyncTransport

if TYPE_CHECKING:
    from .client import AsyncClientCore


_PAGE = 500


class AsyncOperations:
    """The part of a client that is about queues rather than about jobs."""

    _transport: AsyncTransport

    async def queues(self, *, window: Span | None = None) -> QueueTable:
        """Count the jobs of each queue by state, and measure how fast they go.

        Args:
            window: How far rates and percentiles look back, ``timedelta`` or seconds, from 10 s to 15 min; None takes a
                minute.
        """
        request = pb.StatsRequest()
        if window is not None:
            request.window.CopyFrom(_requests.span(window, "window"))
        answer = await self._transport.call(lambda: self._transport.jobs.Stats, request, doing="Stats")
        return QueueTable(_convert.queue(message) for message in answer.queues)

    def queue(self, name: str) -> AsyncQueue:
        """Return a handle of one queue, to read and change its settings and to pause it. Asks nothing yet."""
        return AsyncQueue(self._transport, name)

    async def workers(self) -> WorkerTable:
        """List the live workers, oldest first, as each last said of itself: what it runs, its memory, its queues."""
        found, token = WorkerTable(), ""
        while True:
            request = admin_pb.ListWorkersRequest(page_size=_PAGE, page_token=token)
            answer = await self._transport.call(
                lambda: self._transport.admin.ListWorkers, request, doing="ListWorkers"
            )
            found += [_convert.worker(message) for message in answer.workers]
            token = answer.next_page_token
            if not token:
                return found

    async def drain_worker(self, worker_id: str, reason: str = "") -> None:
        """Tell a worker to take nothing more and to end, once what it runs has finished or was handed back.

        Args:
            worker_id: From :meth:`workers`.
            reason: For people.

        Raises:
            NotFound: No such worker lives.
        """
        request = admin_pb.DrainWorkerRequest(worker_id=worker_id, reason=reason)
        await self._transport.call(lambda: self._transport.admin.DrainWorker, request, doing="DrainWorker")

    async def cleanup(
        self,
        queue: str | None = None,
        *,
        older_than: Span,
        states: Sequence[str] = ("completed", "cancelled"),
    ) -> int:
        """Remove jobs that ended long ago, before their retention ends, and return how many that were.

        Args:
            queue: Of which queue; None means all.
            older_than: Since their end; a timedelta or seconds.
            states: Which. Failed jobs, the dead letters, stay unless they are named.

        Raises:
            ParamError: No state was given, or one that is none.
            NotFound: There is no such queue.
        """
        names = [one.name for one in await self.queues()] if queue is None else [queue]
        removed = 0
        for name in names:
            removed += await self.queue(name).purge(*states, older_than=older_than)
        return removed

    def dead_letters(
        self,
        *,
        queue: str = "",
        job_type: str = "",
        error_type: str = "",
        error_code: str = "",
        after: datetime | None = None,
        before: datetime | None = None,
    ) -> AsyncDeadLetters:
        """Return the failed jobs that are kept and match, to look at them, retry or clear them. Asks nothing yet.

        Args:
            queue: Only of this queue.
            job_type: Only of this type.
            error_type: Only those that failed with this exception: ``"ValueError"`` or qualified.
            error_code: Only those that failed with this code.
            after: Only those that failed then or later; with a time zone.
            before: Only those that failed before; with a time zone.

        Raises:
            ParamError: A time has no time zone.
        """
        wanted = _requests.dead_letter_filter(queue, job_type, error_type, error_code, after, before)
        return AsyncDeadLetters(cast("AsyncClientCore", self), wanted)
