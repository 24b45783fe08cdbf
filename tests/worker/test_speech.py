"""What running handlers say: progress and log lines, whole and in order."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from jobsvc import current_job, track
from jobsvc.model.job import Job, Progress
from jobsvc.model.lifecycle import JobState
from jobsvc.store.calls import MAX_LOG_LINES
from jobsvc.worker.context import Cancelled, JobContext, Level, TimeLimitExceeded, enter
from tests.waiting import until
from tests.worker.rig import Rig

BOTH = pytest.mark.parametrize("job_type", ["test.do", "test.do_in_thread"])


@BOTH
def test_last_progress_is_kept_however_fast_the_end_follows(shared: Rig, job_type: str) -> None:
    for number in range(10):
        job_id = shared.submit(["report_often", 1_000 + number], job_type=job_type)

        progress = shared.wait(job_id).progress

        assert progress is not None
        assert (progress.completed_units, progress.total_units) == (1_000 + number,) * 2
        assert (progress.percent, progress.message) == (100.0, f"number {1_000 + number}")


@BOTH
def test_progress_of_a_busy_handler_is_coalesced(shared: Rig, job_type: str) -> None:
    job_id = shared.submit(["report_often", 100_000], job_type=job_type)

    job = shared.wait(job_id)

    # a version per report that was written: a handful, not a hundred thousand
    seconds = (job.end_ms - job.start_ms) / 1_000
    assert job.version < 10 + 25 * seconds


@BOTH
def test_progress_arrives_while_the_handler_works_without_reporting_again(shared: Rig, job_type: str) -> None:
    gate = f"quiet-{job_type}"
    steps = (["report", {"step": "first"}], ["report", {"step": "second"}], ["await_deaf", shared.path(gate)])
    job_id = shared.submit(*steps, job_type=job_type)

    def second() -> bool:
        progress = shared.job(job_id).progress
        return progress is not None and progress.step == "second"

    until(second)
    shared.open_gate(gate)
    shared.wait(job_id)


def test_what_is_not_reported_keeps_its_value(shared: Rig) -> None:
    job_id = shared.submit(
        ["report", {"percent": 10, "step": "load", "message": "one"}],
        ["report", {"message": "two", "completed": 3, "total": 4, "unit": "rows"}],
        ["report", {"step": "fit \U0001f600"}],
    )

    progress = shared.wait(job_id).progress

    assert progress is not None
    assert (progress.percent, progress.step, progress.message) == (75.0, "fit \U0001f600", "two")
    assert (progress.completed_units, progress.total_units, progress.unit) == (3, 4, "rows")


def test_track_reports_by_itself(shared: Rig) -> None:
    job_id = shared.submit(["track", 40])

    assert shared.result(job_id) == 40
    progress = shared.job(job_id).progress
    assert progress is not None
    assert (progress.percent, progress.step, progress.unit) == (100.0, "tracking", "items")
    assert (progress.completed_units, progress.total_units) == (40, 40)


@BOTH
def test_log_lines_are_whole_and_in_order(shared: Rig, job_type: str) -> None:
    job_id = shared.submit(["logs", 900], ["log", "the last \U0001f600", "error"], job_type=job_type)

    shared.wait(job_id)

    lines = shared.lines(job_id)
    assert [line["text"] for line in lines] == [
        *(f"line {number}" for number in range(1, 901)),
        "the last \U0001f600",
    ]
    assert {line["attempt"] for line in lines} == {1}
    assert (lines[0]["level"], lines[-1]["level"]) == ("info", "error")
    assert [line["time_ms"] for line in lines] == sorted(line["time_ms"] for line in lines)


@BOTH
def test_of_many_log_lines_the_newest_are_kept(shared: Rig, job_type: str) -> None:
    job_id = shared.submit(["logs", 10_000], job_type=job_type)

    shared.wait(job_id)

    texts = [line["text"] for line in shared.lines(job_id)]
    assert texts == [f"line {number}" for number in range(10_001 - MAX_LOG_LINES, 10_001)]
    assert int(shared.redis.hget(shared.store.keys.job(job_id), "log_lines")) == 10_000


def test_log_lines_of_all_attempts_follow_each_other(shared: Rig) -> None:
    job_id = shared.submit(["logs", 3], ["fail", "x", 3])

    shared.wait(job_id)

    lines = [(line["attempt"], line["text"]) for line in shared.lines(job_id)]
    assert lines == [(attempt, f"line {number}") for attempt in (1, 2, 3) for number in (1, 2, 3)]


def test_lines_written_before_a_crash_are_kept(shared: Rig) -> None:
    job_id = shared.submit(["logs", 50], ["crash"], max_attempts=1)

    assert shared.wait(job_id).state is JobState.FAILED
    assert len(shared.lines(job_id)) == 50


@BOTH
def test_threads_that_a_handler_left_behind_do_not_speak_for_the_next_job(shared: Rig, job_type: str) -> None:
    haunting = shared.submit(["haunt"], job_type=job_type)
    shared.wait(haunting)
    lines = len(shared.lines(haunting))

    ids = [
        shared.submit(["sleep", 0.01], ["ok", number], job_type=job_type, max_attempts=1)
        for number in range(60)
    ]

    assert [shared.result(job_id) for job_id in ids] == list(range(60))
    assert [shared.job(job_id).progress for job_id in ids] == [None] * 60
    assert [shared.lines(job_id) for job_id in ids] == [[]] * 60
    assert len(shared.lines(haunting)) == lines


def test_watchers_are_told_of_every_version(shared: Rig) -> None:
    """What is published is never older than what was published before, and the end is last."""
    listener = shared.redis.pubsub(ignore_subscribe_messages=True)
    listener.subscribe(shared.store.keys.watch("watched"))
    listener.get_message(timeout=5)
    shared.submit(["progress", 0.5], ["logs", 3], ["fail", "x", 2], id="watched")
    told: list[tuple[int, str]] = []
    deadline = time.monotonic() + 20
    while (not told or told[-1][1] != "completed") and time.monotonic() < deadline:
        message = listener.get_message(timeout=1)
        if message is not None:
            _, version, state = message["data"].split()
            told.append((int(version), state))
    listener.close()

    versions = [version for version, _ in told]
    assert versions == list(range(1, versions[-1] + 1))
    assert told[-1] == (shared.job("watched").version, "completed")


# -- the context alone -----------------------------------------------------------------------------------------------


class Recorder:
    """A voice that keeps what it hears."""

    def __init__(self) -> None:
        self.reports: list[Progress] = []
        self.lines: list[tuple[str, str]] = []
        self.why: Any = ""

    def progress(self, progress: Progress) -> None:
        self.reports.append(progress)

    def log(self, level: Level, text: str) -> None:
        self.lines.append((level, text))

    def told_to_stop(self) -> Any:
        return self.why


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def context(recorder: Recorder) -> JobContext:
    return JobContext(job_id="j", job_type="t", attempt=1, max_attempts=3, batch_id="", voice=recorder)


def test_no_job_runs_outside_a_worker() -> None:
    with pytest.raises(RuntimeError, match="no job runs here"):
        current_job()
    assert current_job(default=None) is None


def test_track_works_outside_a_worker() -> None:
    assert list(track(range(3))) == [0, 1, 2]
    assert list(track((n for n in "ab"), total=2, unit="letters", step="s")) == ["a", "b"]


def test_current_job_is_the_one_that_was_entered(context: JobContext) -> None:
    enter(context)
    try:
        assert current_job() is context
        seen: list[Any] = []
        thread = threading.Thread(target=lambda: seen.append(current_job(default=None)))
        thread.start()
        thread.join()
        assert seen == [None]
    finally:
        enter(None)


@pytest.mark.parametrize(
    ("percent", "kept"),
    [(-5, 0.0), (0, 0.0), (50, 50.0), (1e9, 100.0), (float("nan"), 0.0), (float("inf"), 100.0)],
)
def test_percent_stays_within_its_bounds(
    context: JobContext, recorder: Recorder, percent: float, kept: float
) -> None:
    context.progress(percent)

    assert recorder.reports[-1].percent == kept


def test_percent_follows_from_units(context: JobContext, recorder: Recorder) -> None:
    context.progress(completed=1, total=8)
    context.progress(completed=2)
    context.progress(total=0)

    assert [report.percent for report in recorder.reports] == [12.5, 25.0, 25.0]


def test_long_texts_are_cut(context: JobContext, recorder: Recorder) -> None:
    context.progress(message="m" * 10_000, step="s" * 10_000, unit="u" * 10_000)
    context.log("l" * 10_000)

    report = recorder.reports[0]
    assert (len(report.message), len(report.step), len(report.unit)) == (2_000, 2_000, 100)
    assert len(recorder.lines[0][1]) == 2_000


@pytest.mark.parametrize(("why", "error"), [("cancel", Cancelled), ("timeout", TimeLimitExceeded)])
def test_every_report_is_a_checkpoint(
    context: JobContext, recorder: Recorder, why: str, error: type[BaseException]
) -> None:
    context.check()
    recorder.why = why

    assert context.cancelled
    with pytest.raises(error):
        context.check()
    with pytest.raises(error):
        context.progress(1)
    with pytest.raises(error):
        list(context.track(range(3)))
    assert not issubclass(error, Exception)  # what handlers catch by habit must not catch it


def test_track_counts_anew_in_each_loop(context: JobContext, recorder: Recorder) -> None:
    assert list(context.track([1, 2], unit="a")) == [1, 2]
    assert list(context.track(iter("xyz"), step="s")) == ["x", "y", "z"]

    first, last = recorder.reports[0], recorder.reports[-1]
    assert (first.completed_units, first.total_units, first.percent) == (0, 2, 0.0)
    assert (last.completed_units, last.total_units, last.percent, last.step) == (3, None, None, "s")


def test_ended_job_is_silent_and_tells_to_stop(context: JobContext, recorder: Recorder) -> None:
    context.end()

    assert context.cancelled
    with pytest.raises(Cancelled):
        context.progress(5)
    context.log("late")
    assert (recorder.reports, recorder.lines) == ([], [])


def test_job_record_has_the_reported_progress(shared: Rig) -> None:
    job: Job = shared.wait(shared.submit(["report", {"percent": 12.5}]))

    assert job.progress is not None
    assert job.progress.update_ms >= job.start_ms
