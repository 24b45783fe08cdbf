"""SubmitBatch, over a real connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from jobsvc.store import calls
from jobsvc_proto.v1 import common_pb2
from jobsvc_proto.v1 import job_service_pb2 as pb
from tests.rpc.rig import Fault, Rig, refusal, spec

GOOD, BAD = {"limit": 1}, {"limit": "x"}


def batch(*arguments: Any, **options: Any) -> pb.SubmitBatchRequest:
    return pb.SubmitBatchRequest(requests=[pb.SubmitRequest(spec=spec(one)) for one in arguments], **options)


async def submit(rig: Rig, *arguments: Any, **options: Any) -> pb.SubmitBatchResponse:
    answer: pb.SubmitBatchResponse = await rig.jobs.SubmitBatch(batch(*arguments, **options))
    return answer


async def refused(rig: Rig, *arguments: Any, **options: Any) -> Fault:
    return await refusal(rig.jobs.SubmitBatch(batch(*arguments, **options)))


async def total(rig: Rig) -> int:
    return (await rig.jobs.Stats(pb.StatsRequest())).total.total


async def test_batch_answers_with_its_jobs_in_order(rig: Rig) -> None:
    answer = await submit(rig, {"limit": 1}, {"limit": 2}, title="two", labels={"a": "b"})

    assert answer.accepted_count == 2
    assert list(answer.job_ids) == [f"{answer.batch_id}.0", f"{answer.batch_id}.1"]
    assert [item.submitted.job.job_id for item in answer.items] == list(answer.job_ids)
    assert not answer.deduplicated
    assert list(answer.warnings) == []
    second = await rig.get(answer.job_ids[1])
    assert second.batch_id == answer.batch_id
    assert json.loads(second.spec.arguments.json) == {"limit": 2}
    stored = await rig.run(calls.read_batch(answer.batch_id))
    assert stored is not None
    assert (stored.title, dict(stored.labels)) == ("two", {"a": "b"})


async def test_batch_compact_leaves_accepted_items_out(rig: Rig) -> None:
    answer = await submit(rig, GOOD, BAD, GOOD, compact=True)

    assert [item.WhichOneof("outcome") for item in answer.items] == ["error"]
    assert [bool(job_id) for job_id in answer.job_ids] == [True, False, True]
    assert answer.accepted_count == 2


async def test_batch_with_one_bad_item_is_refused_whole_when_asked(rig: Rig) -> None:
    fault = await refused(rig, GOOD, BAD, GOOD, {}, all_or_nothing=True)

    assert (fault.code, fault.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT")
    assert fault.violations == {
        "requests[1].spec.arguments.limit": "must be integer, not string",
        "requests[3].spec.arguments.limit": "is required",
    }
    assert fault.message.startswith("2 of 4 items are wrong, nothing was queued; requests[1]: ")
    assert await total(rig) == 0


async def test_batch_with_one_bad_item_queues_the_others_otherwise(rig: Rig) -> None:
    answer = await submit(rig, GOOD, BAD, GOOD)

    assert answer.accepted_count == 2
    error = answer.items[1].error
    assert error.reason == "INVALID_ARGUMENT"
    assert error.field_violations[0].field == "spec.arguments.limit"
    assert answer.job_ids[1] == ""
    assert await total(rig) == 2
    counts = (await rig.run(calls.read_batch(answer.batch_id))).counts
    assert sum(counts.values()) == 2


async def test_batch_of_bad_items_only_makes_no_batch(rig: Rig) -> None:
    answer = await submit(rig, BAD, BAD)

    assert (answer.accepted_count, answer.batch_id) == (0, "")
    assert len(answer.items) == 2
    assert await total(rig) == 0


async def test_batch_reports_at_most_fifty_violations_that_fit_into_the_trailers(rig: Rig) -> None:
    fault = await refused(rig, *([BAD] * 500), all_or_nothing=True)

    assert 20 <= len(fault.violations) <= 50
    assert "500 of 500" in fault.message


async def test_batch_with_unknown_types_keeps_their_reason(rig: Rig) -> None:
    requests = [pb.SubmitRequest(spec=spec()), pb.SubmitRequest(spec=spec(job_type="test.coun"))]

    fault = await refusal(rig.jobs.SubmitBatch(pb.SubmitBatchRequest(requests=requests, all_or_nothing=True)))
    answer = await rig.jobs.SubmitBatch(pb.SubmitBatchRequest(requests=requests))

    assert fault.reason == "UNKNOWN_JOB_TYPE"
    assert fault.metadata["nearest"].startswith("test.count,")
    assert list(fault.violations) == ["requests[1].spec.job_type"]
    assert answer.items[1].error.reason == "UNKNOWN_JOB_TYPE"
    assert answer.items[1].error.metadata["nearest"].startswith("test.count,")


async def test_batch_refuses_fields_of_later_versions_in_items_and_above(rig: Rig) -> None:
    item = pb.SubmitRequest(spec=spec(group="g"))

    above = await refused(rig, GOOD, stagger=Duration(seconds=1))
    inside = await refusal(rig.jobs.SubmitBatch(pb.SubmitBatchRequest(requests=[item], all_or_nothing=True)))
    single = await rig.jobs.SubmitBatch(pb.SubmitBatchRequest(requests=[item]))

    assert (above.reason, above.metadata["field"]) == ("FEATURE_NOT_AVAILABLE", "stagger")
    assert (inside.reason, inside.metadata["field"]) == ("FEATURE_NOT_AVAILABLE", "requests[0].spec.group")
    assert single.items[0].error.reason == "FEATURE_NOT_AVAILABLE"


@pytest.mark.parametrize("size", [0, 4])
async def test_batch_size_has_limits(make_rig: Callable[..., Awaitable[Rig]], size: int) -> None:
    rig = await make_rig(max_batch=3)

    fault = await refused(rig, *([GOOD] * size))

    assert fault.violations == {"requests": f"has {size} items; a batch has 1 to 3"}


async def test_batch_again_with_the_same_request_id_is_one_batch(rig: Rig) -> None:
    first = await submit(rig, GOOD, BAD, GOOD, request_id="r-1")
    again = await submit(rig, GOOD, BAD, GOOD, request_id="r-1")

    assert again.deduplicated
    assert again.batch_id == first.batch_id
    assert list(again.job_ids) == list(first.job_ids)
    assert again.items[0].submitted.deduplicated
    assert again.items[0].submitted.job == first.items[0].submitted.job
    assert again.items[1].error == first.items[1].error
    assert await total(rig) == 2


async def test_batch_again_with_other_content_is_a_conflict(rig: Rig) -> None:
    await submit(rig, GOOD, batch_id="mine")

    fault = await refused(rig, {"limit": 2}, batch_id="mine")

    assert (fault.code, fault.reason) == (grpc.StatusCode.ALREADY_EXISTS, "ID_CONFLICT")


async def test_batch_items_may_name_their_jobs(rig: Rig) -> None:
    requests = [pb.SubmitRequest(spec=spec(), job_id="one"), pb.SubmitRequest(spec=spec())]

    answer = await rig.jobs.SubmitBatch(pb.SubmitBatchRequest(requests=requests))

    assert list(answer.job_ids) == ["one", f"{answer.batch_id}.1"]
    assert (await rig.get("one")).batch_id == answer.batch_id
    assert answer.items[0].submitted.job.batch_id == answer.batch_id


async def test_batch_with_one_name_twice_refuses_the_second(rig: Rig) -> None:
    requests = [pb.SubmitRequest(spec=spec(), job_id="one")] * 2

    answer = await rig.jobs.SubmitBatch(pb.SubmitBatchRequest(requests=requests))

    assert answer.accepted_count == 1
    assert answer.items[1].error.field_violations[0].description == "is the same as that of requests[0]"


async def test_batch_with_a_name_that_is_taken_says_so_each_time(rig: Rig) -> None:
    await rig.submit(job_id="taken")
    request = pb.SubmitBatchRequest(
        requests=[pb.SubmitRequest(spec=spec(), job_id="taken"), pb.SubmitRequest(spec=spec())],
        request_id="r-1",
    )

    first = await rig.jobs.SubmitBatch(request)
    again = await rig.jobs.SubmitBatch(request)
    request.request_id, request.all_or_nothing = "r-2", True
    whole = await refusal(rig.jobs.SubmitBatch(request))

    for answer in (first, again):
        assert answer.items[0].error.reason == "ID_CONFLICT"
        assert answer.accepted_count == 1
    assert again.deduplicated
    assert (whole.code, whole.reason) == (grpc.StatusCode.ALREADY_EXISTS, "ID_CONFLICT")
    assert await total(rig) == 2


async def test_batch_with_delays_is_scheduled(rig: Rig) -> None:
    requests = [pb.SubmitRequest(spec=spec(delay=Duration(seconds=30))), pb.SubmitRequest(spec=spec())]

    answer = await rig.jobs.SubmitBatch(pb.SubmitBatchRequest(requests=requests))

    states = [item.submitted.job.state for item in answer.items]
    assert states == [common_pb2.JOB_STATE_SCHEDULED, common_pb2.JOB_STATE_QUEUED]
    assert [(await rig.get(job_id)).state for job_id in answer.job_ids] == states


async def test_batch_warns_once_for_each_type_without_worker(make_rig: Callable[..., Awaitable[Rig]]) -> None:
    rig = await make_rig(publish=False)
    await rig.publish(alive=False)

    answer = await submit(rig, *([GOOD] * 3))

    assert list(answer.warnings) == [
        'no worker for job type "test.count" is alive; the job waits until one starts'
    ]


async def test_batch_of_ten_thousand_is_accepted_while_other_calls_are_answered(rig: Rig) -> None:
    big = asyncio.ensure_future(submit(rig, *({"limit": n + 1} for n in range(10_000)), compact=True))
    others = 0
    while not big.done():
        await rig.jobs.GetStatus(pb.GetStatusRequest(job_id=await rig.new_job()))
        others += 1

    answer = await big
    assert answer.accepted_count == 10_000
    assert len(set(answer.job_ids)) == 10_000
    assert others > 3
    assert await total(rig) == 10_000 + others
