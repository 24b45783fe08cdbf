"""What running handlers said and Redis has not heard yet."""

from __future__ import annotations

import json
import threading

import structlog

from jobsvc.model.errors import JobsvcError, StoreUnavailable
from jobsvc.model.job import Progress
from jobsvc.store import calls
from jobsvc.store.calls import MAX_LOG_LINES
from jobsvc.store.store import Store
from jobsvc.worker.execution import Task

Key = tuple[str, str]
"""Job id and token: one attempt."""

log = structlog.get_logger(__name__)


class Outbox:
    """Collects progress, of which the newest counts, and log lines, of which all do.

    Handlers' threads put in, the keeper writes several times a second, and before an end is reported what is left of
    its attempt is written: after its end nothing is accepted any more.

    Args:
        store: The store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._progress: dict[Key, Progress] = {}
        self._lines: dict[Key, list[str]] = {}
        self._written: dict[Key, int] = {}
        self._stops: dict[Key, list[str]] = {}
        self._guard = threading.Lock()
        self._writing = threading.Lock()

    def on_progress(self, task: Task, progress: Progress) -> None:
        """Keep the newest progress of an attempt."""
        self._progress[task.job_id, task.token] = progress

    def on_log(self, task: Task, level: str, text: str, time_ms: int) -> None:
        """Keep a log line of an attempt; while Redis is away, only as many as Redis keeps."""
        line = {"attempt": task.attempt, "time_ms": time_ms, "level": level, "text": text}
        key, dumped = (task.job_id, task.token), json.dumps(line, ensure_ascii=False)
        with self._guard:
            lines = self._lines.setdefault(key, [])
            lines.append(dumped)
            if len(lines) >= 2 * MAX_LOG_LINES:
                del lines[:MAX_LOG_LINES]
                self._written[key] = self._written.get(key, 0) + MAX_LOG_LINES

    def on_stop(self, key: Key, what: str) -> None:
        """Keep how far the cancellation of an attempt got: ``deliver`` or ``kill``."""
        with self._guard:
            self._stops.setdefault(key, []).append(what)

    @property
    def empty(self) -> bool:
        """Whether nothing waits, and nothing is on its way."""
        return not (self._progress or self._lines or self._stops or self._writing.locked())

    def write_all(self) -> list[tuple[Key, str]]:
        """Write everything; returns per attempt with progress ``ok``, ``cancel`` or ``lost``.

        Raises:
            StoreUnavailable: Redis cannot be reached; what it did not take is kept.
        """
        keys = {**self._stops, **self._lines, **self._progress}
        return self._write(list(keys)) if keys else []

    def write_stops(self) -> None:
        """Write how far cancellations got.

        Raises:
            StoreUnavailable: Redis cannot be reached; what it did not take is kept.
        """
        for key in list(self._stops):
            with self._writing:
                self._write_stops(key)

    def write(self, key: Key) -> None:
        """Write what an attempt left that has ended; does nothing when it left nothing.

        Raises:
            StoreUnavailable: Redis cannot be reached; what it did not take is kept.
        """
        if not (key in self._progress or key in self._lines or key in self._stops or self._writing.locked()):
            return
        try:
            self._write([key])
        except StoreUnavailable:
            raise
        except JobsvcError as error:
            log.warning("the last progress and log lines of a job were lost", job_id=key[0], error=str(error))

    def forget(self, key: Key) -> None:
        """Drop what is left of an attempt whose end is written."""
        self._progress.pop(key, None)
        with self._guard:
            self._lines.pop(key, None)
            self._written.pop(key, None)
            self._stops.pop(key, None)

    def _write(self, keys: list[Key]) -> list[tuple[Key, str]]:
        with self._writing:  # so that nobody reports an end while lines of it are still on their way
            for key in keys:
                self._write_stops(key)
                self._write_lines(key)
            newest = [(key, value) for key in keys if (value := self._progress.pop(key, None)) is not None]
            if not newest:
                return []
            try:
                answers = self._store.run(calls.progress((*key, value) for key, value in newest))
            except BaseException:
                for key, value in newest:
                    self._progress.setdefault(key, value)
                raise
            return [(key, answer) for (key, _), answer in zip(newest, answers, strict=True)]

    def _write_lines(self, key: Key) -> None:
        with self._guard:
            lines = self._lines.pop(key, None)
            if not lines:
                return
            before = self._written.get(key, 0)
            self._written[key] = before + len(lines)
        try:
            self._store.run(calls.log(*key, lines, before=before))
        except BaseException:
            with self._guard:
                self._lines[key] = lines + self._lines.get(key, [])
                self._written[key] -= len(lines)
            raise

    def _write_stops(self, key: Key) -> None:
        with self._guard:
            stops = self._stops.pop(key, None)
        if not stops:
            return
        try:
            for what in stops:
                self._store.run(calls.cancel_seen(*key, what))
        except BaseException:
            with self._guard:
                self._stops[key] = stops + self._stops.get(key, [])
            raise
