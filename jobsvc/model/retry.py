"""When a failed attempt is repeated, and after how long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryOverride:
    """The parts of a retry policy that a caller has set for one job; ``None`` takes the handler's.

    Attributes:
        initial_ms: Delay after the first failed attempt, milliseconds.
        max_ms: No delay is longer, milliseconds.
        multiplier: Factor from one delay to the next, at least 1.
        jitter: Fraction of each delay that is random, 0 to 1.
        non_retryable_types: Exception types (last part or qualified) that end the job at once.
    """

    initial_ms: int | None = None
    max_ms: int | None = None
    multiplier: float | None = None
    jitter: float | None = None
    non_retryable_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a job is tried, and how long it waits in between.

    The delay after failed attempt ``n`` (from 1) is ``min(max_ms, initial_ms * multiplier ** (n - 1))``, of which the
    fraction ``jitter`` is random: many jobs that failed together do not come back together.
    """

    max_attempts: int = 3
    initial_ms: int = 1_000
    max_ms: int = 60_000
    multiplier: float = 2.0
    jitter: float = 0.2
    non_retryable_types: tuple[str, ...] = ()

    def with_override(self, override: RetryOverride | None, max_attempts: int = 0) -> RetryPolicy:
        """Return the policy with what one job sets differently.

        Args:
            override: Back-off settings of the job.
            max_attempts: The job's own limit; 0 keeps the policy's.
        """
        if override is None and not max_attempts:
            return self
        o = override or RetryOverride()
        return RetryPolicy(
            max_attempts=max_attempts or self.max_attempts,
            initial_ms=self.initial_ms if o.initial_ms is None else o.initial_ms,
            max_ms=self.max_ms if o.max_ms is None else o.max_ms,
            multiplier=self.multiplier if o.multiplier is None else o.multiplier,
            jitter=self.jitter if o.jitter is None else o.jitter,
            non_retryable_types=o.non_retryable_types or self.non_retryable_types,
        )

    def delay_ms(self, failed_attempts: int, random: Callable[[], float]) -> int:
        """Return how long to wait after a failed attempt.

        Args:
            failed_attempts: How many attempts have failed, this one included; at least 1.
            random: Returns a number in [0, 1).

        Returns:
            Milliseconds, between ``(1 - jitter)`` and 1 times the full delay.
        """
        try:
            full = min(float(self.max_ms), self.initial_ms * self.multiplier ** (failed_attempts - 1))
        except OverflowError:
            full = float(self.max_ms)
        return round(full * (1 - self.jitter * random()))

    def next_delay_ms(
        self, *, failed_attempts: int, error_type: str, after_ms: int | None, random: Callable[[], float]
    ) -> int | None:
        """Decide whether a failed attempt is repeated.

        Args:
            failed_attempts: How many attempts have failed, this one included.
            error_type: Qualified name of the exception type.
            after_ms: A delay that the handler asked for, milliseconds.
            random: Returns a number in [0, 1).

        Returns:
            Milliseconds to wait before the next attempt, or ``None`` when the job has failed for good.
        """
        if failed_attempts >= self.max_attempts:
            return None
        if error_type and {error_type, error_type.rpartition(".")[2]} & set(self.non_retryable_types):
            return None
        return self.delay_ms(failed_attempts, random) if after_ms is None else after_ms
