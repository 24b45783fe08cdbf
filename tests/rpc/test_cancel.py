"""Cancel, over a real connection."""

from __future__ import annotations

import grpc
import pytest

from jobsvc_proto.v1 import common_pb2
from jobsvc_proto.v1 import job_service_pb2 as pb
from tests.rpc.rig import Rig, refusal


async def cancel(rig: Rig, **target: object) -> pb.CancelResponse:
    answer: pb.CancelResponse = await rig.jobs.Cancel(pb.CancelRequest(**target))
    return answer


def counts(answer: pb.CancelResponse) -> tuple[int, int, int]:
    return answer.cancelled_count, answer.requested_count, answer.already_finished_count


async def test_cancel_of_a_queued_job_is_done_at_once(rig: Rig) -> None:
    job_id = await rig.new_job()

    answer = await cancel(rig, job_id=job_id, reason="a mistake")

    assert counts(answer) == (1, 0, 0)
    assert answer.job.state == common_pb2.JOB_STATE_CANCELLED
    assert answer.job.cancel.reason == "a mistake"
    assert await rig.claim() == []


async def test_cancel_of_a_running_job_is_a_request(rig: Rig) -> None:
    job_id = await rig.new_job()
    await rig.claim(1)

    answer = await cancel(rig, job_id=job_id)
    again = await cancel(rig, job_id=job_id)

    assert counts(answer) == counts(again) == (0, 1, 0)
    assert answer.job.state == common_pb2.JOB_STATE_PROCESSING
    assert answer.job.cancel.HasField("request_time")
    assert again.job.cancel.request_time == answer.job.cancel.request_time


async def test_cancel_of_a_finished_job_changes_nothing(rig: Rig) -> None:
    job_id = await rig.new_job()
    await rig.finish(await rig.claim_one())
    before = await rig.get(job_id)

    answer = await cancel(rig, job_id=job_id)

    assert counts(answer) == (0, 0, 1)
    assert answer.job == before


async def test_cancel_of_an_unknown_job_is_not_found(rig: Rig) -> None:
    fault = await refusal(cancel(rig, job_id="nobody"))

    assert (fault.code, fault.reason) == (grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")


async def test_cancel_of_several_jobs_counts_and_names_the_missing(rig: Rig) -> None:
    running = await rig.new_job()
    await rig.claim(1)
    finished = await rig.new_job()
    await rig.finish(await rig.claim_one())
    waiting = await rig.new_job()

    answer = await cancel(rig, jobs=pb.JobIds(job_ids=[running, "nobody", finished, waiting]))

    assert counts(answer) == (1, 1, 1)
    assert list(answer.missing_job_ids) == ["nobody"]
    assert not answer.HasField("job")


async def test_cancel_of_a_batch_reaches_all_its_jobs(rig: Rig) -> None:
    batch_id = await rig.new_batch(1_200)
    await rig.finish_all(await rig.claim(2))
    await rig.claim(3)

    answer = await cancel(rig, batch_id=batch_id, reason="enough")

    assert counts(answer) == (1_195, 3, 2)
    assert await rig.claim() == []


async def test_cancel_of_an_unknown_batch_is_not_found(rig: Rig) -> None:
    assert (await refusal(cancel(rig, batch_id="nobody"))).reason == "BATCH_NOT_FOUND"


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (pb.CancelRequest(), "INVALID_ARGUMENT"),
        (pb.CancelRequest(jobs=pb.JobIds()), "INVALID_ARGUMENT"),
        (pb.CancelRequest(job_id="a b"), "MALFORMED_ID"),
        (pb.CancelRequest(job_id="a", reason="x" * 2_000), "INVALID_ARGUMENT"),
        (pb.CancelRequest(job_id="a", include_children=True), "FEATURE_NOT_AVAILABLE"),
    ],
    ids=["no target", "no ids", "malformed", "long reason", "children"],
)
async def test_cancel_refuses_wrong_requests(rig: Rig, request_: pb.CancelRequest, reason: str) -> None:
    assert (await refusal(rig.jobs.Cancel(request_))).reason == reason
