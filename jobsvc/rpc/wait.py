"""Wait: a long poll, for clients that cannot hold a stream."""

from __future__ import annotations

import asyncio

from jobsvc.model.job import Job
from jobsvc.rpc.catalog import MAX_WAIT_S
from jobsvc.rpc.guard import Context
from jobsvc.rpc.read import read_one
from jobsvc.rpc.views import JobWriter
from jobsvc.rpc.watch.ear import Ear, listening
from jobsvc.rpc.watch.feeds import JobFeed
from jobsvc.rpc.watch.hub import Hub
from jobsvc.store.async_store import AsyncStore
from jobsvc_proto.v1 import job_service_pb2 as pb


class Wait:
    """Answers Wait.

    Args:
        hub: Tells of changes.
        store: Where the job is read.
        writer: Writes it.
        interval_s: How often progress is looked at while it waits for a version.
    """

    def __init__(self, hub: Hub, store: AsyncStore, writer: JobWriter, *, interval_s: float) -> None:
        self._hub = hub
        self._store = store
        self._writer = writer
        self._interval_s = interval_s

    async def __call__(self, request: pb.WaitRequest, context: Context) -> pb.WaitResponse:
        """Answer when the job has changed, or when the time is over."""
        job = await read_one(self._store, request.job_id, full=True)
        if not _is_news(job, request):
            await self._wait(request)
            job = await read_one(self._store, request.job_id, full=True)
        response = pb.WaitResponse(changed=_is_news(job, request))
        self._writer.fill(response.job, job, full=True)
        return response

    async def _wait(self, request: pb.WaitRequest) -> None:
        until = asyncio.get_running_loop().time() + _max_wait_s(request)
        ear = Ear(MAX_WAIT_S if request.until_terminal else self._interval_s)
        async with listening(self._hub, "job", request.job_id, ear) as feed:
            await self._hub.refresh([feed])
            while not ear.stopped:
                assert isinstance(feed, JobFeed)
                record = feed.track.record
                if feed.track.missing or record is None or _is_news(record, request):
                    return
                if not await ear.wait(until):
                    return


def _is_news(job: Job, request: pb.WaitRequest) -> bool:
    if job.state.terminal:
        return True
    return not request.until_terminal and job.version > request.after_version


def _max_wait_s(request: pb.WaitRequest) -> float:
    if not request.HasField("max_wait"):
        return MAX_WAIT_S
    wanted = request.max_wait.seconds + request.max_wait.nanos / 1e9
    return min(max(wanted, 0.0), MAX_WAIT_S)
