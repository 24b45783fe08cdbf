"""Estimates of the end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobsvc.model.job import Batch, Job, Priority, Progress
from jobsvc.model.lifecycle import JobState
from jobsvc.rpc.estimate import batch_finish, job_finish

START = 1_700_000_000_000


def running(percent: float | None, spent_ms: int) -> Job:
    return Job(
        id="a",
        type="t",
        queue="q",
        state=JobState.PROCESSING,
        version=3,
        priority=Priority.LOW,
        create_ms=START,
        start_ms=START,
        progress=Progress(percent=percent, update_ms=START + spent_ms),
    )


def batch(**counts: int) -> Batch:
    return Batch(
        id="b",
        version=1,
        counts={state: counts.get(state.value, 0) for state in JobState},
        size=sum(counts.values()),
        create_ms=START,
        start_ms=START,
    )


@given(percent=st.floats(), spent_ms=st.integers(-1, 10**12))
def test_job_ends_after_its_last_report_and_the_safe_guess_is_later(percent: float, spent_ms: int) -> None:
    finish = job_finish(running(percent, spent_ms))

    if finish is not None:
        assert START + spent_ms <= finish.p50_ms <= finish.p90_ms


def test_job_that_is_half_done_takes_as_long_again() -> None:
    finish = job_finish(running(50.0, 60_000))

    assert finish is not None
    assert finish.p50_ms == START + 120_000
    assert finish.p90_ms == START + 150_000


def test_job_without_percentage_has_no_estimate() -> None:
    assert job_finish(running(None, 60_000)) is None
    assert job_finish(running(0.0, 60_000)) is None


@given(
    completed=st.integers(0, 10_000),
    failed=st.integers(0, 10_000),
    queued=st.integers(0, 10_000),
    spent_ms=st.integers(1, 10**9),
)
def test_batch_ends_in_the_future_and_the_safe_guess_is_later(
    completed: int, failed: int, queued: int, spent_ms: int
) -> None:
    finish = batch_finish(batch(completed=completed, failed=failed, queued=queued), START + spent_ms)

    if not (completed + failed) or not queued:
        assert finish is None
    elif finish is not None:
        assert START + spent_ms <= finish.p50_ms <= finish.p90_ms


def test_batch_goes_on_at_its_rate() -> None:
    finish = batch_finish(batch(completed=100, queued=300), START + 10_000)

    assert finish is not None
    assert finish.p50_ms == START + 40_000
    assert 40_000 < finish.p90_ms - START < 50_000
