"""Stats and the catalogue, over a real connection."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from jobsvc.model.retry import RetryPolicy
from jobsvc_proto.v1 import catalog_service_pb2 as pb
from jobsvc_proto.v1 import job_service_pb2
from tests.rpc.rig import JOB_TYPE, SCHEMA, Rig, refusal


async def test_job_types_are_listed_by_name(rig: Rig) -> None:
    answer = await rig.catalog.ListJobTypes(pb.ListJobTypesRequest())

    assert [one.name for one in answer.job_types] == ["test.count", "test.other"]
    assert json.loads(answer.job_types[0].arguments_schema_json) == SCHEMA
    assert answer.job_types[0].queue == "counting"
    assert answer.job_types[0].live_worker_count == 1


async def test_job_types_are_listed_page_by_page(rig: Rig) -> None:
    await rig.publish(*(replace(JOB_TYPE, name=f"many.{n}") for n in range(5)))
    names, token = [], ""
    while True:
        answer = await rig.catalog.ListJobTypes(pb.ListJobTypesRequest(page_size=3, page_token=token))
        names += [one.name for one in answer.job_types]
        token = answer.next_page_token
        if not token:
            break

    assert names == sorted(names)
    assert len(names) == 7


async def test_job_type_tells_its_defaults(rig: Rig) -> None:
    policy = RetryPolicy(max_attempts=4, non_retryable_types=("ValueError",))
    await rig.publish(
        replace(
            JOB_TYPE,
            name="test.own",
            description="Count.",
            timeout_ms=1_500,
            retry=policy,
            isolation="thread",
        )
    )

    found = (await rig.catalog.GetJobType(pb.GetJobTypeRequest(name="test.own"))).job_type

    assert (found.description, found.isolation) == ("Count.", "thread")
    assert found.attempt_timeout.ToMilliseconds() == 1_500
    assert found.retry_policy.max_attempts == 4
    assert list(found.retry_policy.non_retryable_error_types) == ["ValueError"]


async def test_job_type_stays_known_without_workers(make_rig: Callable[..., Awaitable[Rig]]) -> None:
    rig = await make_rig(publish=False)
    await rig.publish(alive=False)

    found = (await rig.catalog.GetJobType(pb.GetJobTypeRequest(name="test.count"))).job_type

    assert found.live_worker_count == 0


async def test_job_type_that_nobody_published_is_not_found(rig: Rig) -> None:
    fault = await refusal(rig.catalog.GetJobType(pb.GetJobTypeRequest(name="test.coun")))

    assert (fault.code, fault.reason) == (grpc.StatusCode.NOT_FOUND, "JOB_TYPE_NOT_FOUND")
    assert fault.metadata["nearest"].split(",")[0] == "test.count"


@pytest.mark.parametrize("name", ["", "x" * 500])
async def test_job_type_with_a_wrong_name_is_refused(rig: Rig, name: str) -> None:
    assert list((await refusal(rig.catalog.GetJobType(pb.GetJobTypeRequest(name=name)))).violations) == [
        "name"
    ]


async def test_server_info_tells_limits_and_features(rig: Rig) -> None:
    info = await rig.catalog.GetServerInfo(pb.GetServerInfoRequest(client_name="test/1\x00\n"))

    assert info.server_version
    assert info.max_inline_payload_bytes == 262_144
    assert info.max_batch_size == 10_000
    assert info.max_wait.seconds == 60
    assert "stream.batch" in info.features
    assert info.worker_count == 1
    assert not info.degraded


async def test_stats_count_by_queue_and_over_all(rig: Rig) -> None:
    for _ in range(4):
        await rig.new_job()
    await rig.submit({}, job_type="test.other")
    claims = await rig.claim(3, queues=["counting"])
    await rig.finish(claims[0])
    await rig.fail(claims[1])
    await rig.submit(delay=Duration(seconds=60))

    answer = await rig.jobs.Stats(job_service_pb2.StatsRequest())

    assert [one.queue for one in answer.queues] == ["counting", "other"]
    counting = answer.queues[0]
    assert (counting.waiting, counting.active, counting.delayed) == (1, 1, 1)
    assert (counting.completed, counting.failed, counting.cancelled) == (1, 1, 0)
    assert counting.total == 5
    assert (counting.completed_ever, counting.failed_ever) == (1, 1)
    assert counting.HasField("oldest_waiting_age")
    assert (answer.total.waiting, answer.total.total, answer.total.queue) == (2, 6, "")
    assert answer.HasField("sample_time")


async def test_stats_measure_rates_and_times_of_a_window(rig: Rig) -> None:
    for _ in range(4):
        await rig.new_job()
    idle = await rig.jobs.Stats(job_service_pb2.StatsRequest())
    completed, failed, _ = await rig.claim(3, queues=["counting"])
    await rig.finish(completed)
    await rig.fail(failed)

    answer = await rig.jobs.Stats(job_service_pb2.StatsRequest(window=Duration(seconds=100)))

    assert not any(idle.total.HasField(name) for name in ("wait_p50", "wait_p95", "run_p50", "run_p95"))
    for one in (*answer.queues, answer.total):
        assert 2 / 110 <= one.throughput_per_second <= 2 / 100
        assert one.failure_ratio == 0.5
        assert all(one.HasField(name) for name in ("wait_p50", "wait_p95", "run_p50", "run_p95"))
        assert one.run_p95.ToMilliseconds() < 10_000


async def test_stats_of_named_queues_only(rig: Rig) -> None:
    await rig.new_job()

    answer = await rig.jobs.Stats(job_service_pb2.StatsRequest(queues=["nobody", "counting", "nobody"]))

    assert {one.queue: one.total for one in answer.queues} == {"nobody": 0, "counting": 1}


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (job_service_pb2.StatsRequest(queues=["a b"]), "INVALID_ARGUMENT"),
        (job_service_pb2.StatsRequest(window=Duration(seconds=9)), "INVALID_ARGUMENT"),
        (job_service_pb2.StatsRequest(window=Duration(seconds=901)), "INVALID_ARGUMENT"),
    ],
    ids=["name", "short", "long"],
)
async def test_stats_refuse_wrong_requests(
    rig: Rig, request_: job_service_pb2.StatsRequest, reason: str
) -> None:
    assert (await refusal(rig.jobs.Stats(request_))).reason == reason
