"""Submit: one job."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress

from jobsvc.model.errors import StoreUnavailable
from jobsvc.model.ids import new_job_id
from jobsvc.model.job import NewJob
from jobsvc.model.lifecycle import JobState
from jobsvc.rpc.catalog_cache import CatalogCache, KnownType
from jobsvc.rpc.conversion import STATES, OwnSettings, fill_spec, set_time
from jobsvc.rpc.features import refuse_later
from jobsvc.rpc.guard import Context
from jobsvc.rpc.intake import Intake, check_chosen_id, check_request_id
from jobsvc.rpc.views import JobWriter
from jobsvc.store import calls
from jobsvc.store.async_store import AsyncStore
from jobsvc_proto.v1 import job_service_pb2 as pb

FORGOTTEN = "this request was answered before; the record of its job is no longer kept"


class Submit:
    """Answers Submit. One round trip to Redis, and what the answer says of the job comes from the request.

    Args:
        store: Where the job goes.
        catalog: What can be run, and by whom.
        intake: Checks the job.
        writer: Writes a job that existed already.
    """

    def __init__(self, store: AsyncStore, catalog: CatalogCache, intake: Intake, writer: JobWriter) -> None:
        self._store = store
        self._catalog = catalog
        self._intake = intake
        self._writer = writer

    async def __call__(self, request: pb.SubmitRequest, context: Context) -> pb.SubmitResponse:
        """Check, store, answer."""
        refuse_later(request)
        check_request_id(request.request_id)
        check_chosen_id(request.job_id, "job_id")
        now_ms = time.time_ns() // 1_000_000
        new, known = await self._intake.check(
            request.spec,
            job_id=request.job_id or new_job_id(request.request_id),
            from_request_id=bool(request.request_id),
            now_ms=now_ms,
        )
        response = pb.SubmitResponse()
        if request.validate_only:
            fill_new_job(response.job, new, known, create_ms=now_ms, version=0)
            response.job.job_id = ""
        else:
            await self._store_job(response, new, known)
        # asked last, so that the job starts sooner; if Redis goes away now the job is stored all the same
        with suppress(StoreUnavailable):
            warning = no_worker(new.type, await self._catalog.live_workers())
            response.warnings.extend([warning] if warning else ())
        return response

    async def _store_job(self, response: pb.SubmitResponse, new: NewJob, known: KnownType) -> None:
        done = await self._store.run(calls.submit(new))
        if done.created:
            fill_new_job(response.job, new, known, create_ms=done.create_ms, due_ms=done.due_ms)
            return
        response.deduplicated = True
        [job] = await self._store.read([new.id])
        if job is not None:
            self._writer.fill(response.job, job, full=False)
        else:
            fill_new_job(response.job, new, known, create_ms=done.create_ms)
            response.warnings.append(FORGOTTEN)


def no_worker(job_type: str, live: Mapping[str, int]) -> str:
    """Return the warning for a job type that no live worker can run now, or nothing."""
    if live.get(job_type):
        return ""
    return f'no worker for job type "{job_type}" is alive; the job waits until one starts'


def fill_new_job(
    message: pb.Job, new: NewJob, known: KnownType, *, create_ms: int, due_ms: int = 0, version: int = 1
) -> None:
    """Fill in a job that was just submitted, from what was asked for.

    Args:
        message: An empty message.
        new: The job.
        known: Its type.
        create_ms: When it was accepted.
        due_ms: When it may start; 0 when it is not known, and so follows from the request.
        version: 0 for a job that was only checked.
    """
    due_ms = due_ms or max(new.delay_ms and create_ms + new.delay_ms, new.not_before_ms)
    scheduled = due_ms > create_ms
    message.job_id = new.id
    message.state = STATES[JobState.SCHEDULED if scheduled else JobState.QUEUED]
    message.version = version
    set_time(message.create_time, create_ms)
    spec = message.spec
    spec.CopyFrom(known.template)
    spec.title = new.title
    if new.labels:
        spec.labels.update(new.labels)
    fill_spec(
        spec,
        OwnSettings(
            new.queue, new.priority, new.timeout_ms, new.max_attempts, new.max_lost_attempts, new.retry
        ),
    )
    if scheduled:
        set_time(spec.not_before_time, due_ms)
    set_time(spec.start_deadline_time, new.expire_ms)
