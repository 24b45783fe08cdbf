"""A thousand watchers on one server."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from jobsvc_proto.v1 import job_service_pb2 as pb
from jobsvc_proto.v1 import job_service_pb2_grpc
from tests.rpc.rig import Rig, Stream, kinds

WATCHERS = 1_000
CONNECTIONS = 10


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [10, 1_000], ids=["ten jobs", "a job each"])
async def test_thousand_watchers_see_snapshot_update_and_end(rig: Rig, jobs: int) -> None:
    batch_id = await rig.new_batch(jobs)
    channels = [
        grpc.aio.insecure_channel(rig.address, options=[("grpc.use_local_subchannel_pool", 1)])
        for _ in range(CONNECTIONS)
    ]
    stubs = [job_service_pb2_grpc.JobServiceStub(channel) for channel in channels]
    targets = [pb.WatchTarget(job_id=f"{batch_id}.{number % jobs}") for number in range(WATCHERS)]
    streams = [
        Stream(stubs[number % CONNECTIONS].StreamProgress(pb.StreamProgressRequest(targets=[target])))
        for number, target in enumerate(targets)
    ]

    snapshots = await asyncio.gather(*(stream.next(30) for stream in streams))
    claims = [claim for _ in range(0, jobs, 100) for claim in await rig.claim(100)]
    for claim in claims:
        await rig.progress(claim, percent=50.0)
    updates = await asyncio.gather(*(_until_progress(stream) for stream in streams))
    await rig.finish_all(claims)
    ends = await asyncio.gather(*(stream.rest() for stream in streams))

    assert all(len(event.snapshot.jobs) == 1 for event in snapshots)
    assert {event.progress.progress.percent for event in updates} == {50.0}
    assert all(kinds(events)[-1] == "completed" for events in ends)
    assert all(events[-1].completed.job.result.json for events in ends)
    for channel in channels:
        await channel.close()


async def _until_progress(stream: Stream) -> pb.StreamEvent:
    return await stream.until(lambda event: event.HasField("progress"))
