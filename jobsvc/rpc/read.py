"""GetStatus and BatchGetStatus: the newest records."""

from __future__ import annotations

from collections.abc import Iterable

from jobsvc.model.errors import InvalidRequest, JobNotFound, Violation
from jobsvc.model.ids import check_id
from jobsvc.model.job import Job
from jobsvc.rpc.guard import Context
from jobsvc.rpc.views import JobWriter
from jobsvc.store.async_store import AsyncStore
from jobsvc_proto.v1 import job_service_pb2 as pb

MAX_IDS = 500
_FULL_AT_ONCE = 50
"""Arguments and results may be large: so many full records are read by one script."""


class Reader:
    """Answers GetStatus and BatchGetStatus."""

    def __init__(self, store: AsyncStore, writer: JobWriter) -> None:
        self._store = store
        self._writer = writer

    async def get_status(self, request: pb.GetStatusRequest, context: Context) -> pb.GetStatusResponse:
        """Return one job."""
        full = request.view != pb.JOB_VIEW_BASIC
        job = await read_one(self._store, request.job_id, full=full)
        response = pb.GetStatusResponse()
        self._writer.fill(response.job, job, full=full)
        return response

    async def batch_get_status(
        self, request: pb.BatchGetStatusRequest, context: Context
    ) -> pb.BatchGetStatusResponse:
        """Return several jobs and name those that do not exist."""
        ids = check_ids(request.job_ids, "job_ids", MAX_IDS)
        full = request.view == pb.JOB_VIEW_FULL
        step = _FULL_AT_ONCE if full else MAX_IDS
        response = pb.BatchGetStatusResponse()
        for at in range(0, len(ids), step):
            part = ids[at : at + step]
            for job_id, job in zip(part, await self._store.read(part, full=full), strict=True):
                if job is None:
                    response.missing_job_ids.append(job_id)
                else:
                    self._writer.fill(response.jobs.add(), job, full=full)
        return response


async def read_one(store: AsyncStore, job_id: str, *, full: bool) -> Job:
    """Read a job that must exist.

    Raises:
        MalformedId: It cannot be an id.
        JobNotFound: There is no such job.
    """
    [job] = await store.read([check_id(job_id, "job_id")], full=full)
    if job is None:
        raise no_such_job(job_id)
    return job


def no_such_job(job_id: str) -> JobNotFound:
    """Return the error for a job that does not exist."""
    return JobNotFound(f"there is no job {job_id}, or its record is no longer kept", job_id=job_id)


def check_ids(values: Iterable[str], field: str, most: int) -> list[str]:
    """Return the ids of a list field.

    Raises:
        InvalidRequest: There are none, or too many.
        MalformedId: One of them cannot be an id.
    """
    ids = list(values)
    if not 0 < len(ids) <= most:
        problem = f"has {len(ids)} ids; 1 to {most} are allowed"
        raise InvalidRequest(f"{field} {problem}", [Violation(field, problem)])
    for index, value in enumerate(ids):
        check_id(value, f"{field}[{index}]")
    return ids
