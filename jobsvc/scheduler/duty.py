"""What every duty has in common."""

from __future__ import annotations

from typing import Protocol

from jobsvc.store.async_store import AsyncStore


class Duty(Protocol):
    """Something that is done again and again.

    Attributes:
        name: For the log.
        every_s: Time between two ticks, seconds.
    """

    name: str
    every_s: float

    async def tick(self, store: AsyncStore) -> None:
        """Do a bounded piece of work; what is left over waits for the next tick.

        Raises:
            StoreUnavailable: Redis cannot be reached; the next tick goes on.
        """
