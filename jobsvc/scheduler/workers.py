"""Workers that have been silent for long are forgotten."""

from __future__ import annotations

from jobsvc.store import calls
from jobsvc.store.async_store import AsyncStore

AFTER_MS = 600_000


class ForgetWorkers:
    """Drops workers that died without saying goodbye from the list."""

    name = "forget workers"
    every_s = 60.0

    async def tick(self, store: AsyncStore) -> None:
        """Drop them."""
        before_ms = await store.run(calls.clock()) - AFTER_MS
        await store.run(calls.forget_old_workers(store.keys, before_ms=before_ms))
