"""StreamProgress of batches, over a real connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import grpc
import pytest

from jobsvc.model.lifecycle import Outcome
from jobsvc_proto.v1 import common_pb2
from jobsvc_proto.v1 import job_service_pb2 as pb
from tests.rpc.rig import Rig, kinds, spec


def batch(batch_id: str, *, include_jobs: bool = False, known_version: int = 0) -> pb.WatchTarget:
    return pb.WatchTarget(batch_id=batch_id, include_jobs=include_jobs, known_version=known_version)


def counts(progress: pb.BatchProgress) -> dict[str, int]:
    names = ("blocked", "scheduled", "queued", "processing", "completed", "failed", "cancelled")
    return {name: getattr(progress, name) for name in names if getattr(progress, name)}


async def test_batch_stream_tells_counts_and_the_end(rig: Rig) -> None:
    batch_id = await rig.new_batch(4, title="four")
    stream = rig.stream(batch(batch_id), min_interval_ms=20)

    [first] = (await stream.kind("snapshot")).batches
    claims = await rig.claim(2)
    running = (await stream.until(lambda event: event.batch.processing == 2)).batch
    await rig.finish(claims[0])
    await rig.fail(claims[1], "bad row")
    half = (await stream.until(lambda event: event.batch.completed and event.batch.failed)).batch
    for claim in await rig.claim(2):
        await rig.finish(claim)
    events = await stream.rest()

    assert (first.batch_id, first.title, first.total) == (batch_id, "four", 4)
    assert counts(first) == {"queued": 4}
    assert not first.HasField("start_time")
    assert counts(running) == {"queued": 2, "processing": 2}
    assert running.HasField("start_time")
    assert counts(half) == {"queued": 2, "completed": 1, "failed": 1}
    assert half.percent == 50.0
    assert half.estimated_finish_p50_time.ToMilliseconds() <= half.estimated_finish_p90_time.ToMilliseconds()
    [failure] = half.recent_failures
    assert failure.job_id == claims[1].job_id
    assert failure.title == "test.count"
    assert (failure.error.type, failure.error.message) == ("ValueError", "bad row")
    assert failure.error.stack_trace == ""
    final = events[-1].completed.batch
    assert kinds(events)[-1] == "completed"
    assert counts(final) == {"completed": 3, "failed": 1}
    assert final.percent == 100.0
    assert final.HasField("end_time")


async def test_batch_stream_versions_never_go_backwards(rig: Rig) -> None:
    batch_id = await rig.new_batch(20)
    stream = rig.stream(batch(batch_id), min_interval_ms=20)
    await stream.kind("snapshot")

    for claim in await rig.claim(20):
        await rig.finish(claim)

    events = await stream.rest()
    versions = [event.batch.version for event in events if event.HasField("batch")]
    assert versions == sorted(versions)
    assert events[-1].completed.batch.version >= versions[-1]


async def test_batch_stream_coalesces_counts_but_tells_the_end_at_once(rig: Rig) -> None:
    batch_id = await rig.new_batch(50)
    stream = rig.stream(batch(batch_id), min_interval_ms=60_000)
    await stream.kind("snapshot")

    for claim in await rig.claim(50):
        await rig.finish(claim)

    events = await stream.rest()
    assert len(events) <= 4
    assert kinds(events)[-1] == "completed"


async def test_batch_stream_shows_a_running_job_and_its_progress(rig: Rig) -> None:
    batch_id = await rig.new_batch(3)
    stream = rig.stream(batch(batch_id), min_interval_ms=20)
    await stream.kind("snapshot")

    [claim] = await rig.claim(1)
    await rig.progress(claim, percent=30.0, step="fit", message="model 3 of 10")

    shown = (await stream.until(lambda event: event.batch.running_example.progress.step == "fit")).batch
    assert shown.running_example.job_id == claim.job_id
    assert shown.running_example.progress.message == "model 3 of 10"
    await rig.finish(claim)
    assert not (await stream.until(lambda event: event.batch.completed == 1)).batch.HasField(
        "running_example"
    )
    stream.cancel()


async def test_batch_stream_that_begins_late_finds_a_running_job_for_its_line(rig: Rig) -> None:
    batch_id = await rig.new_batch(3)
    [claim] = await rig.claim(1)
    await rig.progress(claim, step="fit")

    stream = rig.stream(batch(batch_id))

    [first] = (await stream.kind("snapshot")).batches
    assert first.running_example.job_id == claim.job_id
    assert first.running_example.progress.step == "fit"
    stream.cancel()


async def test_batch_stream_with_jobs_tells_of_each(rig: Rig) -> None:
    batch_id = await rig.new_batch(3)
    stream = rig.stream(batch(batch_id, include_jobs=True), min_interval_ms=20)

    snapshot = await stream.kind("snapshot")
    claims = await rig.claim(3)
    await rig.progress(claims[0], percent=50.0)
    progress = (await stream.until(lambda event: event.HasField("progress"))).progress
    await rig.finish_all(claims)
    events = await stream.rest()

    assert sorted(job.job_id for job in snapshot.jobs) == [f"{batch_id}.{n}" for n in range(3)]
    assert len(snapshot.batches) == 1
    assert (progress.job_id, progress.progress.percent) == (claims[0].job_id, 50.0)
    ended = [
        event.state_change.job_id
        for event in events
        if event.state_change.state == common_pb2.JOB_STATE_COMPLETED
    ]
    assert sorted(ended) == [f"{batch_id}.{n}" for n in range(3)]
    assert kinds(events)[-1] == "completed"


async def test_batch_stream_with_jobs_sends_a_large_snapshot_in_pieces(rig: Rig) -> None:
    batch_id = await rig.new_batch(450)
    stream = rig.stream(batch(batch_id, include_jobs=True))

    pieces = [await stream.kind("snapshot")]
    while pieces[-1].more:
        pieces.append(await stream.kind("snapshot"))

    assert len(pieces) == 3
    assert len({job.job_id for piece in pieces for job in piece.jobs}) == 450
    assert max(len(piece.jobs) for piece in pieces) <= 200
    stream.cancel()


async def test_batch_stream_with_jobs_tells_the_end_of_all_jobs_of_a_large_batch(rig: Rig) -> None:
    batch_id = await rig.new_batch(600)
    stream = rig.stream(batch(batch_id, include_jobs=True))
    while (await stream.kind("snapshot")).more:
        pass

    while claims := await rig.claim(200):
        await rig.finish_all(claims)

    events = await stream.rest()
    last = {}
    for event in events:
        if event.HasField("state_change"):
            assert event.state_change.version > last.get(event.state_change.job_id, (0, 0))[0]
            last[event.state_change.job_id] = (event.state_change.version, event.state_change.state)
    assert len(last) == 600
    assert {state for _, state in last.values()} == {common_pb2.JOB_STATE_COMPLETED}
    assert kinds(events)[-1] == "completed"


async def test_batch_stream_of_a_finished_batch_tells_all_at_once(rig: Rig) -> None:
    batch_id = await rig.new_batch(2)
    await rig.finish_all(await rig.claim(2), Outcome.CANCELLED, "")

    events = await rig.stream(batch(batch_id)).rest()

    assert kinds(events) == ["snapshot", "completed"]
    assert counts(events[1].completed.batch) == {"cancelled": 2}


async def test_batch_stream_resumes_without_telling_again_what_is_known(rig: Rig) -> None:
    batch_id = await rig.new_batch(2)
    first = rig.stream(batch(batch_id))
    await first.kind("snapshot")
    first.cancel()

    same = rig.stream(batch(batch_id), resume_token=first.token)
    await same.kind("heartbeat")
    await rig.claim(1)
    later = rig.stream(batch(batch_id), resume_token=first.token)
    snapshot = await later.kind("snapshot")

    assert counts(snapshot.batches[0]) == {"queued": 1, "processing": 1}
    assert snapshot.gap
    same.cancel()
    later.cancel()


async def test_batch_stream_of_a_missing_batch_is_refused(rig: Rig) -> None:
    fault = await rig.stream(batch("nobody")).fault()

    assert (fault.code, fault.reason) == (grpc.StatusCode.NOT_FOUND, "BATCH_NOT_FOUND")


async def test_batch_and_job_of_the_same_name_are_told_apart(rig: Rig) -> None:
    await rig.submit(job_id="twin")
    await rig.new_batch(1, batch_id="twin")
    stream = rig.stream(batch("twin"), pb.WatchTarget(job_id="twin"), min_interval_ms=20)
    snapshot = await stream.kind("snapshot")
    assert (len(snapshot.jobs), len(snapshot.batches)) == (1, 1)

    for claim in await rig.claim(2):
        await rig.finish(claim)

    completed = [event.completed for event in await stream.rest() if event.HasField("completed")]
    assert sorted(one.HasField("job") for one in completed) == [False, True]


@pytest.mark.parametrize("include_jobs", [False, True])
async def test_batch_stream_with_named_items_and_items_that_were_refused(
    rig: Rig, include_jobs: bool
) -> None:
    requests = [
        pb.SubmitRequest(spec=spec(), job_id="first"),
        pb.SubmitRequest(spec=spec({"limit": "x"})),
        pb.SubmitRequest(spec=spec()),
    ]
    batch_id = (await rig.jobs.SubmitBatch(pb.SubmitBatchRequest(requests=requests))).batch_id
    stream = rig.stream(batch(batch_id, include_jobs=include_jobs))

    snapshot = await stream.kind("snapshot")
    await rig.finish_all(await rig.claim(3))

    assert {job.job_id for job in snapshot.jobs} == ({"first", f"{batch_id}.2"} if include_jobs else set())
    assert snapshot.batches[0].total == 2
    assert kinds(await stream.rest())[-1] == "completed"


async def test_batch_stream_while_all_jobs_move_misses_no_end(
    make_rig: Callable[..., Awaitable[Rig]],
) -> None:
    rig = await make_rig()
    for _ in range(10):
        batch_id = await rig.new_batch(10)
        stream = rig.stream(batch(batch_id, include_jobs=True), min_interval_ms=20)
        for claim in await rig.claim(10):
            await rig.progress(claim, percent=1.0)
            await rig.finish(claim)

        events = await stream.rest()

        known = {job.job_id: job.state for event in events for job in event.snapshot.jobs}
        known |= {e.state_change.job_id: e.state_change.state for e in events if e.HasField("state_change")}
        assert set(known.values()) == {common_pb2.JOB_STATE_COMPLETED}
        assert len(known) == 10
