"""What running handlers said and Redis has not heard yet."""

from __future__ import annotations

import json
import threading

from jobsvc.model.job import Progress
from jobsvc.store import calls
from jobsvc.store.store import Store
from jobsvc.worker.execution import Task

Key = tuple[str, str]
"""Job id and token: one attempt."""


class Outbox:
    """Collects progress, of which the newest counts, and log lines, of which all do.

    Handlers' threads put in, the keeper writes several times a second, and whoever ends an attempt writes what it left:
    after its end nothing is accepted any more.

    Args:
        store: The store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._progress: dict[Key, Progress] = {}
        self._lines: dict[Key, list[str]] = {}
        self._writing = threading.Lock()

    def on_progress(self, task: Task, progress: Progress) -> None:
        """Keep the newest progress of an attempt."""
        self._progress[task.job_id, task.token] = progress

    def on_log(self, task: Task, level: str, text: str, time_ms: int) -> None:
        """Keep a log line of an attempt."""
        line = {"attempt": task.attempt, "time_ms": time_ms, "level": level, "text": text}
        self._lines.setdefault((task.job_id, task.token), []).append(json.dumps(line, ensure_ascii=False))

    def write_all(self) -> list[tuple[Key, str]]:
        """Write everything; returns per attempt with progress ``ok``, ``cancel`` or ``lost``.

        Raises:
            StoreUnavailable: Redis cannot be reached; newer progress will follow, log lines are kept.
        """
        return self._write(list(self._progress), list(self._lines)) if self._progress or self._lines else []

    def write(self, task: Task) -> None:
        """Write what an attempt left that has ended; does nothing when it left nothing.

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        key = (task.job_id, task.token)
        if key in self._progress or key in self._lines or self._writing.locked():
            self._write([key], [key])

    def forget(self, key: Key) -> None:
        """Drop what is left of an attempt whose end is written."""
        self._progress.pop(key, None)
        self._lines.pop(key, None)

    def _write(self, with_progress: list[Key], with_lines: list[Key]) -> list[tuple[Key, str]]:
        with self._writing:  # so that nobody reports an end while lines of it are still on their way
            for key in with_lines:
                lines = self._lines.pop(key, None)
                if lines:
                    try:
                        self._store.run(calls.log(*key, lines, before=0))
                    except BaseException:
                        self._lines[key] = lines + self._lines.get(key, [])
                        raise
            newest = [
                (key, value) for key in with_progress if (value := self._progress.pop(key, None)) is not None
            ]
            if not newest:
                return []
            answers = self._store.run(calls.progress((*key, value) for key, value in newest))
            return [(key, answer) for (key, _), answer in zip(newest, answers, strict=True)]
