"""When a job or a batch will probably end. Simple on purpose: the rate so far goes on.

Both say two instants: as likely sooner as later (p50), and sooner in nine of ten cases (p90).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jobsvc.model.job import Batch, Job
from jobsvc.model.lifecycle import JobState

Z90 = 1.2816
"""Standard deviations from the middle of a normal distribution to the point that nine of ten stay below."""

MAX_AHEAD_MS = 366 * 86_400_000
"""An end that is further away than a year is not worth telling."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Two instants, in ms since the epoch."""

    p50_ms: int
    p90_ms: int


def job_finish(job: Job) -> Finish | None:
    """Estimate when a running job ends from the percentage that it reported last.

    p50 has the rest go on as fast as what is done. For p90 the rest takes longer by the share that is still to do:
    twice as long at the beginning, hardly longer at the end.

    Returns:
        ``None`` when it does not run or has not reported a percentage in this attempt.
    """
    progress = job.progress
    if job.state is not JobState.PROCESSING or progress is None or progress.percent is None:
        return None
    spent_ms = progress.update_ms - job.start_ms
    done = min(1.0, progress.percent / 100)
    if spent_ms <= 0 or done <= 0:
        return None
    rest_ms = spent_ms * (1 - done) / done
    return _finish(progress.update_ms, rest_ms, rest_ms * (2 - done))


def batch_finish(batch: Batch, now_ms: int) -> Finish | None:
    """Estimate when a batch ends from the jobs that have ended since its first one started.

    p50 has the others end at the same rate. The count of ``n`` ends in a time is uncertain by about ``sqrt(n)``, so for
    p90 the rate is lower by ``Z90 / sqrt(n)``, but not below a third.

    Args:
        batch: With its counts.
        now_ms: By the clock of Redis.

    Returns:
        ``None`` while no job has ended, and when all have.
    """
    ended = sum(count for state, count in batch.counts.items() if state.terminal)
    left = batch.total - ended
    if not ended or not left or not batch.start_ms or now_ms <= batch.start_ms:
        return None
    rest_ms = (now_ms - batch.start_ms) / ended * left
    return _finish(now_ms, rest_ms, rest_ms / max(1 / 3, 1 - Z90 / math.sqrt(ended)))


def _finish(from_ms: int, p50_ms: float, p90_ms: float) -> Finish | None:
    if not p90_ms <= MAX_AHEAD_MS:
        return None
    return Finish(from_ms + round(p50_ms), from_ms + round(p90_ms))
