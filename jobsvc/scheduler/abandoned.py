"""Batches whose server died while it wrote them are taken back; nobody was told that they exist."""

from __future__ import annotations

import structlog

from jobsvc.store import calls
from jobsvc.store.async_store import AsyncStore

AFTER_MS = 600_000
"""A batch that was not written to for so long will not be finished any more."""


class Abandoned:
    """Aborts batches that were staged and not committed."""

    name = "abandoned batches"
    every_s = 30.0

    async def tick(self, store: AsyncStore) -> None:
        """Take back some of them."""
        before_ms = await store.run(calls.clock()) - AFTER_MS
        for batch_id in await store.run(calls.abandoned(store.keys, before_ms=before_ms)):
            if await store.run(calls.abort(batch_id, staged_before_ms=before_ms)):
                structlog.get_logger().warning(
                    "took back a batch that was never finished; its server must have died", batch_id=batch_id
                )
