"""Protobuf messages become values, with every word of the contract known."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from jobsvc_proto.v1 import catalog_service_pb2, common_pb2, job_service_pb2
from jobsvc_sdk import _convert
from jobsvc_sdk.values import STATES, TERMINAL_STATES, BatchStatus, ErrorValue, JobStatus, LogLine


def test_state_names_are_those_of_the_contract() -> None:
    known = {name.removeprefix("JOB_STATE_").lower() for name in common_pb2.JobState.keys()} - {"unspecified"}  # noqa: SIM118

    assert known == set(STATES)
    assert set(STATES) > TERMINAL_STATES


@pytest.mark.parametrize("state", STATES)
def test_job_state_becomes_its_word(state: str) -> None:
    number = common_pb2.JobState.Value(f"JOB_STATE_{state.upper()}")

    status = _convert.job(job_service_pb2.Job(job_id="0-a", state=number), full=False)

    assert status.state == state
    assert status.terminal == (state in TERMINAL_STATES) == status.finished


def test_state_of_a_newer_server_keeps_its_number() -> None:
    assert _convert.state_name(42) == "state_42"


def test_job_without_progress_has_no_numbers() -> None:
    status = _convert.job(job_service_pb2.Job(job_id="0-a"), full=False)

    assert (status.percent, status.completed_units, status.total_units) == (None, None, None)
    assert (status.create_time, status.error, status.max_attempts, status.queue_position) == (None,) * 4


def test_job_with_zero_percent_says_zero() -> None:
    message = job_service_pb2.Job(
        job_id="0-a", progress={"percent": 0, "completed_units": 0, "total_units": 9}
    )

    status = _convert.job(message, full=False)

    assert (status.percent, status.completed_units, status.total_units) == (0.0, 0, 9)


def test_job_keeps_every_field() -> None:
    began = datetime(2026, 3, 1, 12, tzinfo=UTC)
    message = job_service_pb2.Job(
        job_id="0-a",
        spec={
            "job_type": "reports.monthly",
            "title": "March",
            "queue": "reports",
            "arguments": {"json": '{"n": 12345678901234567890}'},
            "retry_policy": {"max_attempts": 3},
        },
        state=common_pb2.JOB_STATE_FAILED,
        version=7,
        batch_id="b0-a",
        attempt_count=2,
        lost_attempt_count=1,
        error={
            "category": common_pb2.JobError.CATEGORY_WORKER_LOST,
            "type": "E",
            "message": "m",
            "code": "C",
        },
        attempts=[{"number": 1, "outcome": common_pb2.Attempt.OUTCOME_LOST}, {"number": 2}],
        cancel={"reason": "too slow"},
    )
    message.start_time.FromDatetime(began)
    message.end_time.FromDatetime(began + timedelta(seconds=90))

    status = _convert.job(message, full=True)

    assert (status.job_type, status.title, status.queue, status.version) == (
        "reports.monthly",
        "March",
        "reports",
        7,
    )
    assert (status.attempt, status.lost_attempts, status.max_attempts) == (2, 1, 3)
    assert status.start_time == began
    assert status.duration == timedelta(seconds=90)
    assert status.error == ErrorValue("worker_lost", "E", "m", code="C")
    assert [attempt.outcome for attempt in status.attempts] == ["lost", "running"]
    assert (status.cancel_requested, status.cancel_reason) == (True, "too slow")
    assert status.arguments_json == '{"n": 12345678901234567890}'
    assert status.full


def test_batch_counts_every_state() -> None:
    message = job_service_pb2.BatchProgress(
        batch_id="b0-a",
        total=6,
        completed=1,
        failed=1,
        processing=2,
        queued=2,
        percent=33.3,
        running_example={"job_id": "b0-a.3", "progress": {"step": "load", "message": "row 5"}},
        recent_failures=[
            {"job_id": "b0-a.1", "title": "x=1", "error": {"type": "ValueError", "message": "bad\nrow"}}
        ],
    )

    status = _convert.batch(message)

    assert set(status.counts) == set(STATES)
    assert sum(status.counts.values()) == status.total == 6
    assert (status.finished, status.terminal) == (2, False)
    assert (status.running_job_id, status.running_step, status.running_message) == ("b0-a.3", "load", "row 5")
    assert status.failures[0].error is not None
    assert status.failures[0].error.summary == "ValueError: bad"


def test_batch_is_terminal_when_all_jobs_have_ended() -> None:
    counts = {"completed": 2, "failed": 1, "cancelled": 1}

    assert BatchStatus("b0-a", counts=counts, total=4).terminal
    assert not BatchStatus("b0-a", counts=counts, total=5).terminal


def test_error_summary_falls_back_on_the_category() -> None:
    assert ErrorValue("timeout").summary == "timeout"
    assert ErrorValue("application", "builtins.KeyError", "").summary == "KeyError"
    assert ErrorValue("application", "a.b.Error", "one\ntwo").summary == "a.b.Error: one"


def test_log_line_shows_time_and_unusual_levels() -> None:
    moment = datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC)
    message = job_service_pb2.LogLine(line_number=3, text="hm", level=job_service_pb2.LogLine.LEVEL_WARNING)
    message.log_time.FromDatetime(moment)

    line = _convert.log_line(message)

    assert (line.number, line.level) == (3, "warning")
    assert str(line) == f"{moment.astimezone():%H:%M:%S} WARNING hm"
    assert str(LogLine(1, None, "info", "plain")) == "--:--:-- plain"


def test_queue_numbers_use_the_words_for_states() -> None:
    message = job_service_pb2.QueueStats(queue="q", waiting=1, active=2, delayed=3, blocked=4, total=10)
    message.oldest_waiting_age.FromTimedelta(timedelta(seconds=5))

    value = _convert.queue(message)

    assert (value.queued, value.processing, value.scheduled, value.blocked, value.total) == (1, 2, 3, 4, 10)
    assert (value.oldest_waiting, value.wait_p50) == (timedelta(seconds=5), None)


def test_job_type_takes_the_first_line_as_summary() -> None:
    message = catalog_service_pb2.JobType(
        name="a.b", description="Do it.\n\nMore.", retry_policy={"max_attempts": 2}
    )

    value = _convert.job_type(message)

    assert (value.summary, value.max_attempts, value.timeout) == ("Do it.", 2, None)


@pytest.mark.parametrize("kind", [JobStatus, BatchStatus, ErrorValue, LogLine])
def test_values_cannot_be_changed(kind: type) -> None:
    assert dataclasses.fields(kind)
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert not hasattr(kind("1", 1, "", "") if kind is LogLine else kind("x"), "__dict__")
