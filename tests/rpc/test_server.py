"""The server as a whole: what it refuses, how it looks from outside, how it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from jobsvc.model.errors import ConfigurationError
from jobsvc.rpc import read
from jobsvc_proto.v1 import (
    admin_service_pb2,
    blob_service_pb2,
    catalog_service_pb2,
    common_pb2,
    job_service_pb2,
    queue_service_pb2,
    schedule_service_pb2,
)
from jobsvc_proto.v1 import job_service_pb2 as pb
from tests.rpc.rig import Rig, kinds, read_fault, refusal, settings_for

MODULES = (
    admin_service_pb2,
    blob_service_pb2,
    catalog_service_pb2,
    job_service_pb2,
    queue_service_pb2,
    schedule_service_pb2,
)
SERVICES = [service for module in MODULES for service in module.DESCRIPTOR.services_by_name.values()]
ANSWERED = {
    "JobService": {
        "Submit",
        "SubmitBatch",
        "GetStatus",
        "BatchGetStatus",
        "Wait",
        "StreamProgress",
        "Cancel",
        "Stats",
        "List",
        "StreamLogs",
        "Retry",
    },
    "CatalogService": {"ListJobTypes", "GetJobType", "GetServerInfo"},
    "AdminService": {"ListWorkers", "DrainWorker"},
    "QueueService": {
        "ListQueues",
        "GetQueue",
        "UpdateQueue",
        "PauseQueue",
        "ResumeQueue",
        "DrainQueue",
        "PurgeQueue",
        "ClearDeadLetters",
    },
}


def call(rig: Rig, method: Any, request: bytes) -> Any:
    """Call a method with bytes."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    response = GetMessageClass(method.output_type).FromString
    if method.client_streaming:
        return rig.channel.stream_stream(path, response_deserializer=response)(iter([request]))
    if method.server_streaming:
        return rig.channel.unary_stream(path, response_deserializer=response)(request)
    return rig.channel.unary_unary(path, response_deserializer=response)(request)


async def answer(made: Any) -> Any:
    return await (made.read() if hasattr(made, "read") else made)


async def test_every_method_is_answered_or_refused_in_so_many_words(rig: Rig) -> None:
    for service in SERVICES:
        for method in service.methods:
            if method.name in ANSWERED.get(service.name, ()):
                continue

            fault = await refusal(answer(call(rig, method, b"")))

            assert (fault.code, fault.reason) == (grpc.StatusCode.UNIMPLEMENTED, "NOT_IMPLEMENTED"), (
                method.name
            )
            assert fault.metadata == {"method": f"{service.name}.{method.name}"}


async def test_garbage_is_an_invalid_argument_for_every_method(rig: Rig) -> None:
    for service in SERVICES:
        for method in service.methods:
            if method.client_streaming:
                continue  # refused before a request is looked at

            fault = await refusal(answer(call(rig, method, b"\xff\xff\xff garbage")))

            assert fault.code is grpc.StatusCode.INVALID_ARGUMENT, method.name
            assert fault.reason == "INVALID_ARGUMENT"
            assert "Traceback" not in fault.message
            assert "DecodeError" not in fault.message


async def test_garbage_in_a_stream_of_requests_is_an_invalid_argument(rig: Rig) -> None:
    made = rig.channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")

    fault = await refusal(made(iter([b"\xff\xff\xff garbage"])).read())

    assert (fault.code, fault.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT")


async def test_text_that_is_not_utf8_is_an_invalid_argument(rig: Rig) -> None:
    method = job_service_pb2.DESCRIPTOR.services_by_name["JobService"].methods_by_name["GetStatus"]

    fault = await refusal(call(rig, method, b"\x0a\x02\xff\xfe"))

    assert fault.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_unexpected_errors_tell_an_id_and_nothing_else(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("secret: redis://user:password@host")

    monkeypatch.setattr(read, "read_one", broken)

    fault = await refusal(rig.get("a"))

    assert (fault.code, fault.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "secret" not in fault.message
    assert fault.call_id
    assert fault.metadata == {"call_id": fault.call_id}


async def test_every_call_has_an_id_of_its_own(rig: Rig) -> None:
    ids = set()
    for _ in range(3):
        made = rig.jobs.Stats(pb.StatsRequest())
        await made
        ids.add(dict(await made.trailing_metadata())["jobsvc-call-id"])

    assert len(ids) == 3


async def test_port_in_use_is_a_clear_error(rig: Rig, redis_url: tuple[str, str]) -> None:
    second = Rig(settings_for(redis_url, listen=rig.address))

    with pytest.raises(ConfigurationError, match=rf"cannot listen on {rig.address}: Address already in use"):
        await second.start()
    await second.close()


async def test_address_that_this_machine_does_not_have_is_a_clear_error(redis_url: tuple[str, str]) -> None:
    elsewhere = Rig(settings_for(redis_url, listen="192.0.2.1:7443"))

    with pytest.raises(ConfigurationError, match="cannot listen on 192.0.2.1:7443"):
        await elsewhere.start()
    await elsewhere.close()


async def test_health_is_known_for_the_server_and_each_service(rig: Rig) -> None:
    stub = health_pb2_grpc.HealthStub(rig.channel)

    for name in ("", *(service.full_name for service in SERVICES)):
        found = await stub.Check(health_pb2.HealthCheckRequest(service=name))
        assert found.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.aio.AioRpcError) as unknown:
        await stub.Check(health_pb2.HealthCheckRequest(service="nobody"))
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_names_all_services_and_describes_them(rig: Rig) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(rig.channel)
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="jobsvc.v1.JobService"),
    ]

    listed, described = [one async for one in stub.ServerReflectionInfo(iter(requests))]

    names = {service.name for service in listed.list_services_response.service}
    assert names >= {service.full_name for service in SERVICES} | {"grpc.health.v1.Health"}
    assert described.file_descriptor_response.file_descriptor_proto


