"""What workers have published and which of them live, in memory: every Submit needs both."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from difflib import get_close_matches

from jobsvc.model.catalog import JobType, WorkerInfo
from jobsvc.model.errors import JobTypeNotFound, UnknownJobType, Violation
from jobsvc.model.queue import Queue
from jobsvc.rpc.arguments import ArgumentsSchema
from jobsvc.rpc.conversion import spec_template
from jobsvc.store import calls
from jobsvc.store.async_store import AsyncStore
from jobsvc_proto.v1 import job_service_pb2 as pb

LIVENESS_S = 1.0
"""Knowledge about live workers that is older than this is read again."""

TYPES_S = 30.0
"""Job types are read again after this time even when nobody told of a change."""


class KnownType:
    """A published job type, ready to check and to fill in jobs."""

    __slots__ = ("schema", "template", "type")

    def __init__(self, job_type: JobType) -> None:
        self.type = job_type
        self.schema = ArgumentsSchema(job_type)
        self.template: pb.JobSpec = spec_template(job_type)


class CatalogCache:
    """Job types by name, queues with their settings, and how many live workers can run each.

    Types are read again when a worker announces a change; who lives is at most ``LIVENESS_S`` old.
    """

    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        self._types: Mapping[str, KnownType] = {}
        self._types_until = 0.0
        self._reading_types: asyncio.Task[None] | None = None
        self._workers: list[WorkerInfo] = []
        self._live: Mapping[str, int] = {}
        self._live_until = 0.0
        self._queues: dict[str, Queue] = {}
        self._queues_until = 0.0
        self._reading_live: asyncio.Task[None] | None = None

    def invalidate(self, _: str = "") -> None:
        """Something changed: read again at the next use."""
        self._types_until = self._live_until = self._queues_until = 0.0

    async def find(self, name: str) -> KnownType:
        """Return a job type.

        Raises:
            UnknownJobType: No worker has ever published it.
            StoreUnavailable: Redis cannot be reached.
        """
        if time.monotonic() > self._types_until:
            await self._read_types()
        known = self._types.get(name)
        if known is None:
            await self._read_types()
            known = self._types.get(name)
        if known is None:
            nearest = get_close_matches(name, self._types, n=3, cutoff=0.5)
            hint = f"; did you mean {' or '.join(nearest)}?" if nearest else ""
            raise UnknownJobType(
                f"no worker has ever published the job type {name!r}{hint}",
                [Violation("spec.job_type", f"is not known{hint}")],
                job_type=name,
                nearest=",".join(nearest),
            )
        return known

    async def queue(self, name: str) -> Queue:
        """Return a queue with its settings; one that nobody gave settings has the defaults."""
        if time.monotonic() > self._queues_until:
            self._queues, self._queues_until = {}, time.monotonic() + TYPES_S
        queue = self._queues.get(name)
        if queue is None:
            known, queue = (
                self._queues,
                await self._store.run(calls.read_queue_settings(self._store.keys, name)),
            )
            known[name] = queue  # forgotten with the others if something changed meanwhile
        return queue

    async def describe(self, name: str) -> JobType:
        """Return a job type that is asked for by name.

        Raises:
            JobTypeNotFound: No worker has ever published it.
        """
        try:
            return (await self.find(name)).type
        except UnknownJobType as error:
            raise JobTypeNotFound(error.message, **error.facts) from None

    async def all(self) -> list[JobType]:
        """Return all job types by name."""
        if time.monotonic() > self._types_until:
            await self._read_types()
        return [known.type for _, known in sorted(self._types.items())]

    def template(self, name: str) -> pb.JobSpec | None:
        """Return the spec of a job that takes everything from its type; ``None`` when the type is not known now."""
        known = self._types.get(name)
        return known.template if known else None

    async def live_workers(self) -> Mapping[str, int]:
        """Return the number of live workers for each job type that has any."""
        if time.monotonic() > self._live_until:
            await self._read_live()
        return self._live

    async def worker_count(self) -> int:
        """Return the number of live workers."""
        await self.live_workers()
        return len(self._workers)

    async def _read_types(self) -> None:
        if self._reading_types is None:
            self._reading_types = asyncio.create_task(self._fetch_types())
            self._reading_types.add_done_callback(self._types_are_read)
        await asyncio.shield(self._reading_types)

    def _types_are_read(self, task: asyncio.Task[None]) -> None:
        self._reading_types = None
        if not task.cancelled():
            task.exception()  # whoever waits raises it; nobody may be left

    async def _fetch_types(self) -> None:
        self._types_until = time.monotonic() + TYPES_S  # an announcement from now on makes it old again
        try:
            published = await self._store.run(calls.read_types(self._store.keys))
        except BaseException:
            self._types_until = 0.0
            raise
        types = {}
        for name, job_type in published.items():
            before = self._types.get(name)
            types[name] = before if before and before.type == job_type else KnownType(job_type)
        self._types = types

    async def _read_live(self) -> None:
        if self._reading_live is None:
            self._reading_live = asyncio.create_task(self._fetch_live())
            self._reading_live.add_done_callback(self._live_is_read)
        await asyncio.shield(self._reading_live)

    def _live_is_read(self, task: asyncio.Task[None]) -> None:
        self._reading_live = None
        if not task.cancelled():
            task.exception()

    async def _fetch_live(self) -> None:
        keys = self._store.keys
        now, heartbeats = await self._store.run_many([calls.clock(), calls.worker_heartbeats(keys)])
        live = {worker: beat for worker, beat in heartbeats.items() if now - beat <= calls.LIVE_WORKER_MS}
        if live.keys() != {worker.id for worker in self._workers}:
            self._workers = await self._store.run(calls.read_workers(keys, live)) if live else []
            self._live = Counter(name for worker in self._workers for name in worker.types)
        self._live_until = time.monotonic() + LIVENESS_S
