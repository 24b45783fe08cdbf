"""What the command line prints."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from jobsvc.cli import render
from jobsvc_sdk.values import AttemptValue, ErrorValue, JobStatus, LogLine, QueueValue

NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("NO_COLOR", "1")


def test_jobs_show_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    render.jobs(
        [
            JobStatus(
                "0-a",
                job_type="a.fit",
                queue="fits",
                state="processing",
                percent=41.6,
                attempt=2,
                step="load",
                create_time=datetime.now(UTC) - timedelta(hours=3, minutes=20, seconds=9),
            ),
            JobStatus(
                "0-b",
                job_type="a.fit",
                queue="fits",
                state="failed",
                error=ErrorValue(type="ValueError", message="bad row 17\nmore"),
            ),
        ]
    )

    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split() == ["id", "type", "queue", "state", "progress", "attempt", "age", "what"]
    assert first.split()[:7] == ["0-a", "a.fit", "fits", "processing", "42", "%", "2"]
    assert first.rstrip().endswith("3 h 20 min  load")
    assert "ValueError: bad row 17" in second
    assert "more" not in second


def test_jobs_say_when_there_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    render.jobs([])

    assert capsys.readouterr().out == "no such jobs\n"


def test_job_shows_attempts_error_log_and_result(capsys: pytest.CaptureFixture[str]) -> None:
    error = ErrorValue(
        type="ValueError", message="bad row", stack_trace="Traceback ...\nValueError: bad row\n", code="BAD"
    )
    status = JobStatus(
        "0-a",
        job_type="a.fit",
        state="failed",
        attempt=2,
        max_attempts=2,
        lost_attempts=1,
        error=error,
        start_time=NOW - timedelta(seconds=1.5),
        end_time=NOW,
        arguments_json='{"x": 1}',
        result_json='{"partial":[1]}',
        attempts=(
            AttemptValue(1, "", NOW, NOW, "retried", error, timedelta(seconds=30)),
            AttemptValue(2, outcome="failed", error=error, start_time=NOW, end_time=NOW),
        ),
    )

    render.job(status, [LogLine(1, NOW, "warning", "row 17 looks odd")])

    shown = capsys.readouterr().out
    for line in (
        "2 of 2, 1 lost with their workers",
        "took       1.5 s",
        '{"x": 1}',
        "0.0 s  [BAD]  ValueError: bad row  next after 30 s",
        "application [BAD]",
        "Traceback ...",
        "WARNING row 17 looks odd",
        '  "partial": [',
    ):
        assert line in shown


def test_job_that_waits_for_its_next_attempt_says_until_when(capsys: pytest.CaptureFixture[str]) -> None:
    soon = datetime.now(UTC) - timedelta(seconds=10)
    attempt = AttemptValue(
        1, "", soon, soon, "retried", ErrorValue(code="RATE_LIMITED"), timedelta(minutes=5)
    )

    due = attempt.next_time
    render.job(
        JobStatus("0-a", state="scheduled", attempt=1, snoozes=3, attempts=(attempt,), due_time=due), []
    )

    shown = capsys.readouterr().out
    assert "due      next attempt " in shown
    assert ", in 4 min" in shown
    assert "1, and 3 snoozes" in shown
    assert "[RATE_LIMITED]  application  next after 5 min 0 s" in shown


def test_text_from_jobs_is_neither_markup_nor_control_code(capsys: pytest.CaptureFixture[str]) -> None:
    render.job(JobStatus("0-a", title="[red]x[/red] :smile: \x1b[2J\x07", message="[link=http://x]y"), [])

    shown = capsys.readouterr().out
    assert "[red]x[/red] :smile:" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_stats_show_rates_and_times_with_their_units(capsys: pytest.CaptureFixture[str]) -> None:
    busy = QueueValue(
        "reports",
        queued=3,
        per_second=12.345,
        failure_ratio=0.25,
        wait_p50=timedelta(0),
        wait_p95=timedelta(milliseconds=12),
        run_p50=timedelta(seconds=5),
        run_p95=timedelta(minutes=20),
    )

    render.stats([busy, QueueValue("idle")])

    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split("  ")[0] == "queue"
    assert first.split() == [
        "reports",
        "3",
        "0",
        "12.3",
        "25.0%",
        "0",
        "ms",
        "12",
        "ms",
        "5",
        "s",
        "20",
        "min",
    ]
    assert second.split() == ["idle", "0", "0", "0"]


def test_queues_show_counts_by_state(capsys: pytest.CaptureFixture[str]) -> None:
    render.queues([QueueValue("reports", queued=3, completed=12, paused=True)])

    header, line = capsys.readouterr().out.splitlines()
    assert header.split() == [
        "queue",
        "blocked",
        "scheduled",
        "queued",
        "processing",
        "completed",
        "failed",
        "cancelled",
    ]
    assert line.split() == ["reports", "(paused)", "0", "0", "3", "0", "12", "0", "0"]


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(seconds=-1), "0.0 s"),
        (timedelta(seconds=9.94), "9.9 s"),
        (timedelta(seconds=42.4), "42 s"),
        (timedelta(minutes=59, seconds=59.6), "1 h 0 min"),
        (timedelta(hours=23, minutes=5), "23 h 5 min"),
        (timedelta(days=2, hours=5), "2 d 5 h"),
    ],
)
def test_span_is_said_in_at_most_two_units(span: timedelta, text: str) -> None:
    assert render._span(span) == text
