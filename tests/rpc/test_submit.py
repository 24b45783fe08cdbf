"""Submit, over a real connection."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from jobsvc.model.job import Priority
from jobsvc.model.retry import RetryPolicy
from jobsvc.store import calls
from jobsvc.store.calls import Call
from jobsvc_proto.v1 import common_pb2
from jobsvc_proto.v1 import job_service_pb2 as pb
from tests.rpc.rig import JOB_TYPE, Rig, refusal, spec

INVALID = grpc.StatusCode.INVALID_ARGUMENT


async def total(rig: Rig) -> int:
    return (await rig.jobs.Stats(pb.StatsRequest())).total.total


async def test_submit_answers_with_the_job_as_stored(rig: Rig) -> None:
    answer = await rig.submit({"limit": 5}, title="five", labels={"who": "me"})

    assert not answer.deduplicated
    assert list(answer.warnings) == []
    stored = await rig.get(answer.job.job_id)
    assert json.loads(stored.spec.arguments.json) == {"limit": 5}
    stored.spec.ClearField("arguments")
    assert stored == answer.job
    assert answer.job.state == common_pb2.JOB_STATE_QUEUED
    assert answer.job.version == 1
    assert answer.job.spec.queue == "counting"
    assert answer.job.spec.title == "five"
    assert dict(answer.job.spec.labels) == {"who": "me"}


async def test_submit_fills_in_the_defaults_of_the_job_type(rig: Rig) -> None:
    policy = RetryPolicy(max_attempts=7, initial_ms=1_500, max_ms=9_000, multiplier=3.0, jitter=0.5)
    await rig.publish(
        replace(
            JOB_TYPE, name="test.own", queue="slow", priority=Priority.HIGH, timeout_ms=90_000, retry=policy
        )
    )

    own = (await rig.submit(job_type="test.own")).job.spec

    assert (own.queue, own.priority) == ("slow", common_pb2.PRIORITY_HIGH)
    assert own.attempt_timeout.ToMilliseconds() == 90_000
    assert own.retry_policy.max_attempts == 7
    assert own.retry_policy.initial_backoff.ToMilliseconds() == 1_500
    assert own.retry_policy.backoff_multiplier == 3.0


async def test_submit_takes_what_the_caller_sets(rig: Rig) -> None:
    policy = common_pb2.RetryPolicy(
        max_attempts=9,
        initial_backoff=Duration(seconds=2),
        jitter=0.1,
        max_lost_attempts=2,
        non_retryable_error_types=["ValueError"],
    )

    answer = await rig.submit(
        queue="fast",
        priority=common_pb2.PRIORITY_URGENT,
        attempt_timeout=Duration(nanos=1),
        retry_policy=policy,
    )

    stored = (await rig.get(answer.job.job_id)).spec
    assert (stored.queue, stored.priority) == ("fast", common_pb2.PRIORITY_URGENT)
    assert stored.attempt_timeout.ToMilliseconds() == 1
    assert stored.retry_policy.max_attempts == 9
    assert stored.retry_policy.max_lost_attempts == 2
    assert stored.retry_policy.initial_backoff.seconds == 2
    assert stored.retry_policy.jitter == 0.1
    assert list(stored.retry_policy.non_retryable_error_types) == ["ValueError"]
    [claim] = await rig.claim(queues=["fast"])
    assert claim.retry is not None
    assert claim.retry.initial_ms == 2_000


async def test_submit_keeps_the_callers_json_text(rig: Rig) -> None:
    text = '{ "limit" : 9007199254740993,\n "by": "\\u00e9" }'

    job_id = (await rig.submit(text)).job.job_id

    assert (await rig.get(job_id)).spec.arguments.json == text


async def test_submit_without_arguments_means_no_arguments(rig: Rig) -> None:
    answer = await rig.jobs.Submit(pb.SubmitRequest(spec=pb.JobSpec(job_type="test.other")))

    assert (await rig.get(answer.job.job_id)).spec.arguments.json == "{}"


async def test_submit_with_delay_is_scheduled(rig: Rig) -> None:
    later = (await rig.submit(delay=Duration(seconds=60))).job

    assert later.state == common_pb2.JOB_STATE_SCHEDULED
    assert later.spec.not_before_time.ToMilliseconds() == later.create_time.ToMilliseconds() + 60_000
    assert (await rig.get(later.job_id)).spec.not_before_time == later.spec.not_before_time


async def test_submit_with_an_instant_in_the_past_is_queued(rig: Rig) -> None:
    job = (await rig.submit(not_before_time=Timestamp(seconds=int(time.time()) - 60))).job

    assert job.state == common_pb2.JOB_STATE_QUEUED
    assert (await rig.get(job.job_id)).state == common_pb2.JOB_STATE_QUEUED


async def test_submit_of_a_type_that_nobody_published_names_the_nearest(rig: Rig) -> None:
    fault = await refusal(rig.submit(job_type="test.cuont"))

    assert (fault.code, fault.reason) == (INVALID, "UNKNOWN_JOB_TYPE")
    assert fault.metadata["job_type"] == "test.cuont"
    assert fault.metadata["nearest"].split(",")[0] == "test.count"
    assert "test.count" in fault.message
    assert list(fault.violations) == ["spec.job_type"]
    assert await total(rig) == 0


async def test_submit_finds_a_type_that_was_published_a_moment_ago(rig: Rig) -> None:
    await refusal(rig.submit(job_type="test.new"))
    await rig.run(calls.publish_types(rig.store.keys, [replace(JOB_TYPE, name="test.new")]))

    assert (await rig.submit(job_type="test.new")).job.job_id


async def test_submit_of_a_type_without_live_worker_is_queued_with_a_warning(
    make_rig: Callable[..., Awaitable[Rig]],
) -> None:
    rig = await make_rig(publish=False)
    await rig.publish(alive=False)

    answer = await rig.submit()

    assert answer.job.state == common_pb2.JOB_STATE_QUEUED
    assert list(answer.warnings) == [
        'no worker for job type "test.count" is alive; the job waits until one starts'
    ]


@pytest.mark.parametrize(
    ("arguments", "field", "says"),
    [
        ({}, "spec.arguments.limit", "is required"),
        ({"limit": "many"}, "spec.arguments.limit", "must be integer, not string"),
        ({"limit": True}, "spec.arguments.limit", "must be integer, not boolean"),
        ({"limit": 0}, "spec.arguments.limit", "minimum of 1"),
        ({"limit": 1, "limti": 2}, "spec.arguments.limti", "did you mean limit?"),
        (
            {"limit": 1, "odd name": 2},
            'spec.arguments["odd name"]',
            "is not known; there are limit, rows, by",
        ),
        ({"limit": 1, "by": 3}, "spec.arguments.by", "must be string or null, not integer"),
        (
            {"limit": 1, "rows": [{"price": 1}, {"price": "x"}]},
            "spec.arguments.rows[1].price",
            "must be number",
        ),
        ({"limit": 1, "rows": [{}]}, "spec.arguments.rows[0].price", "is required"),
        ([1], "spec.arguments", "must be a JSON object"),
        ("null", "spec.arguments", "must be a JSON object"),
        ('{"limit": NaN}', "spec.arguments", "NaN"),
        ('{"limit": 1e999}', "spec.arguments", "too large"),
        ('{"limit": 1, "limit": 2}', "spec.arguments", "'limit' twice"),
        ('{"limit": 1', "spec.arguments", "is not JSON"),
        ("", "spec.arguments", "is not JSON"),
        ('{"limit": ' + "1" * 5_000 + "}", "spec.arguments", "digits"),
        ('{"rows": ' + "[" * 5_000 + "]" * 5_000 + "}", "spec.arguments", "nested deeper"),
    ],
)
async def test_submit_of_wrong_arguments_names_the_field(
    rig: Rig, arguments: Any, field: str, says: str
) -> None:
    fault = await refusal(rig.submit(arguments))

    assert (fault.code, fault.reason) == (INVALID, "INVALID_ARGUMENT")
    assert says in fault.violations[field]
    assert await total(rig) == 0


async def test_submit_names_all_wrong_fields_at_once(rig: Rig) -> None:
    fault = await refusal(
        rig.submit({"by": 1, "x": 1}, queue="a b", priority=7, title="x" * 600, labels={"": "x"})
    )

    assert set(fault.violations) == {
        "spec.arguments.limit",
        "spec.arguments.by",
        "spec.arguments.x",
        "spec.queue",
        "spec.priority",
        "spec.title",
        "spec.labels",
    }


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"delay": Duration(seconds=-1)}, "spec.delay"),
        ({"delay": Duration(seconds=3_000_000 * 86_400)}, "spec.delay"),
        ({"start_deadline_time": Timestamp(seconds=1)}, "spec.start_deadline_time"),
        (
            {"start_deadline_time": Timestamp(seconds=4_000_000_000), "delay": Duration(seconds=10**10)},
            "spec.start_deadline_time",
        ),
        ({"not_before_time": Timestamp(seconds=-5)}, "spec.not_before_time"),
        ({"not_before_time": Timestamp(seconds=253_402_300_800)}, "spec.not_before_time"),
        ({"attempt_timeout": Duration()}, "spec.attempt_timeout"),
        ({"attempt_timeout": Duration(seconds=-3, nanos=-5)}, "spec.attempt_timeout"),
        ({"retry_policy": common_pb2.RetryPolicy(max_attempts=-1)}, "spec.retry_policy.max_attempts"),
        ({"retry_policy": common_pb2.RetryPolicy(jitter=1.5)}, "spec.retry_policy.jitter"),
        ({"retry_policy": common_pb2.RetryPolicy(jitter=float("nan"))}, "spec.retry_policy.jitter"),
        (
            {"retry_policy": common_pb2.RetryPolicy(backoff_multiplier=0.5)},
            "spec.retry_policy.backoff_multiplier",
        ),
        (
            {"retry_policy": common_pb2.RetryPolicy(initial_backoff=Duration(seconds=-1))},
            "spec.retry_policy.initial_backoff",
        ),
        ({"job_type": ""}, "spec.job_type"),
        ({"job_type": "x" * 5_000}, "spec.job_type"),
        ({"labels": {"k" * 65: "v"}}, "spec.labels"),
    ],
)
async def test_submit_of_a_wrong_option_names_it(rig: Rig, options: dict[str, Any], field: str) -> None:
    fault = await refusal(rig.submit(**options))

    assert (fault.code, fault.reason) == (INVALID, "INVALID_ARGUMENT")
    assert list(fault.violations) == [field]


@pytest.mark.parametrize(
    "text", ['{"limit": 1, "by": "' + "x" * 2_000 + '"}', '{"limit": 1, "by": "' + "é" * 600 + '"}']
)
async def test_submit_of_large_arguments_says_how_large(
    make_rig: Callable[..., Awaitable[Rig]], text: str
) -> None:
    rig = await make_rig(inline_limit_bytes=1_024)

    fault = await refusal(rig.submit(text))

    assert (fault.code, fault.reason) == (INVALID, "ARGUMENTS_TOO_LARGE")
    assert fault.metadata == {"limit_bytes": "1024", "size_bytes": str(len(text.encode()))}
    assert list(fault.violations) == ["spec.arguments"]


async def test_submit_of_arguments_at_the_limit_is_accepted(rig: Rig) -> None:
    frame = len('{"limit": 1, "by": ""}')
    text = '{"limit": 1, "by": "' + "x" * (262_144 - frame) + '"}'

    assert (await rig.submit(text)).job.job_id


@pytest.mark.parametrize("job_id", ["a b", "x" * 129, "é", "0-7f3a91kc02m4x8qz", "b0-7f3a91kc02m4x8qz.1"])
async def test_submit_with_a_malformed_id_is_refused(rig: Rig, job_id: str) -> None:
    fault = await refusal(rig.submit(job_id=job_id))

    assert (fault.code, fault.reason) == (INVALID, "MALFORMED_ID")
    assert list(fault.violations) == ["job_id"]


async def test_submit_again_with_the_same_request_id_is_one_job(rig: Rig) -> None:
    first = await rig.submit(request_id="r-1")

    again = await rig.submit(request_id="r-1")

    assert (first.deduplicated, again.deduplicated) == (False, True)
    assert again.job == first.job
    assert await total(rig) == 1


async def test_submit_again_answers_with_the_job_as_it_is_now(rig: Rig) -> None:
    first = await rig.submit(job_id="mine")
    await rig.finish(await rig.claim_one())

    again = await rig.submit(job_id="mine")

    assert again.deduplicated
    assert again.job.job_id == first.job.job_id == "mine"
    assert again.job.state == common_pb2.JOB_STATE_COMPLETED


@pytest.mark.parametrize("name", ["job_id", "request_id"])
async def test_submit_again_with_other_content_is_a_conflict(rig: Rig, name: str) -> None:
    await rig.submit({"limit": 1}, **{name: "same"})

    fault = await refusal(rig.submit({"limit": 2}, **{name: "same"}))

    assert (fault.code, fault.reason) == (grpc.StatusCode.ALREADY_EXISTS, "ID_CONFLICT")
    assert await total(rig) == 1


async def test_submit_validate_only_checks_and_queues_nothing(rig: Rig) -> None:
    answer = await rig.submit({"limit": 2}, validate_only=True, delay=Duration(seconds=5))
    fault = await refusal(rig.submit({"limit": "x"}, validate_only=True))

    assert answer.job.job_id == ""
    assert answer.job.spec.queue == "counting"
    assert answer.job.state == common_pb2.JOB_STATE_SCHEDULED
    assert fault.reason == "INVALID_ARGUMENT"
    assert await total(rig) == 0


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.SubmitRequest(spec=spec(), dedup=pb.Dedup(key="k")), "dedup"),
        (pb.SubmitRequest(spec=spec(depends_on=[pb.Dependency(job_id="x")])), "spec.depends_on"),
        (pb.SubmitRequest(spec=spec(parent_job_id="x")), "spec.parent_job_id"),
        (pb.SubmitRequest(spec=spec(group="g")), "spec.group"),
        (pb.SubmitRequest(spec=spec(rate_limit_key="k")), "spec.rate_limit_key"),
        (pb.SubmitRequest(spec=spec(rate_limit_weight=2)), "spec.rate_limit_weight"),
        (
            pb.SubmitRequest(spec=pb.JobSpec(job_type="test.count", arguments=common_pb2.Payload(data=b"x"))),
            "spec.arguments.data",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_submit_refuses_fields_of_later_versions(
    rig: Rig, request_: pb.SubmitRequest, field: str
) -> None:
    fault = await refusal(rig.jobs.Submit(request_))

    assert (fault.code, fault.reason) == (grpc.StatusCode.UNIMPLEMENTED, "FEATURE_NOT_AVAILABLE")
    assert fault.metadata == {"field": field}
    assert await total(rig) == 0


async def test_submit_checks_with_the_newest_schema(rig: Rig) -> None:
    await rig.submit({"limit": 1})
    stricter = {"type": "object", "properties": {"limit": {"type": "string"}}}

    await rig.publish(replace(JOB_TYPE, arguments_schema=json.dumps(stricter)))

    assert (await rig.submit({"limit": "many"})).job.job_id


async def test_submit_with_a_broken_published_schema_leaves_the_check_to_the_worker(rig: Rig) -> None:
    await rig.publish(replace(JOB_TYPE, name="test.broken", arguments_schema='{"type": "nonsense"}'))

    assert (await rig.submit({"anything": 1}, job_type="test.broken")).job.job_id


async def test_start_may_be_as_far_away_as_wanted(rig: Rig) -> None:
    far = Timestamp(seconds=250_000_000_000)

    at = await rig.submit(not_before_time=far)
    after = await rig.submit(delay=Duration(seconds=100 * 366 * 86_400))

    assert (await rig.get(at.job.job_id)).spec.not_before_time == far
    assert (await rig.get(after.job.job_id)).state == common_pb2.JOB_STATE_SCHEDULED


async def test_job_that_did_not_start_by_its_deadline_is_cancelled_as_expired(rig: Rig) -> None:
    soon = Timestamp()
    soon.FromMilliseconds(await rig.run(calls.clock()) + 60_000)
    answer = await rig.submit(start_deadline_time=soon)
    assert answer.job.spec.start_deadline_time == soon
    key = rig.store.keys.queue("counting", "deadlines")
    await rig.run(Call(None, ("ZADD", key, 1, answer.job.job_id), lambda reply: reply))  # as if it were later

    await rig.run(calls.sweep())

    job = await rig.get(answer.job.job_id)
    assert job.state == common_pb2.JOB_STATE_CANCELLED
    assert (job.error.category, job.error.code) == (common_pb2.JobError.CATEGORY_CANCELLED, "EXPIRED")
    assert "start deadline" in job.error.message
