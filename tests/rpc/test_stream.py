"""StreamProgress of jobs, over a real connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from jobsvc.model.lifecycle import Outcome
from jobsvc.store import calls
from jobsvc_proto.v1 import common_pb2
from jobsvc_proto.v1 import job_service_pb2 as pb
from tests.rpc.rig import Rig, kinds, refusal


def job(job_id: str, **options: int) -> pb.WatchTarget:
    return pb.WatchTarget(job_id=job_id, **options)


async def test_stream_tells_snapshot_moves_progress_and_the_end(rig: Rig) -> None:
    job_id = await rig.new_job()
    stream = rig.stream(job(job_id), min_interval_ms=20)

    snapshot = await stream.kind("snapshot")
    claim = await rig.claim_one()
    started = await stream.kind("state_change")
    await rig.progress(claim, percent=40.0, step="load", message="halfway", completed_units=4, total_units=10)
    progress = await stream.kind("progress")
    await rig.finish(claim, body='{"sum": 3}')
    ended = await stream.kind("state_change")
    completed = await stream.kind("completed")

    assert [one.job_id for one in snapshot.jobs] == [job_id]
    assert not snapshot.more
    assert snapshot.jobs[0].state == common_pb2.JOB_STATE_QUEUED
    assert (started.previous_state, started.state) == (
        common_pb2.JOB_STATE_QUEUED,
        common_pb2.JOB_STATE_PROCESSING,
    )
    assert started.attempt == 1
    assert progress.progress.percent == 40.0
    assert (progress.progress.completed_units, progress.progress.total_units) == (4, 10)
    assert progress.progress.HasField("update_time")
    assert (ended.previous_state, ended.state) == (
        common_pb2.JOB_STATE_PROCESSING,
        common_pb2.JOB_STATE_COMPLETED,
    )
    assert completed.job.result.json == '{"sum": 3}'
    assert completed.job == await rig.get(job_id)
    versions = [snapshot.jobs[0].version, started.version, progress.version, ended.version]
    assert versions == sorted(set(versions))
    assert await stream.rest() == []


async def test_stream_of_a_finished_job_tells_it_all_at_once_and_ends(rig: Rig) -> None:
    job_id = await rig.new_job()
    await rig.finish(await rig.claim_one())

    events = await rig.stream(job(job_id)).rest()

    assert kinds(events) == ["snapshot", "completed"]
    assert events[1].completed.job.result.json == '{"ok": true}'


async def test_stream_coalesces_progress_but_tells_the_end_at_once(rig: Rig) -> None:
    job_id = await rig.new_job()
    claim = await rig.claim_one()
    stream = rig.stream(job(job_id), min_interval_ms=60_000)
    await stream.kind("snapshot")

    for percent in range(50):
        await rig.progress(claim, percent=float(percent))
    await rig.finish(claim)

    events = await stream.rest()
    assert kinds(events).count("progress") <= 1
    assert kinds(events)[-2:] == ["state_change", "completed"]


async def test_stream_tells_the_newest_progress_only(rig: Rig) -> None:
    job_id = await rig.new_job()
    claim = await rig.claim_one()
    stream = rig.stream(job(job_id), min_interval_ms=200)
    await stream.kind("snapshot")

    for percent in range(100):
        await rig.progress(claim, percent=float(percent))

    seen = []
    while not seen or seen[-1] < 99:
        seen.append((await stream.kind("progress")).progress.percent)
    assert seen == sorted(seen)
    assert len(seen) < 20


async def test_stream_tells_every_move_also_of_a_job_that_is_fast(rig: Rig) -> None:
    job_id = await rig.new_job()
    stream = rig.stream(job(job_id), min_interval_ms=60_000)
    await stream.kind("snapshot")

    await rig.fail(await rig.claim_one(), retry_in_ms=0)
    [again] = await _claim_soon(rig)
    await rig.finish(again)

    events = await stream.rest()
    states = [event.state_change.state for event in events if event.HasField("state_change")]
    assert states == [
        common_pb2.JOB_STATE_PROCESSING,
        common_pb2.JOB_STATE_SCHEDULED,
        common_pb2.JOB_STATE_QUEUED,
        common_pb2.JOB_STATE_PROCESSING,
        common_pb2.JOB_STATE_COMPLETED,
    ]
    attempts = [event.state_change.attempt for event in events if event.HasField("state_change")]
    assert attempts == [1, 1, 1, 2, 2]


async def _claim_soon(rig: Rig) -> list[calls.Claim]:
    while not (claims := await rig.claim()):
        await asyncio.sleep(0.005)
    return claims


async def test_stream_tells_why_an_attempt_failed(rig: Rig) -> None:
    job_id = await rig.new_job()
    stream = rig.stream(job(job_id))
    await stream.kind("snapshot")

    await rig.fail(await rig.claim_one(), "no such column", retry_in_ms=60_000)

    change = (
        await stream.until(lambda event: event.state_change.state == common_pb2.JOB_STATE_SCHEDULED)
    ).state_change
    assert (change.error.type, change.error.message) == ("ValueError", "no such column")
    assert change.error.stack_trace == ""
    stream.cancel()


async def test_stream_tells_that_a_running_job_is_being_stopped(rig: Rig) -> None:
    job_id = await rig.new_job()
    claim = await rig.claim_one()
    stream = rig.stream(job(job_id), min_interval_ms=20)
    await stream.kind("snapshot")

    await rig.jobs.Cancel(pb.CancelRequest(job_id=job_id, reason="no longer needed"))

    snapshot = await stream.kind("snapshot")
    assert snapshot.jobs[0].cancel.reason == "no longer needed"
    assert snapshot.jobs[0].state == common_pb2.JOB_STATE_PROCESSING
    await rig.finish(claim, Outcome.CANCELLED, "")
    assert (await stream.skip_to("completed")).job.state == common_pb2.JOB_STATE_CANCELLED


async def test_stream_of_several_jobs_completes_each_and_then_ends(rig: Rig) -> None:
    ids = [await rig.new_job() for _ in range(5)]
    stream = rig.stream(*map(job, ids))
    assert {one.job_id for one in (await stream.kind("snapshot")).jobs} == set(ids)

    for claim in await rig.claim(5):
        await rig.finish(claim)

    events = await stream.rest()
    completed = [event.completed.job.job_id for event in events if event.HasField("completed")]
    assert sorted(completed) == sorted(ids)


async def test_stream_names_missing_jobs_and_tells_of_the_others(rig: Rig) -> None:
    job_id = await rig.new_job()
    stream = rig.stream(job(job_id), job("nobody"))

    snapshot = await stream.kind("snapshot")
    await rig.finish(await rig.claim_one())

    assert list(snapshot.missing_ids) == ["nobody"]
    assert kinds(await stream.rest())[-1] == "completed"


async def test_stream_of_missing_jobs_only_is_refused(rig: Rig) -> None:
    fault = await rig.stream(job("nobody"), job("nothing")).fault()

    assert (fault.code, fault.reason) == (grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")
    assert fault.metadata == {"job_id": "nobody"}


async def test_stream_resumes_without_telling_again_what_is_known(rig: Rig) -> None:
    ids = [await rig.new_job() for _ in range(3)]
    first = rig.stream(*map(job, ids))
    await first.kind("snapshot")
    first.cancel()
    [claim] = await rig.claim(1)

    again = rig.stream(*map(job, ids), resume_token=first.token)

    snapshot = await again.kind("snapshot")
    assert [one.job_id for one in snapshot.jobs] == [claim.job_id]
    assert snapshot.gap
    again.cancel()


async def test_stream_that_missed_nothing_resumes_with_a_sign_of_life(rig: Rig) -> None:
    job_id = await rig.new_job()
    first = rig.stream(job(job_id))
    await first.kind("snapshot")

    again = rig.stream(job(job_id), resume_token=first.token)

    await again.kind("heartbeat")
    await rig.finish(await rig.claim_one())
    assert kinds(await again.rest()) == ["state_change", "state_change", "completed"]


async def test_stream_resumes_by_known_versions_as_well(rig: Rig) -> None:
    job_id = await rig.new_job()

    known = rig.stream(job(job_id, known_version=1))
    older = rig.stream(job(job_id, known_version=0))

    await known.kind("heartbeat")
    await older.kind("snapshot")
    known.cancel()
    older.cancel()


@pytest.mark.parametrize("token", ["nonsense", "é", "AeQPPTUB", "A" * 5_000])
async def test_stream_with_a_token_that_does_not_fit_begins_with_a_snapshot(rig: Rig, token: str) -> None:
    stream = rig.stream(job(await rig.new_job()), resume_token=token)

    snapshot = await stream.kind("snapshot")

    assert len(snapshot.jobs) == 1
    stream.cancel()


async def test_stream_of_an_ended_job_that_is_known_still_tells_the_end(rig: Rig) -> None:
    job_id = await rig.new_job()
    await rig.finish(await rig.claim_one())
    version = (await rig.get(job_id)).version

    events = await rig.stream(job(job_id, known_version=version)).rest()

    assert kinds(events) == ["completed"]


async def test_stream_says_that_it_lives_when_nothing_happens(rig: Rig) -> None:
    stream = rig.stream(job(await rig.new_job()), heartbeat_interval=Duration(nanos=1))
    await stream.kind("snapshot")
    began = asyncio.get_running_loop().time()

    await stream.kind("heartbeat")
    await stream.kind("heartbeat")

    assert 1.5 < asyncio.get_running_loop().time() - began < 5  # two seconds: at least one between two
    stream.cancel()


async def test_stream_begins_with_the_newest_state_while_a_job_moves(rig: Rig) -> None:
    """Subscribed before the snapshot is read: whatever happens around its beginning is told."""
    for _ in range(30):
        job_id = await rig.new_job()
        stream = rig.stream(job(job_id))
        claim = await rig.claim_one()
        await rig.finish(claim)
        assert kinds(await stream.rest())[-1] == "completed"


async def test_stream_that_is_left_frees_what_it_watched(rig: Rig) -> None:
    stream = rig.stream(job(await rig.new_job()))
    await stream.kind("snapshot")
    channels = f"{rig.store.keys.tag}:watch:*"
    probe = calls.Call(None, ("PUBSUB", "CHANNELS", channels), list)
    assert len(await rig.run(probe)) == 1

    stream.cancel()

    async with asyncio.timeout(10):
        while await rig.run(probe):
            await asyncio.sleep(0.05)


async def test_stream_tells_new_log_lines_before_the_end(rig: Rig) -> None:
    job_id = await rig.new_job()
    claim = await rig.claim_one()
    await rig.log(claim, "before", first=1)
    stream = rig.stream(job(job_id), include_logs=True, min_interval_ms=20)
    await stream.kind("snapshot")

    await rig.log(claim, "one", "two", first=2)
    await rig.finish(claim)

    events = await stream.rest()
    assert [event.log.text for event in events if event.HasField("log")] == ["one", "two"]
    assert [event.log.line_number for event in events if event.HasField("log")] == [2, 3]
    assert kinds(events)[-1] == "completed"


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (pb.StreamProgressRequest(), "INVALID_ARGUMENT"),
        (pb.StreamProgressRequest(targets=[pb.WatchTarget()]), "INVALID_ARGUMENT"),
        (pb.StreamProgressRequest(targets=[job("a"), job("a")]), "INVALID_ARGUMENT"),
        (pb.StreamProgressRequest(targets=[job(f"j{n}") for n in range(1_001)]), "INVALID_ARGUMENT"),
        (pb.StreamProgressRequest(targets=[job("a b")]), "MALFORMED_ID"),
        (pb.StreamProgressRequest(targets=[pb.WatchTarget(parent_job_id="a")]), "FEATURE_NOT_AVAILABLE"),
        (pb.StreamProgressRequest(targets=[pb.WatchTarget(filter="a")]), "FEATURE_NOT_AVAILABLE"),
    ],
    ids=["no targets", "empty target", "one twice", "too many", "malformed", "parent", "filter"],
)
async def test_stream_refuses_wrong_targets(
    rig: Rig, request_: pb.StreamProgressRequest, reason: str
) -> None:
    fault = await refusal(rig.jobs.StreamProgress(request_).read())

    assert fault.reason == reason


async def test_stream_of_large_results_is_cut_into_messages_that_clients_take(
    make_rig: Callable[..., Awaitable[Rig]],
) -> None:
    rig = await make_rig(inline_limit_bytes=1_000_000)
    ids = [await rig.new_job() for _ in range(10)]
    body = '"' + "x" * 900_000 + '"'
    await rig.finish_all(await rig.claim(10), body=body)
    async with grpc.aio.insecure_channel(rig.address) as plain:  # takes 4 MiB a message
        rig.jobs.StreamProgress = plain.unary_stream(
            "/jobsvc.v1.JobService/StreamProgress",
            request_serializer=pb.StreamProgressRequest.SerializeToString,
            response_deserializer=pb.StreamProgressResponse.FromString,
        )

        events = await rig.stream(*map(job, ids)).rest()

    assert kinds(events).count("completed") == 10
