"""What a handler can raise to say how its attempt ended, beside any exception of its own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

MAX_WAIT_DAYS = 3_650


class Cancelled(BaseException):
    """Somebody cancelled this job. Raised at a checkpoint; let it pass, after cleaning up.

    Like ``KeyboardInterrupt`` it is not an ``Exception``, so that ``except Exception`` does not swallow it.
    """

    __module__ = "jobsvc"


class TimeLimitExceeded(BaseException):
    """The attempt has used up its time. Raised at a checkpoint; let it pass, after cleaning up."""

    __module__ = "jobsvc"


class ApplicationError(Exception):
    """The attempt has failed, with a code by which the retry policy decides what follows.

    Args:
        message: What is wrong, for people.
        code: What is wrong, for programs, e.g. ``RATE_LIMITED``.
        details: More for programs: what JSON can carry, at most 8 KiB.
    """

    __module__ = "jobsvc"
    # of the class, for those derived from it that do not call this __init__
    code: str = ""
    details: Any = None

    def __init__(self, message: str, *, code: str = "", details: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.details = details


class Fail(ApplicationError):
    """The job cannot succeed: do not try again, whatever the retry policy says."""

    __module__ = "jobsvc"


class Retry(ApplicationError):
    """Try again, after a time that the handler knows better than the policy; counts as a failed attempt.

    Args:
        after: How long to wait, ``timedelta`` or seconds; ``None`` leaves it to the policy.
        message: Why, for people.
        code: Why, for programs, e.g. ``RATE_LIMITED``.
        details: More for programs: what JSON can carry, at most 8 KiB.
    """

    __module__ = "jobsvc"
    after_ms: int | None = None

    def __init__(
        self,
        after: timedelta | float | None = None,
        message: str = "asked to be tried again",
        *,
        code: str = "",
        details: Any = None,
    ) -> None:
        super().__init__(message, code=code, details=details)
        self.after_ms = None if after is None else _ms(after)


class Snooze(Exception):
    """Call the handler again later; nothing has failed, and no attempt is counted.

    For a job that waits for something that is not its own doing. A job that does so 10,000 times has failed.

    Args:
        after: How long to wait, ``timedelta`` or seconds.
        message: What it waits for; goes to the job's log.
    """

    __module__ = "jobsvc"
    after_ms: int = 0

    def __init__(self, after: timedelta | float, message: str = "") -> None:
        super().__init__(message)
        self.after_ms = _ms(after)


def _ms(span: timedelta | float) -> int:
    """Milliseconds; what is negative has passed, and becomes 0.

    Raises:
        ValueError: It is no length of time, or is longer than anybody waits.
    """
    seconds = span.total_seconds() if isinstance(span, timedelta) else float(span)
    if not seconds <= MAX_WAIT_DAYS * 86_400:  # NaN is refused as well
        raise ValueError(
            f"after is {span!r}; it must be a timedelta or seconds, at most {MAX_WAIT_DAYS} days"
        )
    return max(0, round(seconds * 1_000))
