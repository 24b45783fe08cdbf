"""Cancel: one job, several, or all of a batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from jobsvc.model.errors import BatchNotFound, InvalidRequest, Violation
from jobsvc.model.ids import check_id
from jobsvc.rpc.features import refuse_later
from jobsvc.rpc.guard import Context
from jobsvc.rpc.read import check_ids, no_such_job
from jobsvc.rpc.views import JobWriter
from jobsvc.store import calls
from jobsvc.store.async_store import AsyncStore
from jobsvc_proto.v1 import job_service_pb2 as pb

MAX_IDS = 1_000
MAX_REASON = 1_000
_AT_ONCE = 500
"""Jobs cancelled by one script; other calls get their turn in between."""


class Cancel:
    """Answers Cancel."""

    def __init__(self, store: AsyncStore, writer: JobWriter) -> None:
        self._store = store
        self._writer = writer

    async def __call__(self, request: pb.CancelRequest, context: Context) -> pb.CancelResponse:
        """Cancel what waits, ask what runs to stop, and count."""
        refuse_later(request)
        if len(request.reason) > MAX_REASON:
            problem = f"must have at most {MAX_REASON} characters"
            raise InvalidRequest(f"reason {problem}", [Violation("reason", problem)])
        which = request.WhichOneof("target")
        if which == "job_id":
            return await self._cancel_one(check_id(request.job_id, "job_id"), request.reason)
        if which == "jobs":
            ids = check_ids(request.jobs.job_ids, "jobs.job_ids", MAX_IDS)
        elif which == "batch_id":
            ids = await self._jobs_of(check_id(request.batch_id, "batch_id"))
        else:
            problem = "one of job_id, batch_id and jobs must be set"
            raise InvalidRequest(problem, [Violation("target", problem)])
        replies = await self._cancel(ids, request.reason)
        response = _count(replies)
        if which == "jobs":
            missing = (job_id for job_id, reply in zip(ids, replies, strict=True) if reply == "missing")
            response.missing_job_ids.extend(missing)
        return response

    async def _cancel_one(self, job_id: str, reason: str) -> pb.CancelResponse:
        replies = await self._cancel([job_id], reason)
        [job] = await self._store.read([job_id], full=True)
        if job is None:
            raise no_such_job(job_id)
        response = _count(replies)
        self._writer.fill(response.job, job, full=True)
        return response

    async def _cancel(self, ids: Sequence[str], reason: str) -> list[str]:
        replies: list[str] = []
        for at in range(0, len(ids), _AT_ONCE):
            part = await self._store.run(calls.cancel(ids[at : at + _AT_ONCE], reason=reason))
            replies += part
        return replies

    async def _jobs_of(self, batch_id: str) -> list[str]:
        batch = await self._store.run(calls.read_batch(batch_id))
        if batch is None:
            raise no_such_batch(batch_id)
        return [batch.job_id(index) for index in range(batch.size)]


def no_such_batch(batch_id: str) -> BatchNotFound:
    """Return the error for a batch that does not exist."""
    return BatchNotFound(f"there is no batch {batch_id}, or its record is no longer kept", batch_id=batch_id)


def _count(replies: Sequence[str]) -> pb.CancelResponse:
    counts = Counter(replies)
    return pb.CancelResponse(
        cancelled_count=counts["cancelled"],
        already_finished_count=counts["finished"],
        requested_count=counts["requested"],
    )
