"""Redis goes away and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import health_pb2, health_pb2_grpc

from jobsvc.embedded import EmbeddedValkey
from jobsvc.store import calls
from jobsvc_proto.v1 import catalog_service_pb2, common_pb2
from jobsvc_proto.v1 import job_service_pb2 as pb
from tests.rpc.rig import Rig, eventually, kinds, refusal, settings_for, spec

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
async def rig(make_rig: Callable[..., Awaitable[Rig]], own_valkey: EmbeddedValkey) -> Rig:
    """A server on a Valkey of its own."""
    return await make_rig(redis_url=(own_valkey.url, "outage"))


async def health(rig: Rig, service: str = "") -> int:
    stub = health_pb2_grpc.HealthStub(rig.channel)
    status: int = (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status
    return status


async def test_submit_while_redis_is_away_is_unavailable_and_writes_nothing(
    rig: Rig, own_valkey: EmbeddedValkey
) -> None:
    await rig.submit(request_id="before")
    own_valkey.stop()

    single = await refusal(rig.submit(request_id="during"))
    many = await refusal(
        rig.jobs.SubmitBatch(pb.SubmitBatchRequest(requests=[pb.SubmitRequest(spec=spec())], batch_id="b"))
    )

    for fault in (single, many):
        assert (fault.code, fault.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
        assert fault.retry_after_s is not None
        assert fault.retry_after_s > 0
        assert "unix" not in fault.message
        assert "127.0.0.1" not in fault.message
    own_valkey.start()
    stats = await eventually(lambda: rig.jobs.Stats(pb.StatsRequest()))
    assert stats.total.total == 1
    again = await rig.submit(request_id="during")
    assert not again.deduplicated


async def test_everything_goes_on_by_itself_when_redis_is_back(rig: Rig, own_valkey: EmbeddedValkey) -> None:
    job_id = await rig.new_job()
    own_valkey.stop()
    await refusal(rig.submit())

    own_valkey.start()

    assert (await rig.get(job_id)).state == common_pb2.JOB_STATE_QUEUED
    answer = await rig.submit()
    stream = rig.stream(pb.WatchTarget(job_id=answer.job.job_id))
    await stream.kind("snapshot")
    await rig.finish_all(await rig.claim(2))
    assert kinds(await stream.rest())[-1] == "completed"


async def test_stream_stays_open_while_redis_is_away_and_then_catches_up(
    rig: Rig, own_valkey: EmbeddedValkey
) -> None:
    job_id, batch_id = await rig.new_job(), await rig.new_batch(2)
    targets = [pb.WatchTarget(job_id=job_id), pb.WatchTarget(batch_id=batch_id, include_jobs=True)]
    stream = rig.stream(*targets, heartbeat_interval=Duration(seconds=1), min_interval_ms=20)
    await stream.kind("snapshot")
    own_valkey.stop()

    await stream.kind("heartbeat")  # it lives, though nothing can be read
    own_valkey.start()
    # moved on before the server's subscription is back: announcements that it cannot have heard
    claims = await rig.claim(3)
    await rig.finish_all(claims)

    events = await stream.rest()
    assert kinds(events).count("completed") == 2
    moved = {
        event.state_change.job_id
        for event in events
        if event.state_change.state == common_pb2.JOB_STATE_COMPLETED
    }
    assert moved == {job_id, f"{batch_id}.0", f"{batch_id}.1"}


async def test_stream_versions_do_not_go_backwards_over_a_restart_of_redis(
    rig: Rig, own_valkey: EmbeddedValkey
) -> None:
    job_id = await rig.new_job()
    claim = await rig.claim_one()
    stream = rig.stream(pb.WatchTarget(job_id=job_id), min_interval_ms=20)
    versions = [(await stream.kind("snapshot")).jobs[0].version]

    for round_ in range(3):
        await rig.progress(claim, percent=10.0 * round_)
        versions.append((await stream.skip_to("progress")).version)
        own_valkey.stop()
        own_valkey.start()
    await rig.finish(claim)

    versions += [
        event.state_change.version for event in await stream.rest() if event.HasField("state_change")
    ]
    assert versions == sorted(set(versions))


async def test_new_stream_while_redis_is_away_is_unavailable(rig: Rig, own_valkey: EmbeddedValkey) -> None:
    job_id = await rig.new_job()
    own_valkey.stop()

    fault = await rig.stream(pb.WatchTarget(job_id=job_id)).fault()
    waiting = await refusal(rig.jobs.Wait(pb.WaitRequest(job_id=job_id)))

    assert (fault.code, fault.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
    assert fault.retry_after_s
    assert waiting.reason == "STORE_UNAVAILABLE"


async def test_health_follows_redis(rig: Rig, own_valkey: EmbeddedValkey) -> None:
    assert await health(rig) == SERVING
    own_valkey.stop()

    assert await eventually(lambda: _is(rig, NOT_SERVING))
    info = await rig.catalog.GetServerInfo(catalog_service_pb2.GetServerInfoRequest())
    own_valkey.start()

    assert info.degraded
    assert info.server_version
    assert await eventually(lambda: _is(rig, SERVING))
    assert await health(rig, "jobsvc.v1.JobService") == SERVING


async def _is(rig: Rig, wanted: int) -> bool:
    return await health(rig) == wanted


async def test_server_that_starts_before_redis_is_ready_when_redis_is(own_valkey: EmbeddedValkey) -> None:
    own_valkey.stop()
    rig = Rig(settings_for((own_valkey.url, "late")))
    starting = asyncio.ensure_future(rig.start())
    try:
        done, _ = await asyncio.wait({starting}, timeout=0.3)
        assert not done

        own_valkey.start()
        await asyncio.wait_for(starting, 15)

        await rig.publish()
        assert await rig.new_job()
    finally:
        await rig.close()


async def test_submit_to_a_full_redis_is_refused_with_a_hint_and_the_rest_goes_on(
    rig: Rig, own_valkey: EmbeddedValkey
) -> None:
    job_id = await rig.new_job()
    claim = await rig.claim_one()
    await rig.run(calls.Call(None, ("CONFIG", "SET", "maxmemory", "1"), str))

    fault = await refusal(rig.submit())
    await rig.progress(claim, percent=50.0)
    await rig.finish(claim)

    assert (fault.code, fault.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "STORE_FULL")
    assert fault.retry_after_s
    assert (await rig.get(job_id)).state == common_pb2.JOB_STATE_COMPLETED
    await rig.run(calls.Call(None, ("CONFIG", "SET", "maxmemory", "0"), str))
    assert await rig.new_job()


async def test_submits_that_redis_interrupts_are_whole_or_not_at_all(
    rig: Rig, own_valkey: EmbeddedValkey
) -> None:
    async def attempt(number: int) -> str:
        call = rig.jobs.Submit(pb.SubmitRequest(spec=spec(), request_id=f"r{number}"))
        code = await call.code()
        assert code in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE)
        return (await call).job.job_id if code is grpc.StatusCode.OK else ""

    running = [asyncio.ensure_future(attempt(number)) for number in range(300)]
    await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    own_valkey.stop()
    first = await asyncio.gather(*running)
    own_valkey.start()

    again = [(await rig.submit(request_id=f"r{number}")).job.job_id for number in range(300)]

    assert all(before in ("", after) for before, after in zip(first, again, strict=True))
    assert len(set(again)) == 300
    stats = (await rig.jobs.Stats(pb.StatsRequest())).total
    assert (stats.waiting, stats.total) == (300, 300)
    assert len(await rig.claim(400)) == 300
