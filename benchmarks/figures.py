"""Arithmetic of measurements: percentiles, ratios of one interleaved run, and the lines that say what must hold."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Direction = Literal[">=", "<="]


@dataclass(frozen=True, slots=True)
class Bound:
    """What a figure must keep to.

    Attributes:
        direction: Whether the figure must reach the limit or must not pass it.
        limit: In the figure's unit.
    """

    direction: Direction
    limit: float

    def holds(self, value: float) -> bool:
        """Whether a figure keeps to it; a missing figure (NaN) does not."""
        return value >= self.limit if self.direction == ">=" else value <= self.limit

    def __str__(self) -> str:
        return f"{self.direction}{self.limit:g}"


@dataclass(frozen=True, slots=True)
class Result:
    """One figure, as it is printed at the end of a bench.

    Attributes:
        name: Dotted name, e.g. ``drain.threads_vs_dramatiq``.
        value: The figure.
        unit: Its unit; ``ratio`` for a quotient of two figures of one run.
        bound: What it must keep to; ``None`` for a figure that only informs.
    """

    name: str
    value: float
    unit: str
    bound: Bound | None = None

    @property
    def passed(self) -> bool:
        """Whether it keeps to its bound; always without one."""
        return self.bound is None or self.bound.holds(self.value)

    def line(self) -> str:
        """``RESULT <name> <value> <unit> must <bound> pass|fail``."""
        bound = "none" if self.bound is None else str(self.bound)
        return f"RESULT {self.name} {_plain(self.value)} {self.unit} must {bound} {'pass' if self.passed else 'fail'}"


def _plain(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which a share of all values lies, interpolated between the two nearest.

    Args:
        values: At least one.
        share: From 0 to 1; 0.5 is the median.

    Raises:
        ValueError: There are no values.
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("a percentile of no values")
    place = (len(ordered) - 1) * share
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Compare two contestants of one interleaved run: the median over its rounds of ours by theirs.

    The two figures of one round are taken a few seconds apart, so that what disturbs the machine for longer disturbs
    both and cancels out.

    Args:
        ours: One figure for each round.
        theirs: Figures of the same rounds, not zero.
    """
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))


@dataclass(frozen=True, slots=True)
class Reading:
    """What was seen of a drain at one instant.

    Attributes:
        at_s: Clock, seconds.
        done: Jobs finished so far.
        worker_cpu_s: CPU time of the worker and its children so far, seconds.
        store_cpu_s: CPU time of Valkey so far, seconds.
    """

    at_s: float
    done: int
    worker_cpu_s: float
    store_cpu_s: float


@dataclass(frozen=True, slots=True)
class Drain:
    """How one contestant drained its queue in one round.

    Attributes:
        rate: Jobs a second.
        worker_cpu_s: CPU time of the worker and its children for 1,000 jobs, seconds.
        store_cpu_s: CPU time of Valkey for 1,000 jobs, seconds.
    """

    rate: float
    worker_cpu_s: float
    store_cpu_s: float

    @property
    def cpu_s(self) -> float:
        """CPU time of worker and Valkey for 1,000 jobs, seconds."""
        return self.worker_cpu_s + self.store_cpu_s

    @classmethod
    def between(cls, first: Reading, last: Reading) -> Drain:
        """What happened between two readings.

        Raises:
            ValueError: Nothing did.
        """
        done, span_s = last.done - first.done, last.at_s - first.at_s
        if done <= 0 or span_s <= 0:
            raise ValueError(f"{done} jobs in {span_s:.3f} s cannot be measured; use more jobs")
        return cls(
            rate=done / span_s,
            worker_cpu_s=(last.worker_cpu_s - first.worker_cpu_s) / done * 1_000,
            store_cpu_s=(last.store_cpu_s - first.store_cpu_s) / done * 1_000,
        )
