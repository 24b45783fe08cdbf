"""GetStatus, BatchGetStatus and Wait, over a real connection."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from jobsvc.model.lifecycle import Outcome
from jobsvc.model.queue import QueueSettings, Retention
from jobsvc.store import calls
from jobsvc_proto.v1 import common_pb2
from jobsvc_proto.v1 import job_service_pb2 as pb
from tests.rpc.rig import Rig, refusal


async def test_status_of_a_job_through_its_life(rig: Rig) -> None:
    job_id = await rig.new_job()
    await rig.fail(await rig.claim_one(), "first", retry_in_ms=60_000)
    waiting = await rig.get(job_id)

    assert waiting.state == common_pb2.JOB_STATE_SCHEDULED
    assert waiting.attempt_count == 1
    assert waiting.error.message == "first"
    assert waiting.error.category == common_pb2.JobError.CATEGORY_APPLICATION
    assert waiting.spec.HasField("not_before_time")
    [attempt] = waiting.attempts
    assert (attempt.number, attempt.outcome) == (1, common_pb2.Attempt.OUTCOME_RETRIED)
    assert attempt.error.stack_trace == "Traceback ..."
    assert not waiting.HasField("end_time")
    assert not waiting.HasField("retain_until_time")


async def test_status_of_a_running_and_of_a_completed_job(rig: Rig) -> None:
    job_id = await rig.new_job()
    claim = await rig.claim_one()
    await rig.progress(claim, percent=50.0, step="load")
    running = await rig.get(job_id)
    await rig.finish(claim, body='{"sum": 3}')
    done = await rig.get(job_id)

    assert running.state == common_pb2.JOB_STATE_PROCESSING
    assert (running.progress.percent, running.progress.step) == (50.0, "load")
    [attempt] = running.attempts
    assert (attempt.number, attempt.worker_id, attempt.outcome) == (
        1,
        "w1",
        common_pb2.Attempt.OUTCOME_UNSPECIFIED,
    )
    assert not attempt.HasField("end_time")
    assert done.result.json == '{"sum": 3}'
    assert done.attempts[0].outcome == common_pb2.Attempt.OUTCOME_COMPLETED
    kept_ms = done.retain_until_time.ToMilliseconds() - done.end_time.ToMilliseconds()
    assert kept_ms == 24 * 3_600_000


@pytest.mark.parametrize(("kept", "hours"), [(Retention(3_600_000, 5), 1), (Retention(0, 5), None)])
async def test_end_of_retention_follows_the_settings_of_the_queue(
    rig: Rig, kept: Retention, hours: int | None
) -> None:
    job_id = await rig.new_job()
    await rig.finish(await rig.claim_one())

    await rig.run(calls.configure("counting", QueueSettings(completed=kept), ["completed"], how="update"))

    job = await rig.get(job_id)
    assert job.HasField("retain_until_time") is (hours is not None)
    if hours is not None:
        kept_ms = job.retain_until_time.ToMilliseconds() - job.end_time.ToMilliseconds()
        assert kept_ms == hours * 3_600_000


async def test_status_in_the_basic_view_leaves_large_parts_out(rig: Rig) -> None:
    job_id = await rig.new_job()
    await rig.fail(await rig.claim_one())

    basic = (await rig.jobs.GetStatus(pb.GetStatusRequest(job_id=job_id, view=pb.JOB_VIEW_BASIC))).job

    assert not basic.spec.HasField("arguments")
    assert not basic.attempts
    assert (basic.error.message, basic.error.stack_trace) == ("bad row", "")


async def test_status_of_an_unknown_job_is_not_found(rig: Rig) -> None:
    fault = await refusal(rig.get("nobody"))

    assert (fault.code, fault.reason) == (grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")
    assert fault.metadata == {"job_id": "nobody"}


@pytest.mark.parametrize("job_id", ["", "a b", "x" * 200, "../x", "a\nb", "ab\n"])
async def test_status_of_a_malformed_id_is_refused(rig: Rig, job_id: str) -> None:
    fault = await refusal(rig.get(job_id))

    assert (fault.code, fault.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_ID")
    assert list(fault.violations) == ["job_id"]


async def test_status_of_a_cancelled_job_says_why(rig: Rig) -> None:
    job_id = await rig.new_job()
    await rig.jobs.Cancel(pb.CancelRequest(job_id=job_id, reason="a mistake"))

    job = await rig.get(job_id)

    assert job.error.category == common_pb2.JobError.CATEGORY_CANCELLED
    assert job.error.message == "a mistake"
    assert job.cancel.reason == "a mistake"


async def test_statuses_of_several_jobs_name_the_missing(rig: Rig) -> None:
    ids = [await rig.new_job() for _ in range(3)]

    answer = await rig.jobs.BatchGetStatus(pb.BatchGetStatusRequest(job_ids=[ids[2], "nobody", ids[0]]))

    assert [job.job_id for job in answer.jobs] == [ids[2], ids[0]]
    assert list(answer.missing_job_ids) == ["nobody"]
    assert not answer.jobs[0].spec.HasField("arguments")


async def test_statuses_in_full_have_arguments_and_results(rig: Rig) -> None:
    batch_id = await rig.new_batch(120)
    await rig.finish_all(await rig.claim(120))
    ids = [f"{batch_id}.{n}" for n in range(120)]

    answer = await rig.jobs.BatchGetStatus(pb.BatchGetStatusRequest(job_ids=ids, view=pb.JOB_VIEW_FULL))

    assert [job.job_id for job in answer.jobs] == ids
    assert {job.result.json for job in answer.jobs} == {'{"ok": true}'}
    assert answer.jobs[119].spec.arguments.json == '{"limit": 120}'


@pytest.mark.parametrize("ids", [[], ["x"] * 501, ["ok", "a b"]])
async def test_statuses_of_wrong_lists_are_refused(rig: Rig, ids: list[str]) -> None:
    fault = await refusal(rig.jobs.BatchGetStatus(pb.BatchGetStatusRequest(job_ids=ids)))

    assert fault.code is grpc.StatusCode.INVALID_ARGUMENT
    assert list(fault.violations) in (["job_ids"], ["job_ids[1]"])


async def wait(rig: Rig, job_id: str, **options: object) -> pb.WaitResponse:
    answer: pb.WaitResponse = await rig.jobs.Wait(pb.WaitRequest(job_id=job_id, **options))
    return answer


async def test_wait_answers_at_once_when_there_is_news(rig: Rig) -> None:
    job_id = await rig.new_job()

    answer = await wait(rig, job_id)

    assert answer.changed
    assert answer.job.version == 1


async def test_wait_answers_when_the_job_moves(rig: Rig) -> None:
    job_id = await rig.new_job()
    waiting = asyncio.ensure_future(wait(rig, job_id, after_version=1))
    assert not (await asyncio.wait({waiting}, timeout=0.1))[0]

    await rig.claim(1)

    answer = await asyncio.wait_for(waiting, 5)
    assert answer.changed
    assert answer.job.state == common_pb2.JOB_STATE_PROCESSING


async def test_wait_for_the_end_answers_with_the_result(rig: Rig) -> None:
    job_id = await rig.new_job()
    waiting = asyncio.ensure_future(wait(rig, job_id, until_terminal=True))
    claim = await rig.claim_one()
    await rig.progress(claim, percent=10.0)
    assert not (await asyncio.wait({waiting}, timeout=0.1))[0]

    await rig.finish(claim, Outcome.COMPLETED, '{"sum": 3}')

    answer = await asyncio.wait_for(waiting, 5)
    assert answer.changed
    assert answer.job.result.json == '{"sum": 3}'


async def test_wait_that_takes_too_long_answers_unchanged(rig: Rig) -> None:
    job_id = await rig.new_job()

    answer = await wait(rig, job_id, after_version=1, max_wait=Duration(nanos=50_000_000))

    assert not answer.changed
    assert answer.job.version == 1


async def test_wait_for_an_unknown_job_is_not_found(rig: Rig) -> None:
    assert (await refusal(wait(rig, "nobody"))).reason == "JOB_NOT_FOUND"
