"""A thousand watchers on one server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from jobsvc.embedded import EmbeddedValkey
from jobsvc.store import calls
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


async def test_one_stream_watches_a_thousand_jobs(rig: Rig) -> None:
    batch_id = await rig.new_batch(1_000)
    ids = [f"{batch_id}.{number}" for number in range(1_000)]
    stream = rig.stream(*(pb.WatchTarget(job_id=job_id) for job_id in ids))
    seen: list[str] = []
    while len(seen) < 1_000:
        seen += [job.job_id for job in (await stream.kind("snapshot")).jobs]

    while claims := await rig.claim(100):
        await rig.finish_all(claims)

    events = await stream.rest()
    completed = [event.completed.job.job_id for event in events if event.HasField("completed")]
    assert sorted(completed) == sorted(seen) == sorted(ids)
    assert stream.messages < 500


async def test_idle_streams_ask_redis_nothing(
    make_rig: Callable[..., Awaitable[Rig]], own_valkey: EmbeddedValkey
) -> None:
    rig = await make_rig(redis_url=(own_valkey.url, "idle"))
    batch_id = await rig.new_batch(200)
    targets = [pb.WatchTarget(job_id=f"{batch_id}.{number}") for number in range(200)]
    streams = [rig.stream(target, heartbeat_interval=Duration(seconds=1)) for target in targets]
    await asyncio.gather(*(stream.kind("snapshot") for stream in streams))
    before = await commands(rig)

    await asyncio.gather(*(stream.kind("heartbeat") for stream in streams))

    assert await commands(rig) - before < 10  # the health check, and this question
    for stream in streams:
        stream.cancel()


async def commands(rig: Rig) -> int:
    text = await rig.run(calls.Call(None, ("INFO", "stats"), str))
    return int(text.split("total_commands_processed:")[1].split()[0])
