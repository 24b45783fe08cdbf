"""What a finished job means for its caller: a value or an error. Pure."""

from __future__ import annotations

import json
from typing import Any

from .errors import JobCancelled, JobFailed, JobLost, JobsvcError, JobTimedOut, ProtocolError, RemoteTraceback
from .values import ErrorValue, JobStatus


def name_of(status: JobStatus) -> str:
    """Return type and id, as every message about a job begins."""
    return f"{status.job_type or 'job'} {status.id}"


def error_of(status: JobStatus) -> JobsvcError | None:
    """Return the error that ends a job's ``result()``, None when it completed.

    Args:
        status: A terminal status.

    Returns:
        A new error each time, because raising one changes its traceback.
    """
    if status.state == "completed":
        return None
    if status.state == "cancelled":
        return _cancelled(status)
    return _failed(status)


def value_of(status: JobStatus) -> Any:
    """Return the result of a completed job; integers of any size stay exact.

    Raises:
        ProtocolError: The server sent no result, or one that is not JSON.
    """
    if status.result_json is None:
        raise ProtocolError(
            f"{name_of(status)} completed but its result is not available here: it is not JSON, or it expired"
        )
    try:
        return json.loads(status.result_json)
    except ValueError as exc:
        raise ProtocolError(f"the result of {name_of(status)} is not JSON: {exc}") from exc


def _failed(status: JobStatus) -> JobFailed:
    error = status.error or ErrorValue()
    kind, verb = {
        "timeout": (JobTimedOut, "ran into its time limit"),
        "worker_lost": (JobLost, "was lost with its worker"),
    }.get(error.category, (JobFailed, "failed"))
    code = f" [{error.code}]" if error.code else ""
    failed = kind(
        f"{name_of(status)} {verb}{_attempt_text(status)}{code}: {error.summary}",
        job_id=status.id,
        error=error,
    )
    if error.stack_trace:
        failed.__cause__ = RemoteTraceback(error.stack_trace)
    failed.add_note(f'client.job("{status.id}").logs() shows what it logged; job.retry() runs it again')
    return failed


def _attempt_text(status: JobStatus) -> str:
    parts = []
    if status.attempt:
        of = f" of {status.max_attempts}" if status.max_attempts else ""
        parts.append(f" on attempt {status.attempt}{of}")
    if status.lost_attempts:
        parts.append(f" ({status.lost_attempts} lost with their worker)")
    return "".join(parts)


def _cancelled(status: JobStatus) -> JobCancelled:
    why = status.cancel_reason or (status.error.message if status.error else "")
    because = f": {why}" if why not in ("", "cancelled") else ""
    return JobCancelled(f"{name_of(status)} was cancelled{because}", job_id=status.id, error=status.error)
