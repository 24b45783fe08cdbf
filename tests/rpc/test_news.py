"""What a watcher is told of one job, for any life that it has and any moments at which it is looked at."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from jobsvc.model.job import CancelStatus, Job, Priority, Progress
from jobsvc.model.lifecycle import JobState
from jobsvc.rpc.views import JobWriter
from jobsvc.rpc.watch.feeds import JobFeed
from jobsvc.rpc.watch.news import JobTrack, Told, job_news
from jobsvc_proto.v1 import common_pb2
from jobsvc_proto.v1 import job_service_pb2 as pb

FIRST = Job(id="j", type="t", queue="q", state=JobState.QUEUED, version=1, priority=Priority.LOW, create_ms=1)
WRITER = JobWriter(lambda _: None, {})

steps = st.lists(
    st.sampled_from(["start", "progress", "retry", "due", "cancel", "complete"]), min_size=1, max_size=20
)


def live(steps: list[str]) -> list[Job]:
    """The records of a job that takes these steps, as far as it can."""
    job, records = FIRST, [FIRST]
    for step in steps:
        changes: dict[str, object] = {}
        running = job.state is JobState.PROCESSING
        if step == "start" and job.state is JobState.QUEUED:
            changes = {"state": JobState.PROCESSING, "attempt": job.attempt + 1, "start_ms": job.version + 1}
        elif step == "progress" and running:
            changes = {"progress": Progress(percent=job.version % 100, update_ms=job.version + 1)}
        elif step == "retry" and running:
            changes = {"state": JobState.SCHEDULED}
        elif step == "due" and job.state is JobState.SCHEDULED:
            changes = {"state": JobState.QUEUED}
        elif step == "cancel" and running and job.cancel is None:
            changes = {"cancel": CancelStatus(request_ms=job.version + 1)}
        elif step == "complete" and running:
            changes = {"state": JobState.COMPLETED}
        if changes:
            job = replace(job, version=job.version + 1, **changes)  # type: ignore[arg-type]
            records.append(job)
    return records


def events(parts: list[bytes]) -> list[pb.StreamEvent]:
    return list(pb.StreamProgressResponse.FromString(b"".join(parts)).events)


class Watcher:
    """Knows what it is told, as a client does: older versions are dropped."""

    def __init__(self) -> None:
        self.version, self.state, self.percent = 1, common_pb2.JOB_STATE_QUEUED, 0.0
        self.moves: list[int] = []

    def take(self, event: pb.StreamEvent) -> None:
        which = event.WhichOneof("event")
        if which == "snapshot":
            [job] = event.snapshot.jobs
            assert job.version > self.version
            self.version, self.state, self.percent = job.version, job.state, job.progress.percent
        elif which == "progress":
            assert event.progress.version > self.version
            self.version, self.percent = event.progress.version, event.progress.progress.percent
        else:
            change = event.state_change
            assert change.version > self.version
            assert change.previous_state == self.state
            self.version, self.state = change.version, change.state
            self.moves.append(change.state)


@given(steps=steps, looks=st.data())
def test_watcher_is_brought_up_to_date_with_growing_versions(steps: list[str], looks: st.DataObject) -> None:
    records = live(steps)
    track, told, watcher = JobTrack("j", WRITER), Told(), Watcher()
    track.take(FIRST)
    told.take(FIRST)

    for record in records[1:]:
        track.hear(record.version, record.state)
        if record is records[-1] or looks.draw(st.booleans()):
            track.take(record)
            for event in events(job_news(track, told)):
                watcher.take(event)

    last = records[-1]
    assert common_pb2.JobState.Name(watcher.state) == f"JOB_STATE_{last.state.upper()}"
    assert told.version == last.version
    if last.state is JobState.PROCESSING and last.progress and last.progress.update_ms >= last.start_ms:
        assert watcher.percent == last.progress.percent


@given(steps=steps)
def test_watcher_that_looks_at_the_end_only_is_told_every_move(steps: list[str]) -> None:
    records = live(steps)
    track, told, watcher = JobTrack("j", WRITER), Told(), Watcher()
    told.take(FIRST)
    for record in records[1:]:
        track.hear(record.version, record.state)
    track.take(records[-1])

    told_events = events(job_news(track, told))

    for event in told_events:
        watcher.take(event)
    moves = [
        common_pb2.JobState.Value(f"JOB_STATE_{after.state.upper()}")
        for before, after in pairwise(records)
        if after.state is not before.state
    ]
    if not any(event.HasField("snapshot") for event in told_events):
        assert watcher.moves == moves


def test_the_same_news_is_encoded_once_for_all_watchers() -> None:
    track = JobTrack("j", WRITER)
    track.take(replace(FIRST, version=2, state=JobState.PROCESSING, attempt=1))
    first, second = Told(), Told()
    first.take(FIRST)
    second.take(FIRST)

    assert job_news(track, first)[0] is job_news(track, second)[0]


def test_progress_that_is_kept_back_is_told_later() -> None:
    track, told = JobTrack("j", WRITER), Told()
    told.take(FIRST)
    running = replace(
        FIRST, state=JobState.PROCESSING, attempt=1, version=3, progress=Progress(percent=5.0, update_ms=9)
    )
    track.take(running)

    early = events(job_news(track, told, with_progress=False))
    late = events(job_news(track, told))

    assert [event.WhichOneof("event") for event in early] == ["state_change"]
    assert [event.WhichOneof("event") for event in late] == ["progress"]
    assert early[0].state_change.version < late[0].progress.version == 3


def test_end_is_told_although_redis_counts_from_a_lower_version() -> None:
    track, told = JobTrack("j", WRITER), Told()
    told.take(replace(FIRST, version=9, state=JobState.PROCESSING))
    track.take(replace(FIRST, version=7, state=JobState.COMPLETED))

    [event] = events(job_news(track, told))

    assert event.state_change.state == common_pb2.JOB_STATE_COMPLETED


def test_end_before_a_retry_is_not_told_as_the_end_after_it() -> None:
    feed = JobFeed("j", WRITER, lambda feed, urgent: None)
    failed = replace(FIRST, version=5, state=JobState.FAILED)
    feed.take_full(failed)
    feed.track.take(failed)
    assert feed.final is not None

    feed.track.take(replace(FIRST, version=6))

    assert feed.final is None
    assert not feed.ended
