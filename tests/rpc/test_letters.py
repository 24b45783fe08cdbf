"""Retry, ClearDeadLetters and PurgeQueue, over a real connection."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from jobsvc.store import calls
from jobsvc_proto.v1 import common_pb2
from jobsvc_proto.v1 import job_service_pb2 as pb
from jobsvc_proto.v1 import queue_service_pb2 as queue_pb
from jobsvc_proto.v1.queue_service_pb2_grpc import QueueServiceStub
from tests.rpc.rig import Rig, refusal

F = pb.DeadLetterFilter


async def failed(rig: Rig, count: int = 1, queue: str = "counting", **options: Any) -> list[str]:
    """Make failed jobs; returns their ids, oldest first."""
    ids = []
    for _ in range(count):
        ids.append(await rig.new_job(**options))
        [claim] = await rig.claim(1, queues=[queue])
        await rig.fail(claim)
    return ids


async def states(rig: Rig, ids: list[str]) -> list[str]:
    answer = await rig.jobs.BatchGetStatus(pb.BatchGetStatusRequest(job_ids=ids))
    return [common_pb2.JobState.Name(job.state).removeprefix("JOB_STATE_").lower() for job in answer.jobs]


async def test_retry_of_one_job_returns_it(rig: Rig) -> None:
    [job_id] = await failed(rig)

    answer = await rig.jobs.Retry(pb.RetryRequest(job_id=job_id))
    again = await rig.jobs.Retry(pb.RetryRequest(job_id=job_id))

    assert (answer.requeued_count, answer.skipped_count) == (1, 0)
    assert answer.job.state == common_pb2.JOB_STATE_QUEUED
    assert len(answer.job.attempts) == 1
    assert (again.requeued_count, again.skipped_count) == (0, 1)


async def test_request_id_makes_a_repeat_change_nothing(rig: Rig) -> None:
    ids = await failed(rig, 2)
    request = pb.RetryRequest(dead_letters=F(queue="counting"), request_id="r1")

    first = await rig.jobs.Retry(request)
    for claim in await rig.claim(2, queues=["counting"]):
        await rig.fail(claim)
    second = await rig.jobs.Retry(request)

    assert first == second
    assert first.requeued_count == 2
    assert await states(rig, ids) == ["failed", "failed"]


async def test_request_that_was_broken_off_is_taken_up_where_it_was(rig: Rig) -> None:
    ids = await failed(rig, 4)
    await rig.run(calls.retry(ids[:1], request_id="r1", most=2))  # all that a server did before it was killed
    [claim] = await rig.claim(1, queues=["counting"])
    await rig.fail(claim)

    answer = await rig.jobs.Retry(pb.RetryRequest(dead_letters=F(limit=2), request_id="r1"))

    assert (answer.requeued_count, answer.skipped_count) == (2, 0)
    assert await states(rig, ids) == ["failed", "queued", "failed", "failed"]


async def test_retry_names_the_jobs_that_do_not_exist(rig: Rig) -> None:
    [job_id] = await failed(rig)
    request = pb.RetryRequest(jobs=pb.JobIds(job_ids=["nobody", job_id]), request_id="r1")

    first, second = await rig.jobs.Retry(request), await rig.jobs.Retry(request)

    assert first == second
    assert (first.requeued_count, list(first.missing_job_ids)) == (1, ["nobody"])


async def test_filter_chooses_by_everything_it_names(rig: Rig) -> None:
    ids = await failed(rig, 4)
    jobs = (await rig.jobs.BatchGetStatus(pb.BatchGetStatusRequest(job_ids=ids))).jobs
    error = jobs[0].error

    async def count(**fields: Any) -> int:
        """How many a filter would take, without taking them."""
        cleared = await QueueServiceStub(rig.channel).ClearDeadLetters(
            queue_pb.ClearDeadLettersRequest(filter=F(job_type="other", **fields))
        )
        return int(cleared.cleared_count)

    assert await count() == 0
    for wrong in (F(queue="other"), F(job_type="x"), F(error_type="KeyError"), F(error_code="NO")):
        assert (await rig.jobs.Retry(pb.RetryRequest(dead_letters=wrong))).requeued_count == 0
    late = F(failed_after_time=Timestamp(seconds=jobs[-1].end_time.seconds + 10))
    early = F(failed_before_time=jobs[0].end_time)
    for wrong in (late, early):
        assert (await rig.jobs.Retry(pb.RetryRequest(dead_letters=wrong))).requeued_count == 0
    right = F(queue="counting", error_type=error.type, error_code=error.code, limit=3)
    assert (await rig.jobs.Retry(pb.RetryRequest(dead_letters=right))).requeued_count == 3
    assert await states(rig, ids) == ["queued", "queued", "queued", "failed"]


async def test_more_dead_letters_than_fit_into_one_script_are_all_retried(rig: Rig) -> None:
    batch_id = await rig.new_batch(500)
    while claims := await rig.claim(100, queues=["counting"]):
        for claim in claims:
            await rig.fail(claim)

    answer = await rig.jobs.Retry(pb.RetryRequest(dead_letters=F()))

    assert answer.requeued_count == 500
    [progress] = [
        queue for queue in (await rig.jobs.Stats(pb.StatsRequest())).queues if queue.queue == "counting"
    ]
    assert (progress.waiting, progress.failed, progress.failed_ever) == (500, 0, 500)
    assert batch_id


async def test_retry_of_a_batch_takes_what_has_failed(rig: Rig) -> None:
    batch_id = await rig.new_batch(3)
    first, second, third = await rig.claim(3, queues=["counting"])
    await rig.fail(first)
    await rig.finish(second)
    await rig.fail(third)

    answer = await rig.jobs.Retry(pb.RetryRequest(batch_id=batch_id))

    assert (answer.requeued_count, answer.skipped_count) == (2, 0)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (pb.RetryRequest(), "INVALID_ARGUMENT"),
        (pb.RetryRequest(job_id="a b"), "MALFORMED_ID"),
        (pb.RetryRequest(job_id="nobody"), "JOB_NOT_FOUND"),
        (pb.RetryRequest(batch_id="nobody"), "BATCH_NOT_FOUND"),
        (pb.RetryRequest(jobs=pb.JobIds()), "INVALID_ARGUMENT"),
        (pb.RetryRequest(dead_letters=F(queue="a b")), "INVALID_ARGUMENT"),
        (pb.RetryRequest(dead_letters=F(limit=-1)), "INVALID_ARGUMENT"),
    ],
)
async def test_retry_refuses_wrong_requests(rig: Rig, request_: pb.RetryRequest, reason: str) -> None:
    assert (await refusal(rig.jobs.Retry(request_))).reason == reason


async def test_clear_removes_dead_letters_and_nothing_else(rig: Rig) -> None:
    ids = await failed(rig, 3)
    other = await rig.new_job()
    queues: Any = QueueServiceStub(rig.channel)

    some = await queues.ClearDeadLetters(queue_pb.ClearDeadLettersRequest(filter=F(limit=1)))
    rest = await queues.ClearDeadLetters(queue_pb.ClearDeadLettersRequest())

    assert (some.cleared_count, rest.cleared_count) == (1, 2)
    answer = await rig.jobs.BatchGetStatus(pb.BatchGetStatusRequest(job_ids=[*ids, other]))
    assert list(answer.missing_job_ids) == ids


async def test_purge_removes_by_state_and_age(rig: Rig) -> None:
    await failed(rig, 2)
    waiting = await rig.new_job()
    await rig.submit(delay=Duration(seconds=60))
    queues: Any = QueueServiceStub(rig.channel)

    def purge(*names: str, **fields: Any) -> Any:
        numbers = [common_pb2.JobState.Value(f"JOB_STATE_{name}") for name in names]
        return queues.PurgeQueue(queue_pb.PurgeQueueRequest(name="counting", states=numbers, **fields))

    assert (await purge("FAILED", "QUEUED", older_than=Duration(seconds=60))).purged_count == 0
    assert (await purge("FAILED", "SCHEDULED")).purged_count == 3
    assert await states(rig, [waiting]) == ["queued"]
    assert (await refusal(purge())).violations.keys() == {"states"}
    assert (await refusal(purge("PROCESSING"))).violations.keys() == {"states[0]"}
    unknown = queue_pb.PurgeQueueRequest(name="nobody", states=[common_pb2.JOB_STATE_FAILED])
    assert (await refusal(queues.PurgeQueue(unknown))).reason == "QUEUE_NOT_FOUND"


async def test_watcher_who_comes_after_a_retry_hears_of_the_new_end(rig: Rig) -> None:
    [job_id] = await failed(rig)
    first = rig.stream(pb.WatchTarget(job_id=job_id))
    assert (await first.skip_to("completed")).job.state == common_pb2.JOB_STATE_FAILED
    await rig.jobs.Retry(pb.RetryRequest(job_id=job_id))
    second = rig.stream(pb.WatchTarget(job_id=job_id))
    assert (await second.kind("snapshot")).jobs[0].state == common_pb2.JOB_STATE_QUEUED

    [claim] = await rig.claim(1, queues=["counting"])
    await rig.finish(claim)

    assert (await second.skip_to("completed")).job.state == common_pb2.JOB_STATE_COMPLETED


async def test_watcher_of_a_batch_goes_on_across_a_retry(rig: Rig) -> None:
    batch_id = await rig.new_batch(2)
    stream = rig.stream(pb.WatchTarget(batch_id=batch_id, include_jobs=True))
    await stream.kind("snapshot")
    first, second = await rig.claim(2, queues=["counting"])
    await rig.fail(first, "bad row")
    failure = await stream.until(lambda event: bool(event.batch.recent_failures))
    assert failure.batch.recent_failures[0].error.message == "bad row"

    await rig.jobs.Retry(pb.RetryRequest(job_id=first.job_id))

    again = await stream.until(
        lambda event: (
            event.state_change.job_id == first.job_id
            and event.state_change.state == common_pb2.JOB_STATE_QUEUED
        )
    )
    assert again.state_change.previous_state == common_pb2.JOB_STATE_FAILED
    await rig.finish(second)
    [claim] = await rig.claim(1, queues=["counting"])
    await rig.fail(claim, "worse row")
    ended = await stream.skip_to("completed")
    assert [one.error.message for one in ended.batch.recent_failures] == ["worse row"]
    assert (ended.batch.completed, ended.batch.failed) == (1, 1)


async def test_ended_batch_can_be_watched_again_after_a_retry(rig: Rig) -> None:
    batch_id = await rig.new_batch(2)
    for claim in await rig.claim(2, queues=["counting"]):
        await rig.fail(claim)
    before = await rig.stream(pb.WatchTarget(batch_id=batch_id)).skip_to("completed")

    await rig.jobs.Retry(pb.RetryRequest(batch_id=batch_id))

    stream = rig.stream(pb.WatchTarget(batch_id=batch_id, known_version=before.batch.version))
    snapshot = await stream.kind("snapshot")
    assert not snapshot.batches[0].HasField("end_time")
    for claim in await rig.claim(2, queues=["counting"]):
        await rig.finish(claim)
    assert (await stream.skip_to("completed")).batch.completed == 2


async def test_purge_finds_a_queue_that_only_a_handler_knows(rig: Rig) -> None:
    request = queue_pb.PurgeQueueRequest(name="other", states=[common_pb2.JOB_STATE_FAILED])
    queues: Any = QueueServiceStub(rig.channel)

    assert (await queues.PurgeQueue(request)).purged_count == 0
