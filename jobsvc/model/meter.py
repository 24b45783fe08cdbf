"""Rates and percentiles of what happened in a queue lately.

Lengths are counted in classes, each 6.4 % longer than the one before: class ``n`` holds the milliseconds from
``e ** (n / 16) - 1`` up to the next. So a percentile is right to about 3 %, and a queue that ends a million jobs a
minute needs no more room than one that ends ten. ``lua/includes/meter.lua`` computes the same classes; a test compares
the two.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

CLASSES_PER_E = 16

WAIT, COMPLETED, FAILED, CANCELLED, RETRIED = "w", "c", "f", "x", "r"
"""What is counted: starts by the time that the job had been ready, and attempts by the time that they took."""

_ENDS = (COMPLETED, FAILED, CANCELLED)
_RUNS = (*_ENDS, RETRIED)

MAX_WINDOW_MS = 900_000
"""Longest time that can be looked back."""

DEFAULT_WINDOW_MS = 60_000

STEP_MS = 10_000
"""Resolution of the window."""


def length_class(length_ms: float) -> int:
    """Return the class of a length in milliseconds."""
    return math.floor(math.log(max(0.0, length_ms) + 1) * CLASSES_PER_E)


def length_of(number: int) -> float:
    """Return the length in milliseconds that stands for a class: the middle of its whole milliseconds."""
    low = math.ceil(math.exp(number / CLASSES_PER_E) - 1 - 1e-9)
    high = math.ceil(math.exp((number + 1) / CLASSES_PER_E) - 1 - 1e-9) - 1
    return (low + max(low, high)) / 2


@dataclass(frozen=True, slots=True)
class Meter:
    """What happened in one or more queues within a window.

    Attributes:
        span_ms: Length of the window, milliseconds.
        counts: Number of events by letter and class; an end without a class, ``-1``, is that of a job that did not run.
    """

    span_ms: int
    counts: Mapping[tuple[str, int], int] = field(default_factory=dict)

    @classmethod
    def read(cls, span_ms: int, raw: Mapping[str, int]) -> Self:
        """Read what Redis counted, by letter with the number of the class behind it."""
        return cls(span_ms, {(name[0], int(name[1:] or -1)): count for name, count in raw.items()})

    def __add__(self, other: Meter) -> Meter:
        """Return both together; their windows are the same."""
        return Meter(max(self.span_ms, other.span_ms), Counter(self.counts) + Counter(other.counts))

    @property
    def per_second(self) -> float:
        """Jobs that ended per second."""
        return self._count(*_ENDS) * 1_000 / self.span_ms if self.span_ms else 0.0

    @property
    def failure_ratio(self) -> float:
        """Share of the jobs that ended and failed, 0 to 1; 0 when none ended."""
        ended = self._count(*_ENDS)
        return self._count(FAILED) / ended if ended else 0.0

    def wait_ms(self, share: float) -> float | None:
        """Return the time from ready to start below which a share of the starts stayed; ``None`` without any."""
        return self._percentile(share, (WAIT,))

    def run_ms(self, share: float) -> float | None:
        """Return the time of an attempt below which a share of them stayed; ``None`` without any."""
        return self._percentile(share, _RUNS)

    def _count(self, *letters: str) -> int:
        return sum(count for (letter, _), count in self.counts.items() if letter in letters)

    def _percentile(self, share: float, letters: tuple[str, ...]) -> float | None:
        classes: Counter[int] = Counter()
        for (letter, number), count in self.counts.items():
            if letter in letters and number >= 0:
                classes[number] += count
        rank, below = math.ceil(share * classes.total()), 0
        for number in sorted(classes):
            below += classes[number]
            if below >= max(1, rank):
                return length_of(number)
        return None
