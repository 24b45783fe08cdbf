"""When a failed attempt is repeated, and after how long."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

ANY_ERROR = "*"
"""In the place of a code or an exception type: whatever the error is."""


@dataclass(frozen=True, slots=True)
class RetryRule:
    """What happens to an attempt that failed with a particular error.

    Attributes:
        error: An error code, an exception type (last part or qualified), ``TIMEOUT`` and its like for errors that
            nobody raised, or ``ANY_ERROR``.
        retry: False ends the job at once.
        delay_ms: Delay before the next attempt, milliseconds; ``None`` takes the policy's.
    """

    error: str
    retry: bool = True
    delay_ms: int | None = None


@dataclass(frozen=True, slots=True)
class RetryOverride:
    """The parts of a retry policy that somebody has set; ``None`` and empty take what the one before says.

    Attributes:
        initial_ms: Delay after the first failed attempt, milliseconds.
        max_ms: No delay is longer, milliseconds.
        multiplier: Factor from one delay to the next, at least 1.
        jitter: Fraction of each delay that is random, 0 to 1.
        non_retryable_types: Exception types (last part or qualified) that end the job at once.
        delays_ms: The delays one by one instead of a formula, milliseconds; the last one repeats.
        rules: What to do with particular errors; the first one that matches decides.
    """

    initial_ms: int | None = None
    max_ms: int | None = None
    multiplier: float | None = None
    jitter: float | None = None
    non_retryable_types: tuple[str, ...] = ()
    delays_ms: tuple[int, ...] = ()
    rules: tuple[RetryRule, ...] = ()

    @property
    def by_formula(self) -> bool:
        """Whether a part of the formula is set."""
        return (self.initial_ms, self.max_ms, self.multiplier) != (None, None, None)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a job is tried, and how long it waits in between.

    The delay after failed attempt ``n`` (from 1) is ``delays_ms[n - 1]``, of which the last repeats, or, when none are
    listed, ``min(max_ms, initial_ms * multiplier ** (n - 1))``. The fraction ``jitter`` of it is random: many jobs that
    failed together do not come back together. ``max_lost_attempts`` is 0 for the server's.
    """

    max_attempts: int = 3
    initial_ms: int = 1_000
    max_ms: int = 60_000
    multiplier: float = 2.0
    jitter: float = 0.2
    non_retryable_types: tuple[str, ...] = ()
    delays_ms: tuple[int, ...] = ()
    rules: tuple[RetryRule, ...] = ()
    max_lost_attempts: int = 0

    def with_override(self, override: RetryOverride | None, max_attempts: int = 0) -> RetryPolicy:
        """Return the policy with what one job sets differently.

        Whoever lists delays means them to be kept: they are random only when that is asked for, too. Whoever sets a
        part of the formula means the formula, not what the policy lists.

        Args:
            override: Back-off settings of the job.
            max_attempts: The job's own limit; 0 keeps the policy's.
        """
        if override is None:
            return self if not max_attempts else replace(self, max_attempts=max_attempts)
        o = override
        jitter = o.jitter if o.jitter is not None or not o.delays_ms else 0.0
        formula_again = o.by_formula and bool(self.delays_ms)
        if formula_again and jitter is None:
            jitter = RetryPolicy().jitter
        return replace(
            self,
            max_attempts=max_attempts or self.max_attempts,
            initial_ms=self.initial_ms if o.initial_ms is None else o.initial_ms,
            max_ms=self.max_ms if o.max_ms is None else o.max_ms,
            multiplier=self.multiplier if o.multiplier is None else o.multiplier,
            jitter=self.jitter if jitter is None else jitter,
            non_retryable_types=o.non_retryable_types or self.non_retryable_types,
            delays_ms=o.delays_ms or (() if formula_again else self.delays_ms),
            rules=o.rules or self.rules,
        )

    def delay_ms(self, failed_attempts: int, random: Callable[[], float]) -> int:
        """Return how long to wait after a failed attempt.

        Args:
            failed_attempts: How many attempts have failed, this one included; at least 1.
            random: Returns a number in [0, 1).

        Returns:
            Milliseconds, between ``(1 - jitter)`` and 1 times the full delay.
        """
        if self.delays_ms:
            full = float(self.delays_ms[min(failed_attempts, len(self.delays_ms)) - 1])
        else:
            try:
                full = min(float(self.max_ms), self.initial_ms * self.multiplier ** (failed_attempts - 1))
            except OverflowError:
                full = float(self.max_ms) if self.initial_ms else 0.0
        return round(full * (1 - self.jitter * random()))

    def next_delay_ms(
        self,
        *,
        failed_attempts: int,
        names: Collection[str],
        after_ms: int | None,
        random: Callable[[], float],
    ) -> int | None:
        """Decide whether a failed attempt is repeated.

        Args:
            failed_attempts: How many attempts have failed, this one included.
            names: What the error is called: its code, and the types of the exception, those that it is derived from
                included, both qualified and by their last part.
            after_ms: A delay that the handler asked for, milliseconds; it goes over the policy's.
            random: Returns a number in [0, 1).

        Returns:
            Milliseconds to wait before the next attempt, or ``None`` when the job has failed for good.
        """
        if failed_attempts >= self.max_attempts:
            return None
        if any(name in names for name in self.non_retryable_types):
            return None
        rule = next((rule for rule in self.rules if rule.error == ANY_ERROR or rule.error in names), None)
        if rule is not None and not rule.retry:
            return None
        if after_ms is not None:
            return after_ms
        if rule is not None and rule.delay_ms is not None:
            return rule.delay_ms
        return self.delay_ms(failed_attempts, random)


def names_of(code: str, types: Collection[str], category: str) -> frozenset[str]:
    """What an error is called in rules.

    Args:
        code: Its code; may be empty.
        types: Qualified exception types; empty ones are left out.
        category: Stands in for both when there is neither: ``timeout`` is called ``TIMEOUT``.
    """
    found = {code, *types, *(name.rpartition(".")[2] for name in types)} - {""}
    return frozenset(found or {category.upper()})
