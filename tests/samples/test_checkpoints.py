"""What the sample handlers say while they run, and that they stop when told to."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest

from jobsvc import Cancelled
from jobsvc.model.job import Progress
from jobsvc.samples import analytics
from jobsvc.worker import JobContext
from jobsvc.worker.context import enter

RUNS: dict[str, Callable[[], Any]] = {
    "profile": lambda: analytics.profile("us-employment"),
    "bootstrap_mean": lambda: analytics.bootstrap_mean("cars", "Horsepower", by="Origin", resamples=40_000),
    "forecast": lambda: analytics.forecast(
        "us-employment", "construction", date="month", replicas=2, resolution=24
    ),
}
LONG: dict[str, Callable[[], Any]] = {
    "bootstrap_mean": lambda: analytics.bootstrap_mean("airports", "latitude", resamples=1_000_000),
    "forecast": lambda: analytics.forecast(
        "us-employment", "construction", date="month", replicas=500, resolution=60
    ),
}


class Voice:
    """Keeps what is said and how long the handler works between checkpoints, and tells it to stop after some."""

    def __init__(self) -> None:
        self.said: list[Progress] = []
        self.checkpoints_left = -1
        self.worked_s: list[float] = []
        self._at_s = time.thread_time()

    def progress(self, progress: Progress) -> None:
        self.said.append(progress)

    def log(self, level: str, text: str) -> None:
        raise AssertionError(f"unexpected log line: {text}")

    def told_to_stop(self) -> Literal["", "cancel", "timeout"]:
        before_s, self._at_s = self._at_s, time.thread_time()
        self.worked_s.append(self._at_s - before_s)
        self.checkpoints_left -= 1
        return "cancel" if self.checkpoints_left == 0 else ""


@pytest.fixture
def voice() -> Iterator[Voice]:
    voice = Voice()
    enter(JobContext(job_id="0-a", job_type="x.y", attempt=1, max_attempts=3, batch_id="", voice=voice))
    yield voice
    enter(None)


@pytest.mark.parametrize("name", RUNS)
def test_handlers_report_a_step_and_units_that_only_grow(voice: Voice, name: str) -> None:
    RUNS[name]()

    percents = [progress.percent for progress in voice.said if progress.percent is not None]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    last = voice.said[-1]
    assert last.step
    assert last.unit
    assert last.completed_units == last.total_units


@pytest.mark.parametrize("name", LONG)
def test_handlers_come_to_a_checkpoint_often_and_stop_there(voice: Voice, name: str) -> None:
    voice.checkpoints_left = 50

    with pytest.raises(Cancelled):
        LONG[name]()

    # Work, not time that passes, as other tests run beside this one; well within the grace before a process is killed.
    assert len(voice.worked_s) == 50
    assert max(voice.worked_s) < 0.4
