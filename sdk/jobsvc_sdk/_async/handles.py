"""Handles for asyncio: what jobs and batches do here and not with threads. Written by hand on both sides."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from typing import Any

from .batch import AsyncBatchCore
from .completion import AsyncCompletionsCore
from .job import AsyncJobCore


class AsyncCompletions(AsyncCompletionsCore):
    """Jobs in the order in which they end."""


class AsyncJob(AsyncJobCore):
    """A handle of one job, for asyncio; ``await job`` gives its result.

    Properties tell what is known without asking; ``await job.refresh()`` asks. Cancelling a task that waits stops the
    waiting, never the job.
    """

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.result().__await__()

    def _interruptible(self, on_interrupt: str | None) -> AbstractContextManager[object]:
        return _noting(f"stopped waiting for {self.id}, it goes on; job.cancel() stops it")


class AsyncBatch(AsyncBatchCore):
    """A handle of a batch, for asyncio; ``await batch`` gives its results in the order of its items."""

    def __await__(self) -> Generator[Any, Any, list[Any]]:
        return self.results().__await__()

    def as_completed(self, timeout: float | None = None) -> AsyncCompletions:
        """Iterate over the batch's jobs as they end: ``async for job in batch.as_completed()``.

        Args:
            timeout: For all of them together, in seconds; None waits for ever.

        Raises:
            TimeoutError: Some have not ended in time; they go on.
        """
        return AsyncCompletions(self.client, self.list_jobs, timeout)

    def _interruptible(self, on_interrupt: str | None) -> AbstractContextManager[object]:
        return _noting(f"stopped waiting for batch {self.id}, it goes on; batch.cancel() stops what remains")


@contextlib.contextmanager
def _noting(text: str) -> Iterator[None]:
    try:
        yield
    except asyncio.CancelledError as exc:
        exc.add_note(text)
        raise
