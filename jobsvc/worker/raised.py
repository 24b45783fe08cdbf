"""What an exception that ended an attempt means. Runs where the handler's code runs."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import dramatiq.errors
from pydantic_core import PydanticSerializationError, to_jsonable_python

from jobsvc.model.job import ErrorCategory, JobError
from jobsvc.model.jsontext import JsonProblem, dump
from jobsvc.worker.exceptions import (
    MAX_WAIT_DAYS,
    ApplicationError,
    Cancelled,
    Fail,
    Retry,
    Snooze,
    TimeLimitExceeded,
)

MAX_MESSAGE_LENGTH = 4_000
MAX_TRACE_LENGTH = 32_000
MAX_DETAILS_BYTES = 8_192
MAX_CODE_LENGTH = 128


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of an attempt, before anybody decided what follows.

    Attributes:
        result: The result as JSON; ``None`` when there is an error.
        error: Why it did not complete; ``retryable`` is False when another attempt cannot help.
        after_ms: How long the handler wants to wait before the next attempt; ``None`` leaves it to the policy.
        types: Qualified types of the exception, those that it is derived from included.
        snooze_ms: The handler wants to be called later, after so long; ``None`` when it does not.
    """

    result: str | None = None
    error: JobError | None = None
    after_ms: int | None = None
    types: tuple[str, ...] = ()
    snooze_ms: int | None = None


def ended_by(error: BaseException, *, may_repeat: bool = True) -> Ended:
    """Say what an exception makes of the attempt that it ended.

    Args:
        error: The exception.
        may_repeat: False when somebody has looked at it and ruled another attempt out.
    """
    if isinstance(error, Snooze):
        return Ended(snooze_ms=error.after_ms)
    if isinstance(error, Cancelled):
        return Ended(error=JobError(ErrorCategory.CANCELLED, message=str(error)))
    if isinstance(error, TimeLimitExceeded):
        trace = _trace(error, error.__traceback__)
        return Ended(
            error=JobError(ErrorCategory.TIMEOUT, message=str(error), stack_trace=trace, retryable=True)
        )
    details, problem = _details(error.details) if isinstance(error, ApplicationError) else ("", "")
    described = JobError(
        ErrorCategory.APPLICATION,
        type=_name(type(error)),
        message=_text(error) + problem,
        stack_trace=_trace(error, error.__traceback__),
        code=_code(error),
        retryable=may_repeat and not isinstance(error, Fail),
        details=details,
    )
    bases = tuple(_name(kind) for kind in type(error).__mro__ if issubclass(kind, BaseException))
    return Ended(error=described, after_ms=_after_ms(error), types=bases)


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _after_ms(error: BaseException) -> int | None:
    if isinstance(error, Retry):
        return error.after_ms
    if isinstance(error, dramatiq.errors.Retry) and error.delay is not None:
        return min(max(0, int(error.delay)), MAX_WAIT_DAYS * 86_400_000)
    return None


def _code(error: BaseException) -> str:
    """The code of any exception that has one: text, because numbers mean other things to other libraries."""
    try:
        code = getattr(error, "code", "")
    except Exception:  # it may be a property of the handler's own
        return ""
    return code[:MAX_CODE_LENGTH].encode("utf-8", "replace").decode() if isinstance(code, str) else ""


def _details(value: Any) -> tuple[str, str]:
    """Details as JSON, and what to say when they cannot be kept; the error itself must not be lost for them."""
    if value is None:
        return "", ""
    try:
        text = dump(to_jsonable_python(value, serialize_unknown=False, inf_nan_mode="constants"))
    except (JsonProblem, PydanticSerializationError, ValueError, RecursionError) as problem:
        return "", f" (its details are no JSON and were left out: {problem})"
    size = len(text.encode())
    if size > MAX_DETAILS_BYTES:
        return "", f" (its details were left out: {size:,} bytes of JSON, at most {MAX_DETAILS_BYTES:,})"
    return text, ""


def _text(error: BaseException) -> str:
    """What an exception says; it is the handler's code that says it, and that may fail, too."""
    try:
        text = str(error)[:MAX_MESSAGE_LENGTH]
    except Exception as problem:
        return f"(its text cannot be had: {type(problem).__qualname__})"
    return text.encode("utf-8", "replace").decode()


_OURS = (
    "jobsvc.worker.execution",
    "jobsvc.worker.handler",
    "asyncio.runners",
    "asyncio.base_events",
    "asyncio.events",
)
"""Modules whose frames come before the handler's own."""


def _trace(error: BaseException, trace: TracebackType | None) -> str:
    """The traceback from the handler's own frame on: what calls it is of no interest."""
    while trace is not None and trace.tb_frame.f_globals.get("__name__") in _OURS:
        trace = trace.tb_next
    text = "".join(traceback.format_exception(type(error), error, trace)).encode("utf-8", "replace").decode()
    if len(text) <= MAX_TRACE_LENGTH:
        return text
    half = MAX_TRACE_LENGTH // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
