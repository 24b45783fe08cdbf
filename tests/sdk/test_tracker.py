"""What a message of a stream adds to what is known: never backwards, and the end only with its result."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from jobsvc_proto.v1 import common_pb2
from jobsvc_proto.v1 import job_service_pb2 as pb
from jobsvc_sdk._tracker import Key, Tracker, newest
from jobsvc_sdk.values import BatchStatus, JobStatus

JOB: Key = ("job", "0-a")
BATCH: Key = ("batch", "b0-a")
QUEUED, PROCESSING, COMPLETED, FAILED = (
    common_pb2.JOB_STATE_QUEUED,
    common_pb2.JOB_STATE_PROCESSING,
    common_pb2.JOB_STATE_COMPLETED,
    common_pb2.JOB_STATE_FAILED,
)


def message(*events: dict[str, Any]) -> pb.StreamProgressResponse:
    return pb.StreamProgressResponse(events=[pb.StreamEvent(**event) for event in events])


def snapshot(**changes: Any) -> dict[str, Any]:
    return {
        "snapshot": pb.Snapshot(jobs=[pb.Job(**{"job_id": "0-a", "state": QUEUED, "version": 1, **changes})])
    }


def progress(version: int, percent: float) -> dict[str, Any]:
    return {"progress": pb.ProgressUpdate(job_id="0-a", version=version, progress={"percent": percent})}


def move(version: int, state: int, **changes: Any) -> dict[str, Any]:
    return {"state_change": pb.StateChange(job_id="0-a", version=version, state=state, **changes)}


def job_of(tracker: Tracker) -> JobStatus:
    status = tracker.get(JOB)
    assert isinstance(status, JobStatus)
    return status


def test_snapshot_then_changes_tell_the_whole_story() -> None:
    tracker = Tracker()

    tracker.apply(message(snapshot(spec={"job_type": "a.b"})), {JOB})
    tracker.apply(message(move(2, PROCESSING, attempt=1)), {JOB})
    news = tracker.apply(message(progress(3, 46)), {JOB})

    status = job_of(tracker)
    assert (status.job_type, status.state, status.attempt, status.percent) == ("a.b", "processing", 1, 46.0)
    assert status.start_time is not None
    assert news.statuses == {JOB: status}


def test_new_attempt_starts_with_no_progress() -> None:
    tracker = Tracker()

    tracker.apply(
        message(snapshot(state=PROCESSING, attempt_count=1, progress={"percent": 80, "step": "x"})), {JOB}
    )
    tracker.apply(message(move(2, QUEUED, attempt=1), move(3, PROCESSING, attempt=2)), {JOB})

    assert (job_of(tracker).percent, job_of(tracker).step, job_of(tracker).attempt) == (None, "", 2)


def test_older_news_changes_nothing() -> None:
    tracker = Tracker()
    tracker.apply(message(snapshot(version=5, state=PROCESSING)), {JOB})

    news = tracker.apply(message(snapshot(version=4), progress(5, 9), move(3, QUEUED)), {JOB})

    assert news.statuses == {}
    assert (job_of(tracker).version, job_of(tracker).state) == (5, "processing")


def test_news_without_a_base_is_a_gap() -> None:
    news = Tracker().apply(message(progress(3, 9), move(4, PROCESSING)), {JOB})

    assert news.gaps == {"0-a"}
    assert news.statuses == {}


def test_end_of_a_watched_job_counts_with_its_result() -> None:
    tracker = Tracker()
    tracker.apply(message(snapshot()), {JOB})

    early = tracker.apply(message(move(2, COMPLETED)), {JOB})
    known_before = tracker.version(JOB)
    last = tracker.apply(
        message(
            {
                "completed": pb.Completed(
                    job=pb.Job(job_id="0-a", state=COMPLETED, version=2, result={"json": "5"})
                )
            }
        ),
        {JOB},
    )

    assert (early.statuses, early.ended, known_before) == ({}, set(), 1)
    assert last.ended == {JOB}
    assert (job_of(tracker).result_json, job_of(tracker).full) == ("5", True)


def test_end_that_was_known_before_is_told_again_when_it_completes() -> None:
    tracker = Tracker()
    full = JobStatus("0-a", state="completed", version=2, result_json="5", full=True)
    tracker.learn(full)

    news = tracker.apply(
        message(
            {
                "completed": pb.Completed(
                    job=pb.Job(job_id="0-a", state=COMPLETED, version=2, result={"json": "5"})
                )
            }
        ),
        {JOB},
    )

    assert news.ended == {JOB}
    assert JOB in news.statuses


def test_end_counts_even_when_redis_lost_its_last_second() -> None:
    tracker = Tracker()
    tracker.apply(message(snapshot(version=7, state=PROCESSING)), {JOB})

    news = tracker.apply(
        message(
            {
                "completed": pb.Completed(
                    job=pb.Job(job_id="0-a", state=COMPLETED, version=4, result={"json": "5"})
                )
            }
        ),
        {JOB},
    )

    assert news.ended == {JOB}
    assert (job_of(tracker).state, job_of(tracker).version) == ("completed", 7)


def test_end_of_a_job_of_a_watched_batch_needs_no_more() -> None:
    tracker = Tracker()
    tracker.apply(message(snapshot(batch_id="b0-a")), {BATCH})

    news = tracker.apply(message(move(2, FAILED, error={"type": "ValueError", "message": "bad"})), {BATCH})

    status = news.statuses[JOB]
    assert isinstance(status, JobStatus)
    assert status.error is not None
    assert (status.state, status.error.summary, status.full) == ("failed", "ValueError: bad", False)
    assert status.end_time is not None


def test_batch_moves_forward_and_ends_with_its_completion() -> None:
    tracker = Tracker()
    counts = pb.BatchProgress(batch_id="b0-a", total=2, processing=2, version=3)
    done = pb.BatchProgress(batch_id="b0-a", total=2, completed=2, version=5)

    first = tracker.apply(message({"snapshot": pb.Snapshot(batches=[counts])}), {BATCH})
    old = tracker.apply(
        message({"batch": pb.BatchProgress(batch_id="b0-a", total=2, queued=2, version=2)}), {BATCH}
    )
    almost = tracker.apply(message({"batch": done}), {BATCH})
    last = tracker.apply(message({"completed": pb.Completed(batch=done)}), {BATCH})

    assert isinstance(first.statuses[BATCH], BatchStatus)
    assert old.statuses == almost.statuses == {}
    assert last.ended == {BATCH}
    assert last.statuses[BATCH].terminal


def test_ids_that_do_not_exist_and_reconnects_are_passed_on() -> None:
    event = pb.StreamEvent(snapshot=pb.Snapshot(missing_ids=["0-x"]))
    again = pb.StreamEvent(reconnect={"after": {"seconds": 2}})

    news = Tracker().apply(pb.StreamProgressResponse(events=[event, again]), ())

    assert (news.missing, news.reconnect_after_s) == (["0-x"], 2.0)


def test_heartbeats_and_unknown_events_tell_nothing() -> None:
    news = Tracker().apply(message({"heartbeat": pb.Heartbeat()}, {}), ())

    assert (news.statuses, news.gaps, news.ended) == ({}, set(), set())


def test_jobs_of_a_batch_are_forgotten_with_it() -> None:
    tracker = Tracker()
    tracker.apply(message(snapshot(batch_id="b0-a")), {BATCH})

    tracker.forget_jobs_of("b0-a")

    assert tracker.get(JOB) is None


def test_newest_keeps_details_that_only_the_older_one_has() -> None:
    known = JobStatus("0-a", version=1, arguments_json="{}", full=True)

    later = newest(known, JobStatus("0-a", version=2, state="processing"))

    assert (later.state, later.arguments_json, later.full) == ("processing", "{}", False)
    assert newest(known, JobStatus("0-a", version=1)) is known


STATUSES = st.builds(
    JobStatus,
    id=st.just("0-a"),
    version=st.integers(1, 6),
    state=st.sampled_from(["queued", "processing", "completed"]),
    full=st.booleans(),
)
EVENTS = st.one_of(
    st.builds(progress, st.integers(1, 9), st.floats(0, 100)),
    st.builds(move, st.integers(1, 9), st.sampled_from([QUEUED, PROCESSING, FAILED])),
    st.builds(lambda version: snapshot(version=version), st.integers(1, 9)),
)


@settings(deadline=None)
@given(st.lists(st.one_of(STATUSES, EVENTS), max_size=12), st.booleans())
def test_versions_never_go_backwards_whatever_the_order(history: list[Any], direct: bool) -> None:
    tracker = Tracker()
    seen = 0

    for item in history:
        if isinstance(item, JobStatus):
            tracker.learn(item)
        else:
            news = tracker.apply(message(item), {JOB} if direct else ())
            assert all(status.version >= seen for status in news.statuses.values())
        assert tracker.version(JOB) >= seen
        seen = tracker.version(JOB)


def test_job_of_a_batch_that_is_queued_again_has_no_end() -> None:
    tracker = Tracker()
    tracker.apply(message(snapshot()), {BATCH})
    tracker.apply(message(move(2, PROCESSING, attempt=1)), {BATCH})
    tracker.apply(message(move(3, FAILED, attempt=1)), {BATCH})
    assert job_of(tracker).end_time is not None

    tracker.apply(message(move(4, QUEUED, attempt=1)), {BATCH})

    assert (job_of(tracker).state, job_of(tracker).end_time) == ("queued", None)
