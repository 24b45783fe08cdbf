"""The options that Dramatiq users write on their actors, in our words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dramatiq.middleware import Middleware

from jobsvc.model.job import Priority
from jobsvc.model.retry import RetryOverride, RetryPolicy
from jobsvc.model.retry_words import MAX_ATTEMPTS


class ActorOptions(Middleware):
    """Makes the options of Dramatiq's own middleware known, whose work the store does.

    ``max_retries``, ``min_backoff``, ``max_backoff``, ``throws``, ``retry_when`` and ``time_limit`` keep their meaning;
    without them a job is tried as often, and waits as long, as any other of jobsvc. The rest is accepted so that actors
    need no change: results are always kept, and jobs do not age.
    """

    @property
    def actor_options(self) -> set[str]:
        """Names of the options."""
        return {
            "max_retries",
            "min_backoff",
            "max_backoff",
            "throws",
            "retry_when",
            "time_limit",
            "max_age",
            "store_results",
            "result_ttl",
            "notify_shutdown",
        }


def retry_policy(options: Mapping[str, Any]) -> RetryPolicy:
    """Retry policy of an actor that was declared with Dramatiq's options; delays in milliseconds."""
    throws = options.get("throws") or ()
    types = throws if isinstance(throws, tuple | list | set | frozenset) else (throws,)
    default = RetryPolicy()
    return RetryPolicy(
        max_attempts=attempts(options) or default.max_attempts,
        initial_ms=int(options.get("min_backoff") or default.initial_ms),
        max_ms=int(options.get("max_backoff") or default.max_ms),
        non_retryable_types=tuple(f"{t.__module__}.{t.__qualname__}" for t in types),
    )


def attempts(options: Mapping[str, Any]) -> int:
    """Most attempts by the options of an actor or a message; 0 when they do not say.

    ``max_retries=None`` repeats for ever, which ends at ``MAX_ATTEMPTS``; so does ``retry_when``, which alone decides.
    """
    if options.get("retry_when") is not None:
        return MAX_ATTEMPTS
    if "max_retries" not in options:
        return 0
    retries = options["max_retries"]
    return MAX_ATTEMPTS if retries is None else min(MAX_ATTEMPTS, int(retries) + 1)


def message_backoff(options: Mapping[str, Any]) -> RetryOverride | None:
    """Back-off of one message (``send_with_options``), ``None`` when it has none of its own."""
    first, most = options.get("min_backoff"), options.get("max_backoff")
    if first is None and most is None:
        return None
    return RetryOverride(None if first is None else int(first), None if most is None else int(most))


def priority_of(number: int) -> Priority:
    """Dramatiq's priorities are numbers of which the lower is more urgent, 0 unless said otherwise."""
    if number < 0:
        return Priority.HIGH
    return Priority.MEDIUM if number == 0 else Priority.LOW
