"""A batch as columns of a table. Pure, and without pandas until a frame is made of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .values import JobStatus

if TYPE_CHECKING:
    import pandas as pd

_FACTS = ("job_id", "state", "duration_s", "attempts", "error")


def columns_of(statuses: Iterable[JobStatus]) -> dict[str, list[Any]]:
    """Return the columns of a table with one row a job.

    First come the arguments by name, then ``job_id``, ``state``, ``duration_s`` (seconds of the last attempt),
    ``attempts`` and ``error``, then the results: a column for each key when they are dicts, else one named
    ``result``. A result column whose name is taken is called ``result_<name>``.

    Args:
        statuses: Full statuses.
    """
    rows = [(_arguments(status), _facts(status), _result(status)) for status in statuses]
    names = dict.fromkeys(name for arguments, _, _ in rows for name in arguments)
    columns: dict[str, list[Any]] = {
        _free(name, _FACTS, "argument"): [arguments.get(name) for arguments, _, _ in rows] for name in names
    }
    for name in _FACTS:
        columns[name] = [facts[name] for _, facts, _ in rows]
    taken = set(columns)
    for name in dict.fromkeys(name for _, _, result in rows for name in result):
        columns[_free(name, taken, "result")] = [result.get(name) for _, _, result in rows]
    return columns


def frame_of(statuses: Sequence[JobStatus]) -> pd.DataFrame:
    """Return a data frame with one row a job; see :func:`columns_of`.

    Raises:
        ImportError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as exc:
        raise ImportError("to_frame() needs pandas: pip install 'jobsvc-sdk[frames]'") from exc
    return pd.DataFrame(columns_of(statuses))


def _free(name: str, taken: Iterable[str], prefix: str) -> str:
    return f"{prefix}_{name}" if name in taken else name


def _arguments(status: JobStatus) -> dict[str, Any]:
    arguments = json.loads(status.arguments_json) if status.arguments_json else {}
    return arguments if isinstance(arguments, dict) else {}


def _facts(status: JobStatus) -> dict[str, Any]:
    return {
        "job_id": status.id,
        "state": status.state,
        "duration_s": status.duration.total_seconds() if status.duration is not None else None,
        "attempts": status.attempt,
        "error": status.error.summary if status.error and status.state != "completed" else None,
    }


def _result(status: JobStatus) -> dict[str, Any]:
    if status.state != "completed" or status.result_json is None:
        return {}
    result = json.loads(status.result_json)
    return result if isinstance(result, dict) else {"result": result}
