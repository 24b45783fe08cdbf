"""Finished jobs are removed when they have been kept long enough."""

from __future__ import annotations

from datetime import timedelta

from jobsvc.config import Settings
from jobsvc.model.lifecycle import JobState
from jobsvc.store import calls
from jobsvc.store.async_store import AsyncStore

MAX_PURGES = 50
"""Calls in one tick for one queue and state, each of which removes some hundreds of jobs."""


class Retention:
    """Purges every queue, by state.

    Args:
        settings: How long jobs are kept.
    """

    name = "retention"
    every_s = 10.0

    def __init__(self, settings: Settings) -> None:
        self._kept_ms = {
            JobState.COMPLETED: _ms(settings.retention_completed),
            JobState.FAILED: _ms(settings.retention_failed),
            JobState.CANCELLED: _ms(settings.retention_cancelled),
        }

    async def tick(self, store: AsyncStore) -> None:
        """Remove what is too old."""
        for queue in await store.run(calls.queue_names(store.keys)):
            for state, kept_ms in self._kept_ms.items():
                await self._purge(store, queue, state, kept_ms)

    async def _purge(self, store: AsyncStore, queue: str, state: JobState, kept_ms: int) -> None:
        skip = 0
        for _ in range(MAX_PURGES):
            purged = await store.run(calls.purge(queue, state, max_age_ms=kept_ms, skip=skip))
            skip += purged.kept
            if not purged.more:
                return


def _ms(span: timedelta) -> int:
    return int(span.total_seconds() * 1_000)
