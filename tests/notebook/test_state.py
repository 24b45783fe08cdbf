"""What a view says, from values alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobsvc_sdk.display import wording
from jobsvc_sdk.display.state import batch_view, batch_word, job_view
from jobsvc_sdk.values import STATES, ErrorValue
from tests.notebook.fake import NOW, batch, failed_job, job


def test_job_view_says_state_step_and_times() -> None:
    view = job_view(job(message="3/5", finish_p50=NOW + timedelta(seconds=14)), NOW)

    assert (view.state, view.percent, view.step) == ("processing", 46.0, "simulate paths · 3/5")
    assert (view.times, view.left, view.attempt) == ("12 s elapsed", "about 14 s left", "")
    assert view.way_back == 'client.job("0-abcdefghjkmnpqrs")'


def test_job_view_estimates_when_the_server_does_not() -> None:
    assert job_view(job(percent=50.0), NOW).left == "about 12 s left"
    assert job_view(job(percent=None), NOW).left == ""
    assert job_view(job(percent=0.5), NOW).left == ""


def test_job_view_turns_to_p90_when_p50_has_passed() -> None:
    late = job(finish_p50=NOW - timedelta(seconds=1), finish_p90=NOW + timedelta(seconds=20))
    overdue = job(finish_p50=NOW - timedelta(seconds=9), finish_p90=NOW - timedelta(seconds=1))

    assert job_view(late, NOW).left == "about 20 s left"
    assert job_view(overdue, NOW).left == ""


def test_views_do_not_guess_from_the_first_moment() -> None:
    soon, moment = NOW + timedelta(days=7), NOW - timedelta(milliseconds=300)

    assert job_view(job(percent=0.01, start_time=moment, finish_p50=soon), NOW).left == ""
    assert (
        batch_view(replace(batch(completed=1, queued=9), start_time=moment, finish_p50=soon), NOW).left == ""
    )


def test_job_view_counts_units() -> None:
    view = job_view(job(step="", completed_units=1200, total_units=5000, unit="rows"), NOW)

    assert view.step == "1,200/5,000 rows"


def test_job_view_shows_later_attempts_and_waiting() -> None:
    view = job_view(job("queued", attempt=2, percent=None), NOW)

    assert (view.attempt, view.times, view.segments) == ("attempt 2 of 3", "waiting 15 s", ())


def test_job_view_never_counts_backwards_on_a_slow_clock() -> None:
    view = job_view(job(), NOW - timedelta(minutes=5))

    assert view.times == "0 s elapsed"


def test_job_view_of_a_failure_keeps_error_and_traceback() -> None:
    view = job_view(failed_job(), NOW)

    assert view.error == "ValueError: bad row 17"
    assert view.traceback.startswith("Traceback (most recent")
    assert (view.times, view.left, view.segments[0].state) == ("took 12 s", "", "failed")


def test_job_view_of_an_early_failure_still_shows_red() -> None:
    assert job_view(failed_job(percent=0.0), NOW).segments[0].width >= 2
    assert job_view(failed_job(percent=None), NOW).segments[0].width == 100


def test_job_view_says_stopping_after_a_cancel() -> None:
    view = job_view(job(cancel_requested=True, finish_p50=NOW + timedelta(seconds=9)), NOW)

    assert (view.state, view.note, view.left) == ("processing", "stopping", "")


def test_job_view_note_ends_with_the_job() -> None:
    assert job_view(job(), NOW, "reconnecting").note == "reconnecting"
    assert job_view(job("completed"), NOW, "reconnecting").note == ""


@pytest.mark.parametrize("percent", [float("nan"), -3.0])
def test_job_view_takes_a_senseless_percentage_for_none(percent: float) -> None:
    assert job_view(job(percent=percent), NOW).percent is None


def test_batch_view_counts_with_words() -> None:
    view = batch_view(batch(completed=121, processing=8, queued=66, failed=4, cancelled=1, failures=4), NOW)

    assert (view.done, view.total, view.state) == (126, 200, "processing")
    assert view.counts[0] == ("completed", 121)
    assert dict(view.counts) == {"completed": 121, "processing": 8, "queued": 66, "failed": 4, "cancelled": 1}
    assert [segment.state for segment in view.segments] == ["completed", "processing", "failed", "cancelled"]
    assert (view.times, view.left, view.rate) == ("64 s elapsed", "about 38 s left", "2.0 jobs/s")


def test_batch_view_shows_five_failures_and_counts_the_rest() -> None:
    view = batch_view(batch(failed=17, completed=3, failures=5), NOW)

    assert len(view.failures) == 5
    assert view.failures[0].error == "ValueError: bad row 0"
    assert view.more_failures == 12


@pytest.mark.parametrize(
    ("counts", "word"),
    [
        ({"queued": 3}, "queued"),
        ({"scheduled": 3}, "scheduled"),
        ({"queued": 2, "completed": 1}, "processing"),
        ({"completed": 3}, "completed"),
        ({"completed": 3, "cancelled": 1}, "cancelled"),
        ({"completed": 3, "cancelled": 1, "failed": 1}, "failed"),
    ],
)
def test_batch_word_never_hides_a_failure(counts: dict[str, int], word: str) -> None:
    full = {**dict.fromkeys(STATES, 0), **counts}
    waiting = full["queued"] + full["scheduled"]

    assert batch_word(full, finished=not waiting) == word


def test_batch_view_of_nothing_known_yet_is_not_finished() -> None:
    assert not batch_view(batch(), NOW).terminal


@settings(deadline=None)
@given(st.fixed_dictionaries({word: st.integers(0, 500) for word in STATES}))
def test_batch_view_fills_the_bar_once(counts: dict[str, int]) -> None:
    view = batch_view(batch(**counts), NOW)

    assert sum(segment.width for segment in view.segments) <= 100.001
    assert sum(count for _, count in view.counts) == view.total
    assert view.terminal == (view.total > 0 and view.done == view.total)


@settings(deadline=None)
@given(st.text())
def test_remote_text_cannot_leave_its_line(text: str) -> None:
    line = wording.one_line(text, 50)

    assert len(line) <= 50
    assert not any(ord(letter) < 32 or letter in "\x1b\x7f\u202e\u2066\u2028" for letter in line)


@settings(deadline=None)
@given(st.floats(0, 1e7))
def test_durations_never_show_more_than_two_units(seconds: float) -> None:
    for say in (wording.span, wording.precise_span, wording.calm_span):
        assert len(say(seconds).split()) in (2, 4)


def test_durations_read_well() -> None:
    assert [wording.span(s) for s in (0.4, 64, 125, 12000, 90000)] == [
        "0 s", "64 s", "2 min 05 s", "3 h 20 min", "1 d 1 h",
    ]  # fmt: skip
    assert [wording.calm_span(s) for s in (0.2, 38.4, 204, 598, 1500)] == [
        "1 s", "38 s", "3 min 20 s", "10 min 00 s", "25 min",
    ]  # fmt: skip
    assert [wording.rate(r, "jobs") for r in (0, 0.4, 1.94, 1234, 0.001)] == [
        "", "24 jobs/min", "1.9 jobs/s", "1,234 jobs/s", "4 jobs/h",
    ]  # fmt: skip


def test_error_line_falls_back_to_the_category() -> None:
    assert job_view(failed_job(error=ErrorValue(category="worker_lost")), NOW).error == "worker_lost"
    assert "not known" in job_view(failed_job(error=None), NOW).error
