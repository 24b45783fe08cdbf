"""QueueService, over a real connection."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from jobsvc.model.catalog import JobType
from jobsvc_proto.v1 import common_pb2
from jobsvc_proto.v1 import job_service_pb2 as jobs_pb
from jobsvc_proto.v1 import queue_service_pb2 as pb
from jobsvc_proto.v1.queue_service_pb2_grpc import QueueServiceStub
from tests.rpc.rig import Rig, refusal, spec


@pytest.fixture
def queues(rig: Rig) -> Any:
    return QueueServiceStub(rig.channel)


def change(*paths: str, name: str = "counting", **fields: Any) -> pb.UpdateQueueRequest:
    return pb.UpdateQueueRequest(queue=pb.Queue(name=name, **fields), update_mask=FieldMask(paths=paths))


async def test_update_changes_what_the_mask_names(rig: Rig, queues: Any) -> None:
    await queues.UpdateQueue(change("max_concurrency", "max_waiting", max_concurrency=3, max_waiting=9))

    answer = await queues.UpdateQueue(
        change(
            "max_concurrency",
            "rate_limit",
            "default_attempt_timeout",
            "default_retry_policy",
            "default_priority",
            "failed_retention",
            max_concurrency=5,
            max_waiting=1,
            rate_limit=pb.RateLimit(max_units=20, per=Duration(seconds=60), burst=2),
            default_attempt_timeout=Duration(seconds=9),
            default_retry_policy=common_pb2.RetryPolicy(max_attempts=7, initial_backoff=Duration(seconds=2)),
            default_priority=common_pb2.PRIORITY_HIGH,
            failed_retention=pb.Retention(max_age=Duration(seconds=3), max_count=4),
        )
    )

    assert (answer.queue.max_concurrency, answer.queue.max_waiting) == (5, 9)
    read = (await queues.GetQueue(pb.GetQueueRequest(name="counting"))).queue
    assert read == answer.queue
    assert (read.rate_limit.max_units, read.rate_limit.per.seconds, read.rate_limit.burst) == (20, 60, 2)
    assert read.default_retry_policy.max_attempts == 7
    assert (read.failed_retention.max_age.seconds, read.failed_retention.max_count) == (3, 4)


@pytest.mark.parametrize(
    ("request_", "reason", "field"),
    [
        (change("max_concurrency", name="a b"), "INVALID_ARGUMENT", "queue.name"),
        (change(max_concurrency=3), "INVALID_ARGUMENT", "update_mask"),
        (change("max_concurency", max_concurrency=3), "INVALID_ARGUMENT", "update_mask"),
        (change("paused", paused=True), "INVALID_ARGUMENT", "update_mask"),
        (change("max_concurrency", max_concurrency=-1), "INVALID_ARGUMENT", "queue.max_concurrency"),
        (change("rate_limit", rate_limit=pb.RateLimit(max_units=5)), "INVALID_ARGUMENT", "queue.rate_limit"),
        (
            change("rate_limit", rate_limit=pb.RateLimit(max_units=5, per=Duration(seconds=1), burst=0.5)),
            "INVALID_ARGUMENT",
            "queue.rate_limit.burst",
        ),
        (
            change(
                "rate_limit",
                rate_limit=pb.RateLimit(max_units=5, per=Duration(seconds=1), per_key=True),
            ),
            "FEATURE_NOT_AVAILABLE",
            "queue.rate_limit.per_key",
        ),
        (change("max_concurrency_per_group", max_concurrency_per_group=1), "FEATURE_NOT_AVAILABLE", ""),
        (change("default_priority", default_priority=15), "INVALID_ARGUMENT", "queue.default_priority"),
        (
            change("default_retry_policy", default_retry_policy=common_pb2.RetryPolicy(jitter=0.5)),
            "FEATURE_NOT_AVAILABLE",
            "queue.default_retry_policy.jitter",
        ),
    ],
)
async def test_wrong_update_names_the_field_and_changes_nothing(
    rig: Rig, queues: Any, request_: pb.UpdateQueueRequest, reason: str, field: str
) -> None:
    fault = await refusal(queues.UpdateQueue(request_))

    assert fault.reason == reason
    named = list(fault.violations) or [fault.metadata["field"]]
    assert not field or named == [field]
    assert (await queues.GetQueue(pb.GetQueueRequest(name="counting"))).queue == pb.Queue(
        name="counting", etag="0"
    )


async def test_update_with_an_old_etag_is_aborted(rig: Rig, queues: Any) -> None:
    await queues.UpdateQueue(change("max_concurrency", max_concurrency=3))

    fault = await refusal(queues.UpdateQueue(change("max_waiting", max_waiting=3, etag="0")))

    assert (fault.code, fault.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")


async def test_list_has_all_queues_page_by_page(rig: Rig, queues: Any) -> None:
    await queues.UpdateQueue(change("max_concurrency", name="made.by-update", max_concurrency=3))

    first = await queues.ListQueues(pb.ListQueuesRequest(page_size=2))
    second = await queues.ListQueues(pb.ListQueuesRequest(page_size=2, page_token=first.next_page_token))

    assert [queue.name for queue in first.queues] == ["counting", "made.by-update"]
    assert [queue.name for queue in second.queues] == ["other"]
    assert not second.next_page_token


@pytest.mark.parametrize("method", ["GetQueue", "PauseQueue", "ResumeQueue", "DrainQueue"])
async def test_unknown_queue_is_not_found(rig: Rig, queues: Any, method: str) -> None:
    request = getattr(pb, f"{method}Request")(name="nobody")

    fault = await refusal(getattr(queues, method)(request))

    assert (fault.code, fault.reason) == (grpc.StatusCode.NOT_FOUND, "QUEUE_NOT_FOUND")


async def test_pause_is_seen_in_stats_and_holds_until_resume(rig: Rig, queues: Any) -> None:
    await rig.new_job()

    paused = await queues.PauseQueue(pb.PauseQueueRequest(name="counting", reason="deploy"))
    stats = await rig.jobs.Stats(jobs_pb.StatsRequest(queues=["counting"]))

    assert (paused.queue.paused, paused.queue.pause_reason) == (True, "deploy")
    assert stats.queues[0].paused
    assert await rig.claim(1, queues=["counting"]) == []
    resumed = await queues.ResumeQueue(pb.ResumeQueueRequest(name="counting"))
    assert (resumed.queue.paused, resumed.queue.pause_reason) == (False, "")
    assert len(await rig.claim(1, queues=["counting"])) == 1


async def test_drain_waits_for_what_runs(rig: Rig, queues: Any) -> None:
    await rig.new_job()
    [claim] = await rig.claim(1, queues=["counting"])

    at_once = await queues.DrainQueue(pb.DrainQueueRequest(name="counting"))
    draining = asyncio.ensure_future(
        queues.DrainQueue(pb.DrainQueueRequest(name="counting", max_wait=Duration(seconds=30)))
    )
    await rig.finish(claim)
    drained = await draining

    assert (at_once.active_count, at_once.queue.paused) == (1, True)
    assert (drained.active_count, drained.queue.paused) == (0, True)


async def test_full_queue_refuses_with_a_time_to_try_again(rig: Rig, queues: Any) -> None:
    await queues.UpdateQueue(change("max_waiting", max_waiting=2))
    await rig.new_job()

    batch = jobs_pb.SubmitBatchRequest(requests=[jobs_pb.SubmitRequest(spec=spec({"limit": 1}))] * 2)
    whole = await refusal(rig.jobs.SubmitBatch(batch))
    await rig.new_job()
    one = await refusal(rig.jobs.Submit(jobs_pb.SubmitRequest(spec=spec({"limit": 1}))))

    for fault in (whole, one):
        assert (fault.code, fault.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
        assert fault.retry_after_s
        assert fault.metadata == {"queue": "counting", "max_waiting": "2"}
    assert (await rig.jobs.Stats(jobs_pb.StatsRequest(queues=["counting"]))).total.total == 2


async def test_queue_gives_jobs_what_neither_caller_nor_handler_set(rig: Rig, queues: Any) -> None:
    own = JobType(
        name="test.own", queue="counting", timeout_ms=1_000, explicit=("timeout", "retry", "priority")
    )
    await rig.publish(JobType(name="test.plain", queue="counting", timeout_ms=1_800_000), own)
    await queues.UpdateQueue(
        change(
            "default_attempt_timeout",
            "default_retry_policy",
            "default_priority",
            default_attempt_timeout=Duration(seconds=9),
            default_retry_policy=common_pb2.RetryPolicy(max_attempts=7, max_backoff=Duration(seconds=2)),
            default_priority=common_pb2.PRIORITY_LOW,
        )
    )

    async def submitted(job_type: str, **options: Any) -> jobs_pb.JobSpec:
        answer = await rig.submit({}, job_type=job_type, **options)
        job = (await rig.jobs.GetStatus(jobs_pb.GetStatusRequest(job_id=answer.job.job_id))).job
        assert job.spec.attempt_timeout == answer.job.spec.attempt_timeout
        return job.spec

    plain = await submitted("test.plain")
    handlers = await submitted("test.own")
    callers = await submitted(
        "test.plain", attempt_timeout=Duration(seconds=3), priority=common_pb2.PRIORITY_URGENT
    )

    assert (plain.attempt_timeout.seconds, plain.priority) == (9, common_pb2.PRIORITY_LOW)
    assert (plain.retry_policy.max_attempts, plain.retry_policy.max_backoff.seconds) == (7, 2)
    assert (handlers.attempt_timeout.seconds, handlers.priority) == (1, common_pb2.PRIORITY_MEDIUM)
    assert handlers.retry_policy.max_attempts == 3
    assert (callers.attempt_timeout.seconds, callers.priority) == (3, common_pb2.PRIORITY_URGENT)
    assert callers.retry_policy.max_attempts == 7
