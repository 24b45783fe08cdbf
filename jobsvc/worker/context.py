"""What a handler can ask and say while it runs: ``current_job()``."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sized
from contextvars import ContextVar
from dataclasses import replace
from typing import Literal, Protocol, TypeVar, overload

from jobsvc.model.job import Progress
from jobsvc.worker.exceptions import Cancelled, TimeLimitExceeded

T = TypeVar("T")
Level = Literal["debug", "info", "warning", "error"]

TRACK_EVERY_S = 0.05
"""``track`` reports at most this often."""

MAX_TEXT_LENGTH = 2_000
"""Longer steps, messages and log lines are cut."""


class Voice(Protocol):
    """Carries what a handler says to the worker, and back what it must know."""

    def progress(self, progress: Progress) -> None:
        """Take the newest progress; must be cheap, callers may be in their innermost loop."""

    def log(self, level: Level, text: str) -> None:
        """Take a log line."""

    def told_to_stop(self) -> Literal["", "cancel", "timeout"]:
        """Whether the job has to stop, and why; must be cheap."""


class _Over:
    """The voice of a job that has ended: says nothing, and tells threads that were left behind to stop."""

    def progress(self, progress: Progress) -> None:
        """Say nothing."""

    def log(self, level: Level, text: str) -> None:
        """Say nothing."""

    def told_to_stop(self) -> Literal["", "cancel", "timeout"]:
        """Tell whoever still works to stop."""
        return "cancel"


_OVER = _Over()


class JobContext:
    """The job that runs now, as its handler sees it.

    Attributes:
        id: Job id.
        job_type: Job type.
        attempt: Number of this attempt, from 1.
        max_attempts: Failed attempts after which the job has failed.
        batch_id: Batch id, or empty.
    """

    def __init__(
        self, *, job_id: str, job_type: str, attempt: int, max_attempts: int, batch_id: str, voice: Voice
    ) -> None:
        self.id = job_id
        self.job_type = job_type
        self.attempt = attempt
        self.max_attempts = max_attempts
        self.batch_id = batch_id
        self._voice: Voice = voice
        self._progress = Progress()

    def end(self) -> None:
        """The attempt has ended: what threads that the handler left behind still say is not heard."""
        self._voice = _OVER

    @property
    def cancelled(self) -> bool:
        """Whether the job has to stop, because somebody cancelled it or its time is up."""
        return bool(self._voice.told_to_stop())

    def check(self) -> None:
        """A checkpoint: stop here if the job has to stop.

        Raises:
            Cancelled: Somebody cancelled the job.
            TimeLimitExceeded: The attempt has used up its time.
        """
        why = self._voice.told_to_stop()
        if why == "cancel":
            raise Cancelled("the job was cancelled")
        if why == "timeout":
            raise TimeLimitExceeded("the attempt has used up its time")

    def progress(
        self,
        percent: float | None = None,
        step: str | None = None,
        message: str | None = None,
        *,
        completed: int | None = None,
        total: int | None = None,
        unit: str | None = None,
    ) -> None:
        """Say how far the work is; also a checkpoint.

        What is not given keeps its last value. Cheap enough for an inner loop: only the newest value travels, a few
        times a second.

        Args:
            percent: 0 to 100; computed from ``completed`` and ``total`` when both are known.
            step: Name of the current step.
            message: A line for people.
            completed: How many units are done.
            total: How many units there are.
            unit: What is counted, e.g. ``"rows"``.

        Raises:
            Cancelled: Somebody cancelled the job.
            TimeLimitExceeded: The attempt has used up its time.
        """
        old = self._progress
        completed = old.completed_units if completed is None else int(completed)
        total = old.total_units if total is None else int(total)
        if percent is None:
            percent = 100.0 * completed / total if completed is not None and total else old.percent
        self._progress = Progress(
            percent=None if percent is None else min(100.0, max(0.0, float(percent))),
            step=old.step if step is None else str(step)[:MAX_TEXT_LENGTH],
            message=old.message if message is None else str(message)[:MAX_TEXT_LENGTH],
            completed_units=completed,
            total_units=total,
            unit=old.unit if unit is None else str(unit)[:100],
        )
        self._voice.progress(self._progress)
        self.check()

    def log(self, text: str, level: Level = "info") -> None:
        """Write a log line that people can read while the job runs and after; the last 1,000 are kept."""
        self._voice.log(level, str(text)[:MAX_TEXT_LENGTH])

    def track(
        self,
        items: Iterable[T],
        total: int | None = None,
        *,
        unit: str | None = None,
        step: str | None = None,
    ) -> Iterator[T]:
        """Go through ``items`` and report how far that is, like ``tqdm``; every item is a checkpoint.

        Args:
            items: What to go through.
            total: How many there are; asked of ``items`` when missing.
            unit: What is counted, e.g. ``"rows"``.
            step: Name of the step.

        Yields:
            The items.
        """
        if total is None and isinstance(items, Sized):
            total = len(items)
        # a new loop starts its own count
        self._progress = replace(self._progress, percent=None, completed_units=None, total_units=None)
        self.progress(step=step, completed=0, total=total, unit=unit)
        reported_at, done = time.monotonic(), 0
        for done, item in enumerate(items, 1):
            yield item
            now = time.monotonic()
            if now - reported_at >= TRACK_EVERY_S:
                reported_at = now
                self.progress(completed=done)
            else:
                self.check()
        self.progress(completed=done)


_current: ContextVar[JobContext | None] = ContextVar("jobsvc_current_job", default=None)


@overload
def current_job() -> JobContext: ...


@overload
def current_job(default: None) -> JobContext | None: ...


def current_job(default: object = ...) -> JobContext | None:
    """The job that runs now.

    Args:
        default: What to return outside a job; without it that is an error.

    Raises:
        RuntimeError: No job runs here, and no default was given.
    """
    context = _current.get()
    if context is None and default is ...:
        raise RuntimeError("no job runs here: current_job() works inside a handler that a worker runs")
    return context


def enter(context: JobContext | None) -> None:
    """Make a job the current one; ``None`` when it has ended."""
    _current.set(context)


def track(
    items: Iterable[T], total: int | None = None, *, unit: str | None = None, step: str | None = None
) -> Iterator[T]:
    """Go through ``items`` and report progress of the current job; outside a job just go through them."""
    context = current_job(default=None)
    return iter(items) if context is None else context.track(items, total, unit=unit, step=step)
