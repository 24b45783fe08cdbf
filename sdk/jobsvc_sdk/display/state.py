"""What a view shows, computed from values and a clock alone: no widget, no HTML, no thread.

Every text in a view is one clean line (see `wording`), but it is *not* escaped: whoever writes markup escapes it.
Two views that are equal look the same, so a painter can skip the second one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from jobsvc_sdk.values import TERMINAL_STATES

from . import wording

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobsvc_sdk.values import BatchStatus, ErrorValue, FailureValue, JobStatus

WAITING = ("queued", "scheduled", "blocked")
COUNT_ORDER = ("completed", "processing", *WAITING, "failed", "cancelled")
BAR_ORDER = ("completed", "processing", "failed", "cancelled")

TITLE_LIMIT = 120
LINE_LIMIT = 300
TRACEBACK_LIMIT = 20_000
SHOWN_FAILURES = 5
# What is foretold from the first moments of a job is nonsense.
_FIRST_GUESS_S = 1.5


@dataclass(frozen=True, slots=True)
class Segment:
    """A coloured part of a bar: the state it stands for and its width in percent of the whole bar."""

    state: str
    width: float


@dataclass(frozen=True, slots=True)
class FailureLine:
    """One failed job of a batch, in one line."""

    job_id: str
    title: str
    error: str


@dataclass(frozen=True, slots=True)
class JobView:
    """One job, ready to be shown.

    Attributes:
        state: The state word.
        percent: 0 to 100, or None while the job cannot tell.
        step: What the job is doing, or was doing when it stopped; may be empty.
        times: ``12 s elapsed``, ``took 3.1 s``, ``waiting 4 s``; may be empty.
        left: ``about 14 s left``; empty when unknown or over.
        attempt: ``attempt 2 of 3``; empty for a first attempt.
        error: Last line of the error; empty unless the job failed.
        traceback: The worker's traceback; may be empty.
        ended: Local date and time of the end; empty while it runs.
        note: What the display itself has to say, for example ``reconnecting``.
    """

    id: str
    title: str
    state: str
    percent: float | None
    segments: tuple[Segment, ...]
    step: str
    times: str
    left: str
    attempt: str
    error: str
    traceback: str
    ended: str
    note: str

    @property
    def terminal(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in TERMINAL_STATES

    @property
    def way_back(self) -> str:
        """The code that finds this job again from a fresh kernel."""
        return f'client.job("{self.id}")'


@dataclass(frozen=True, slots=True)
class BatchView:
    """One batch, ready to be shown; fields that `JobView` has too mean the same.

    Attributes:
        state: The word for the whole: see `batch_word`.
        done: Jobs that have ended, in whatever way.
        total: All jobs.
        counts: Pairs of state word and count, without the empty ones, in the order they are read.
        rate: ``1.9 jobs/s``; empty before the first job ended.
        failures: The newest failures, at most five.
        more_failures: Failures beyond those.
    """

    id: str
    title: str
    state: str
    finished: bool
    percent: float
    done: int
    total: int
    segments: tuple[Segment, ...]
    counts: tuple[tuple[str, int], ...]
    step: str
    times: str
    left: str
    rate: str
    failures: tuple[FailureLine, ...]
    more_failures: int
    ended: str
    note: str

    @property
    def terminal(self) -> bool:
        """Whether nothing will change any more."""
        return self.finished

    @property
    def way_back(self) -> str:
        """The code that finds this batch again from a fresh kernel."""
        return f'client.batch("{self.id}")'


View: TypeAlias = JobView | BatchView


def job_view(status: JobStatus, now: datetime, note: str = "") -> JobView:
    """Compute what to show of a job.

    Args:
        status: The newest that is known of it.
        now: An aware clock reading; a clock that lags behind the server's never shows negative times.
        note: What the display has to say about itself.
    """
    percent = 100.0 if status.state == "completed" else _clamp(status.percent)
    word = "stopping" if status.cancel_requested and status.state == "processing" else ""
    return JobView(
        id=wording.one_line(status.id, TITLE_LIMIT),
        title=wording.one_line(status.title or status.job_type, TITLE_LIMIT) or "job",
        state=status.state,
        percent=percent,
        segments=_job_segments(status.state, percent),
        step=_step(status),
        times=_times(
            status.state in TERMINAL_STATES, status.create_time, status.start_time, status.end_time, now
        ),
        left="" if status.state != "processing" or word else _left(_job_seconds_left(status, now)),
        attempt=_attempt(status),
        error=error_line(status.error) if status.state == "failed" else "",
        traceback=wording.block(status.error.stack_trace, TRACEBACK_LIMIT)
        if status.error and status.state == "failed"
        else "",
        ended=_ended(status.end_time) if status.state in TERMINAL_STATES else "",
        note="" if status.terminal else wording.one_line(note or word, LINE_LIMIT),
    )


def batch_view(status: BatchStatus, now: datetime, note: str = "") -> BatchView:
    """Compute what to show of a batch; the arguments are those of `job_view`."""
    counts = {word: max(0, status.counts.get(word, 0)) for word in COUNT_ORDER}
    total = max(status.total, sum(counts.values()))
    done = sum(counts[word] for word in TERMINAL_STATES)
    finished = total > 0 and done == total
    seconds = _seconds_between(status.start_time, status.end_time if finished else now) or 0.0
    failures = tuple(_failure_line(failure) for failure in status.failures[:SHOWN_FAILURES])
    return BatchView(
        id=wording.one_line(status.id, TITLE_LIMIT),
        title=wording.one_line(status.title, TITLE_LIMIT) or "batch",
        state=batch_word(counts, finished=finished),
        finished=finished,
        percent=100.0 if finished else _clamp(status.percent) or 0.0,
        done=done,
        total=total,
        segments=tuple(Segment(word, 100 * counts[word] / total) for word in BAR_ORDER if counts[word]),
        counts=tuple((word, counts[word]) for word in COUNT_ORDER if counts[word]),
        step="" if finished else _join(status.running_step, status.running_message),
        times=_times(finished, status.create_time, status.start_time, status.end_time, now),
        left="" if finished else _left(_batch_seconds_left(status, done, total, now)),
        rate=wording.rate(done / seconds, "jobs") if seconds >= 1 else "",
        failures=failures,
        more_failures=max(0, counts["failed"] - len(failures)),
        ended=_ended(status.end_time) if finished else "",
        note="" if finished else wording.one_line(note, LINE_LIMIT),
    )


def batch_word(counts: Mapping[str, int], *, finished: bool) -> str:
    """Give the one word for a whole batch.

    A failure is never hidden: a finished batch with one failed job is ``failed``, however many completed.

    Args:
        counts: Jobs by state word.
        finished: Whether every job has ended.
    """
    if finished:
        return next((word for word in ("failed", "cancelled") if counts[word]), "completed")
    if counts["processing"] or any(counts[word] for word in TERMINAL_STATES):
        return "processing"
    return next((word for word in WAITING if counts[word]), "queued")


def error_line(error: ErrorValue | None) -> str:
    """Say an error in one line, as the last line of a traceback does: ``ValueError: bad row 17``."""
    if error is None:
        return "failed, and the reason is not known"
    kind = wording.one_line(error.type, TITLE_LIMIT).rpartition(".")[2]
    message = wording.one_line(error.message, LINE_LIMIT)
    return ": ".join(part for part in (kind, message) if part) or wording.one_line(error.category, LINE_LIMIT)


def _failure_line(failure: FailureValue) -> FailureLine:
    return FailureLine(
        job_id=wording.one_line(failure.job_id, TITLE_LIMIT),
        title=wording.one_line(failure.title, TITLE_LIMIT),
        error=error_line(failure.error),
    )


def _clamp(percent: float | None) -> float | None:
    # The comparison also catches NaN, which would end up in a style attribute.
    return None if percent is None or not percent >= 0 else min(100.0, float(percent))


def _job_segments(state: str, percent: float | None) -> tuple[Segment, ...]:
    if state in WAITING:
        return ()
    if percent is None:
        return (Segment(state, 100.0),)
    # An end in red or orange must be seen even when it came at the first row.
    return (Segment(state, max(percent, 2.0) if state in TERMINAL_STATES else percent),)


def _step(status: JobStatus) -> str:
    if status.state == "completed":
        return ""
    units = ""
    if status.completed_units is not None:
        of = "" if status.total_units is None else f"/{status.total_units:,}"
        units = f"{status.completed_units:,}{of} {status.unit or ''}"
    return _join(status.step, status.message, units)


def _join(*parts: str | None) -> str:
    return " · ".join(line for line in (wording.one_line(part, LINE_LIMIT) for part in parts) if line)


def _attempt(status: JobStatus) -> str:
    if status.attempt <= 1:
        return ""
    return f"attempt {status.attempt}" + (f" of {status.max_attempts}" if status.max_attempts else "")


def _ended(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else max(0.0, (end - start).total_seconds())


def _times(
    over: bool, created: datetime | None, started: datetime | None, ended: datetime | None, now: datetime
) -> str:
    if over:
        took = _seconds_between(started, ended)
        return "" if took is None else f"took {wording.precise_span(took)}"
    if started is not None:
        return f"{wording.span(_seconds_between(started, now) or 0.0)} elapsed"
    waited = _seconds_between(created, now)
    return "" if waited is None else f"waiting {wording.span(waited)}"


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f"about {wording.calm_span(seconds)} left"


def _seconds_to(estimates: tuple[datetime | None, ...], now: datetime) -> float | None:
    """Give the seconds to the first estimate that has not passed: p90 takes over when p50 is behind us."""
    ahead = (moment for moment in estimates if moment is not None and moment > now)
    return next(((moment - now).total_seconds() for moment in ahead), None)


def _job_seconds_left(status: JobStatus, now: datetime) -> float | None:
    percent, elapsed = _clamp(status.percent), _seconds_between(status.start_time, now) or 0.0
    if elapsed < _FIRST_GUESS_S:
        return None
    if status.finish_p50 is not None:
        return _seconds_to((status.finish_p50, status.finish_p90), now)
    # Without the server's estimate: as fast as so far.
    return elapsed * (100 - percent) / percent if percent is not None and percent >= 2 else None


def _batch_seconds_left(status: BatchStatus, done: int, total: int, now: datetime) -> float | None:
    elapsed = _seconds_between(status.start_time, now) or 0.0
    if elapsed < _FIRST_GUESS_S:
        return None
    if status.finish_p50 is not None:
        return _seconds_to((status.finish_p50, status.finish_p90), now)
    return elapsed * (total - done) / done if done else None
