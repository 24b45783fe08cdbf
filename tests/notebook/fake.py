"""A hub that tests feed by hand, and statuses that are quick to write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from jobsvc_sdk.display.source import GoneListener, Listener, Source, Status, Undo
from jobsvc_sdk.values import STATES, BatchStatus, ErrorValue, FailureValue, JobStatus

NOW = datetime(2025, 3, 4, 12, 0, 0, tzinfo=UTC)


def job(state: str = "processing", **fields: object) -> JobStatus:
    values: dict[str, object] = {
        "id": "0-abcdefghjkmnpqrs",
        "job_type": "analytics.forecast",
        "state": state,
        "version": 1,
        "percent": 46.0,
        "step": "simulate paths",
        "attempt": 1,
        "max_attempts": 3,
        "create_time": NOW - timedelta(seconds=15),
        "start_time": None if state in ("queued", "scheduled", "blocked") else NOW - timedelta(seconds=12),
        "end_time": NOW if state in ("completed", "failed", "cancelled") else None,
    }
    return JobStatus(**{**values, **fields})  # type: ignore[arg-type]


def failed_job(**fields: object) -> JobStatus:
    trace = (
        'Traceback (most recent call last):\n  File "pricing.py", line 88, in run\nValueError: bad row 17\n'
    )
    error = ErrorValue(type="builtins.ValueError", message="bad row 17", stack_trace=trace)
    return job("failed", **{"error": error, "percent": 61.0, **fields})


def batch(version: int = 1, *, title: str = "EU book", failures: int = 0, **counts: int) -> BatchStatus:
    full = {**dict.fromkeys(STATES, 0), **counts}
    total = sum(full.values())
    ended = full["completed"] + full["failed"] + full["cancelled"]
    return BatchStatus(
        id="b0-abcdefghjkmnpqrs",
        title=title,
        version=version,
        counts=full,
        total=total,
        percent=100 * ended / total if total else 0.0,
        create_time=NOW - timedelta(seconds=66),
        start_time=NOW - timedelta(seconds=64),
        end_time=NOW if total and ended == total else None,
        failures=tuple(
            FailureValue(f"0-{n:016}", f"scenario={n}", ErrorValue(type="ValueError", message=f"bad row {n}"))
            for n in range(failures)
        ),
    )


class FakeHub:
    """One job or batch: tests push statuses, displays listen."""

    def __init__(self, status: Status) -> None:
        self.status = status
        self.listeners: list[Listener] = []
        self.gone: list[GoneListener] = []
        self.connection: list[Callable[[bool, str], None]] = []
        self.cancels: list[float] = []
        self.answer: str | Exception = "asked to stop"

    def push(self, status: Status | None = None, /, **changes: object) -> None:
        newer = status or replace(self.status, **changes)  # type: ignore[arg-type]
        self.status = replace(newer, version=self.status.version + 1)
        for listener in list(self.listeners):
            listener(self.status)

    def source(self) -> Source:
        return Source(
            kind="job" if isinstance(self.status, JobStatus) else "batch",
            id=self.status.id,
            owner=self,
            first=self.status,
            latest=lambda: self.status,
            subscribe=self._subscribe,
            on_connection=self._on_connection,
            cancel=self._cancel,
        )

    def lose(self, error: Exception) -> None:
        for listener in list(self.gone):
            listener(error)

    def _subscribe(self, listener: Listener, gone: GoneListener) -> Undo:
        self.gone.append(gone)
        self.listeners.append(listener)
        return lambda: listener in self.listeners and self.listeners.remove(listener)

    def _on_connection(self, listener: Callable[[bool, str], None]) -> Undo:
        self.connection.append(listener)
        return lambda: listener in self.connection and self.connection.remove(listener)

    def _cancel(self, timeout_s: float) -> str:
        self.cancels.append(timeout_s)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer
