"""The store for asyncio: the server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

import hiredis

from jobsvc.model.errors import IdConflict, QueueFull, StoreUnavailable
from jobsvc.model.job import Job, NewBatch, NewJob
from jobsvc.store import calls
from jobsvc.store.address import parse_address
from jobsvc.store.async_connection import AsyncConnection
from jobsvc.store.calls import Call, Committed
from jobsvc.store.keys import Keys
from jobsvc.store.replies import is_missing_script, to_error
from jobsvc.store.store import words_of, words_with_body
from jobsvc.store.subscription import Subscription

T = TypeVar("T")

READ_SIZE = 200
"""Records read by one script."""


class AsyncStore:
    """Runs calls on one shard over one pipelining connection.

    Args:
        url: URL of Redis.
        namespace: Prefix of all keys.
        shard: Number of the shard.

    Raises:
        ConfigurationError: URL or namespace is wrong.
    """

    def __init__(self, url: str, namespace: str = "jobsvc", shard: int = 0) -> None:
        self.keys = Keys(namespace, shard)
        self.address = parse_address(url)
        self._connection = AsyncConnection(self.address)

    async def run(self, call: Call[T]) -> T:
        """Run one call; sent once more when the connection broke, which no script minds.

        Raises:
            StoreUnavailable: Redis cannot be reached.
            JobsvcError: What the call itself raises.
        """
        words = words_of(call, self.keys)
        try:
            answer = await self._connection.ask(words)
        except StoreUnavailable:
            answer = await self._connection.ask(words)
        if isinstance(answer, hiredis.ReplyError) and is_missing_script(str(answer)):
            answer = await self._connection.ask(words_with_body(call, self.keys))
        if isinstance(answer, hiredis.ReplyError):
            raise to_error(str(answer), self.address.label)
        return call.read(answer)

    async def run_many(self, many: Sequence[Call[Any]]) -> list[Any]:
        """Run calls in one round trip; they are carried out in their order."""
        return await asyncio.gather(*(self.run(call) for call in many))

    async def read(self, job_ids: Sequence[str], *, full: bool = False) -> list[Job | None]:
        """Read any number of jobs, ``None`` for those that do not exist."""
        parts = [job_ids[at : at + READ_SIZE] for at in range(0, len(job_ids), READ_SIZE)]
        found = await self.run_many([calls.read(part, full=full) for part in parts])
        return [job for part in found for job in part]

    async def submit_batch(
        self, batch: NewBatch, size: int, jobs: Sequence[tuple[int, NewJob]], *, all_or_nothing: bool
    ) -> tuple[Committed, list[int]]:
        """Submit a batch: stage its jobs in parts, then make them visible all at once.

        Args:
            size: Number of items that the caller sent, rejected ones included.
            jobs: (index, job) of the items that are valid.

        Returns:
            The commit, and the indexes of items that were left out because their id is taken.

        Raises:
            QueueFull: More jobs would wait than a queue takes; nothing was queued.
            IdConflict: The batch id is taken by another batch, or, with ``all_or_nothing``, an item's id is taken
                (``facts["indexes"]``); nothing was queued.
        """
        conflicts: list[int] = []
        for call in calls.stage(batch, size, jobs):
            staged = await self.run(call)
            if staged.committed:
                break
            conflicts += staged.conflicts
        if conflicts and all_or_nothing:
            await self.run(calls.abort(batch.id))
            raise IdConflict(
                f"{len(conflicts)} items have a job_id that is taken, the first is item {conflicts[0]}; "
                "nothing was queued",
                indexes=",".join(map(str, conflicts)),
            )
        try:
            return await self.run(calls.commit(batch.id)), conflicts
        except QueueFull:
            await self.run(calls.abort(batch.id))
            raise

    def subscribe(self) -> Subscription:
        """A connection for channels, opened when the first channel is added."""
        return Subscription(self.address)

    async def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        await asyncio.sleep(0)  # the loop closes the socket in its next turn, and may have no other
