"""A listener that only knows that something is newer: for Wait and StreamLogs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from jobsvc.rpc.watch.feeds import Feed
from jobsvc.rpc.watch.hub import Hub, Kind


class Ear:
    """Listens to one feed.

    Args:
        interval_s: How often it wants to hear of progress.

    Attributes:
        stopped: The server goes away.
    """

    wants_jobs = False
    wants_logs = False

    def __init__(self, interval_s: float) -> None:
        self.interval_s = interval_s
        self.stopped = False
        self._heard = asyncio.Event()

    def notify(self, changed: Collection[str]) -> None:
        """Something is newer."""
        self._heard.set()

    def stop(self) -> None:
        """The server goes away."""
        self.stopped = True
        self._heard.set()

    async def wait(self, until: float) -> bool:
        """Wait for something newer; returns False when there was nothing until then, by the loop's clock."""
        try:
            async with asyncio.timeout_at(until):
                await self._heard.wait()
        except TimeoutError:
            return False
        self._heard.clear()
        return True


@asynccontextmanager
async def listening(hub: Hub, kind: Kind, target_id: str, ear: Ear) -> AsyncIterator[Feed]:
    """Listen to a job or batch while the block runs; nothing announced in it is missed.

    Raises:
        StoreUnavailable: Redis cannot be reached.
        ServerStopping: The server takes no new watchers.
    """
    [feed] = await hub.join([(kind, target_id, ear)])
    hub.add(ear)
    try:
        yield feed
    finally:
        hub.remove(ear)
        hub.leave(feed, ear)
