"""Finished jobs are removed when they have been kept long enough."""

from __future__ import annotations

from datetime import timedelta

from jobsvc.config import Settings
from jobsvc.model.lifecycle import JobState
from jobsvc.model.queue import Retention as Kept
from jobsvc.store import calls
from jobsvc.store.async_store import AsyncStore

FOR_EVER_MS = 10**15

EVERY_S = 10.0

SOON_S = 1.0
"""After a tick that left something over."""

MAX_PURGES = 50
"""Calls in one tick for one queue and state, each of which removes some hundreds of jobs."""


class Retention:
    """Purges every queue, by state.

    Args:
        settings: How long jobs are kept.
    """

    name = "retention"

    def __init__(self, settings: Settings) -> None:
        self._kept_ms = {
            JobState.COMPLETED: _ms(settings.retention_completed),
            JobState.FAILED: _ms(settings.retention_failed),
            JobState.CANCELLED: _ms(settings.retention_cancelled),
        }
        self._kept_count = {
            JobState.COMPLETED: settings.retention_completed_count,
            JobState.FAILED: settings.retention_failed_count,
            JobState.CANCELLED: settings.retention_cancelled_count,
        }
        self._passed: dict[tuple[str, JobState], int] = {}
        self.every_s = EVERY_S

    async def tick(self, store: AsyncStore) -> None:
        """Remove what is too old."""
        for name in await store.run(calls.queue_names(store.keys)):
            queue = await store.run(calls.read_queue_settings(store.keys, name))
            for state, kept_ms in self._kept_ms.items():
                own: Kept | None = getattr(queue.settings, state.value)
                kept = Kept(kept_ms, self._kept_count[state]) if own is None else own
                await self._purge(store, name, state, kept)
        self.every_s = SOON_S if self._passed else EVERY_S

    async def _purge(self, store: AsyncStore, queue: str, state: JobState, kept: Kept) -> None:
        # a batch that runs for long may have more ended jobs than one tick looks at: the next one goes on behind them
        skip = self._passed.pop((queue, state), 0)
        for _ in range(MAX_PURGES):
            purged = await store.run(
                calls.purge(
                    queue,
                    state,
                    max_age_ms=kept.max_age_ms or FOR_EVER_MS,
                    max_count=kept.max_count,
                    skip=skip,
                )
            )
            skip += purged.kept
            if not purged.more:
                return
        self._passed[queue, state] = skip


def _ms(span: timedelta) -> int:
    return int(span.total_seconds() * 1_000)
