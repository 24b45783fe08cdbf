"""Scheduled jobs become ready when they are due; jobs of dead workers are taken back."""

from __future__ import annotations

import structlog

from jobsvc.store import calls
from jobsvc.store.async_store import AsyncStore

MAX_SWEEPS = 50
"""Sweeps in one tick, each of which handles at most ``SWEEP_LIMIT`` jobs of each queue."""


class Sweeping:
    """Sweeps every second, and at once again while there is more than one sweep can do."""

    name = "sweep"
    every_s = 1.0

    async def tick(self, store: AsyncStore) -> None:
        """Promote, reap, and move leases on after an outage."""
        for _ in range(MAX_SWEEPS):
            swept = await store.run(calls.sweep())
            if swept.reaped:
                structlog.get_logger().warning(
                    "took jobs back from workers that stopped answering; they run again", jobs=swept.reaped
                )
            if swept.shift_ms:
                structlog.get_logger().warning(
                    "nobody swept for a while or the clock jumped; leases are moved on", by_ms=swept.shift_ms
                )
            if max(swept.promoted, swept.reaped) < calls.SWEEP_LIMIT:
                return