async def test_stopping_server_asks_streams_to_reconnect(rig: Rig) -> None:
    job_id = await rig.new_job()
    stream = rig.stream(pb.WatchTarget(job_id=job_id))
    await stream.kind("snapshot")
    logs = rig.jobs.StreamLogs(pb.StreamLogsRequest(job_id=job_id, follow=True))
    waiting = asyncio.ensure_future(rig.jobs.Wait(pb.WaitRequest(job_id=job_id, until_terminal=True)))
    await rig.jobs.Stats(pb.StatsRequest())  # the calls above have arrived

    stopping = asyncio.ensure_future(rig.stop_server())

    reconnect = await stream.kind("reconnect")
    assert 0 <= reconnect.after.ToTimedelta().total_seconds() <= 2
    fault = await stream.fault()
    assert (fault.code, fault.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING")
    assert fault.retry_after_s
    assert not (await waiting).changed
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await logs.read()
    assert read_fault(ended.value).reason == "SERVER_STOPPING"
    await asyncio.wait_for(stopping, 4)


async def test_stream_goes_on_at_another_server_with_its_token(
    make_rig: Callable[..., Awaitable[Rig]],
) -> None:
    first, second = await make_rig(), await make_rig()
    job_id = await first.new_job()
    stream = first.stream(pb.WatchTarget(job_id=job_id))
    await stream.kind("snapshot")
    claim = await first.claim_one()
    await stream.kind("state_change")
    await first.stop_server()

    again = second.stream(pb.WatchTarget(job_id=job_id), resume_token=stream.token)

    await again.kind("heartbeat")  # nothing was missed
    await second.finish(claim)
    assert kinds(await again.rest()) == ["state_change", "completed"]


async def test_two_servers_on_one_redis_are_one_service(make_rig: Callable[..., Awaitable[Rig]]) -> None:
    one, other = await make_rig(), await make_rig()

    here = await asyncio.gather(*(one.submit(request_id=f"r{n}") for n in range(20)))
    there = await asyncio.gather(*(other.submit(request_id=f"r{n}") for n in range(20)))
    stream = other.stream(*(pb.WatchTarget(job_id=answer.job.job_id) for answer in here), min_interval_ms=20)
    await stream.kind("snapshot")
    await one.jobs.Cancel(pb.CancelRequest(job_id=here[0].job.job_id))
    await one.finish_all(await one.claim(19))

    assert [answer.job.job_id for answer in there] == [answer.job.job_id for answer in here]
    assert all(answer.deduplicated for answer in there)
    ended = [event.completed.job.state for event in await stream.rest() if event.HasField("completed")]
    assert ended.count(common_pb2.JOB_STATE_COMPLETED) == 19
    assert ended.count(common_pb2.JOB_STATE_CANCELLED) == 1


async def test_simultaneous_submits_with_one_request_id_are_one_job(
    make_rig: Callable[..., Awaitable[Rig]],
) -> None:
    one, other = await make_rig(), await make_rig()

    answers = await asyncio.gather(*(rig.submit(request_id="same") for rig in (one, other) * 20))

    assert len({answer.job.job_id for answer in answers}) == 1
    assert [answer.deduplicated for answer in answers].count(False) == 1
    assert (await one.jobs.Stats(pb.StatsRequest())).total.total == 1
