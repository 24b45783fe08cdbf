"""The options that Dramatiq users write on their actors, in our words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dramatiq.middleware import Middleware

from jobsvc.model.job import Priority
from jobsvc.model.retry import RetryPolicy


class ActorOptions(Middleware):
    """Makes the options of Dramatiq's own middleware known, whose work the store does.

    ``max_retries``, ``min_backoff``, ``max_backoff``, ``throws`` and ``time_limit`` keep their meaning. The rest is
    accepted so that actors need no change: results are always kept, and jobs do not age.
    """

    @property
    def actor_options(self) -> set[str]:
        """Names of the options."""
        return {
            "max_retries",
            "min_backoff",
            "max_backoff",
            "throws",
            "time_limit",
            "max_age",
            "store_results",
            "result_ttl",
            "notify_shutdown",
        }


def retry_policy(options: Mapping[str, Any]) -> RetryPolicy:
    """Retry policy of an actor that was declared with Dramatiq's options; delays in milliseconds."""
    throws = options.get("throws") or ()
    types = throws if isinstance(throws, tuple) else (throws,)
    default = RetryPolicy()
    retries = options.get("max_retries")
    return RetryPolicy(
        max_attempts=default.max_attempts if retries is None else int(retries) + 1,
        initial_ms=int(options.get("min_backoff") or default.initial_ms),
        max_ms=int(options.get("max_backoff") or default.max_ms),
        non_retryable_types=tuple(f"{t.__module__}.{t.__qualname__}" for t in types),
    )


def priority_of(number: int) -> Priority:
    """Dramatiq's priorities are numbers of which the lower is more urgent, 0 unless said otherwise."""
    if number < 0:
        return Priority.HIGH
    return Priority.MEDIUM if number == 0 else Priority.LOW
