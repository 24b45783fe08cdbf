"""StreamProgress: a snapshot, then what changes, then the end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence

from jobsvc.model.errors import StoreUnavailable
from jobsvc.rpc.cancel import no_such_batch
from jobsvc.rpc.errors import ServerStopping
from jobsvc.rpc.guard import Context
from jobsvc.rpc.read import no_such_job
from jobsvc.rpc.views import JobWriter
from jobsvc.rpc.watch.hub import Hub
from jobsvc.rpc.watch.reading import FULL_AT_ONCE
from jobsvc.rpc.watch.request import Plan, read_request
from jobsvc.rpc.watch.snapshot import SnapshotWriter
from jobsvc.rpc.watch.watcher import BatchTarget, JobTarget, Target
from jobsvc.rpc.watch.wire import event_part, heartbeat_part, token_part, write_resume_token
from jobsvc.store.async_store import AsyncStore
from jobsvc_proto.v1 import job_service_pb2 as pb

MESSAGE_BYTES = 1_000_000
"""A message that has reached this size is sent; clients take 4 MiB unless they say otherwise."""

JOBS_AT_ONCE = 200
MAX_RECONNECT_DELAY_S = 2.0


class StreamProgress:
    """Answers StreamProgress.

    Args:
        hub: Tells of changes.
        store: Where the jobs of a batch are read for the snapshot.
        writer: Writes jobs into messages.
        interval_s: Shortest time between two reports of progress of one target, unless a stream asks for another.
        heartbeat_s: Longest silence, unless a stream asks for another.
    """

    def __init__(
        self, hub: Hub, store: AsyncStore, writer: JobWriter, *, interval_s: float, heartbeat_s: float
    ) -> None:
        self._hub = hub
        self._store = store
        self._writer = writer
        self._interval_s = interval_s
        self._heartbeat_s = heartbeat_s

    async def __call__(self, request: pb.StreamProgressRequest, context: Context) -> None:
        """Serve one stream until all targets have ended."""
        plan = read_request(request, interval_s=self._interval_s, heartbeat_s=self._heartbeat_s)
        targets = plan.watcher.targets
        feeds = await self._hub.join(
            [("job" if isinstance(one, JobTarget) else "batch", one.id, one) for one in targets]
        )
        self._hub.add(plan.watcher)
        stream = _Stream(self._hub, self._store, self._writer, plan, context)
        try:
            for target, feed in zip(targets, feeds, strict=True):
                target.attach(feed)
            await self._hub.refresh(feeds)
            await stream.open()
            await stream.follow()
        finally:
            self._hub.remove(plan.watcher)
            for target, feed in zip(targets, feeds, strict=True):
                if not target.ended:
                    self._hub.leave(feed, target)


class _Stream:
    """One stream: collects encoded events, and sends them with a resume token."""

    def __init__(self, hub: Hub, store: AsyncStore, writer: JobWriter, plan: Plan, context: Context) -> None:
        self._hub = hub
        self._store = store
        self._writer = writer
        self._plan = plan
        self._context = context
        self._targets = plan.watcher.targets
        self._open = len(self._targets)
        self._parts: list[bytes] = []
        self._size = 0
        self._sent_at = 0.0

    async def open(self) -> None:
        """Send the snapshot of what the caller does not have, or a sign of life when it has all.

        Raises:
            JobNotFound: None of the targets exists.
        """
        snapshot = SnapshotWriter(self._writer, MESSAGE_BYTES)
        for target in self._targets:
            await self._add(target.open(snapshot))
        self._refuse_if_all_missing()
        for target in self._targets:
            if isinstance(target, BatchTarget) and target.wants_jobs and not target.missing:
                await self._add_jobs(target, snapshot)
        gap = any(target.gap for target in self._targets)
        await self._add(snapshot.last(gap=gap, needed=not self._plan.resumed))
        for target in self._targets:
            if target.missing:
                self._end(target)
        await self._finish([target for target in self._targets if target.over])
        if not self._parts and self._open:
            self._parts.append(heartbeat_part())
        await self._send()

    async def follow(self) -> None:
        """Send what changes until all targets have ended.

        Raises:
            JobNotFound: None of the targets exists any more.
            ServerStopping: The client was asked to reconnect.
        """
        watcher, loop = self._plan.watcher, asyncio.get_running_loop()
        while self._open:
            until = self._sent_at + self._plan.heartbeat_s
            due = await watcher.wait(until)
            if watcher.stopped:
                await self._say_goodbye()
            for target in due:
                await self._add(target.collect(loop.time()))
                if target.missing:
                    self._end(target)
            try:
                await self._finish([target for target in due if target.over])
            except StoreUnavailable:
                for target in due:
                    watcher.mark(
                        target, urgent=False
                    )  # the stream stays open: the end is told when Redis is back
            if not self._parts and loop.time() >= until:
                self._parts.append(heartbeat_part())
            await self._send()
        self._refuse_if_all_missing()

    def _refuse_if_all_missing(self) -> None:
        if all(target.missing for target in self._targets):
            first = self._targets[0]
            raise no_such_job(first.id) if isinstance(first, JobTarget) else no_such_batch(first.id)

    async def _add_jobs(self, target: BatchTarget, snapshot: SnapshotWriter) -> None:
        """Add each job of a batch to the snapshot."""
        ids = await self._hub.jobs_of(target.id)
        for at in range(0, len(ids), JOBS_AT_ONCE):
            for job in await self._store.read(ids[at : at + JOBS_AT_ONCE]):
                if job is not None:
                    target.open_job(job)
                    await self._add(snapshot.job(job))

    async def _finish(self, targets: Sequence[Target]) -> None:
        """Tell the completion of targets that have ended, a few results at a time."""
        for target in targets:
            if isinstance(target, BatchTarget):
                await self._finish_batch(target)
        jobs = [target for target in targets if isinstance(target, JobTarget)]
        for at in range(0, len(jobs), FULL_AT_ONCE):
            part = jobs[at : at + FULL_AT_ONCE]
            unread = [target.job_feed for target in part if target.job_feed.final is None]
            for feed in unread:
                feed.wants_final = True
            if unread:
                await self._hub.refresh(unread)
            for target in part:
                await self._finish_job(target)

    async def _finish_job(self, target: JobTarget) -> None:
        await self._add(target.collect(0.0))
        if target.job_feed.final is not None:
            await self._add([target.job_feed.final])
            self._end(target)
        elif target.missing:
            self._end(target)  # its record went away between two readings

    async def _finish_batch(self, target: BatchTarget) -> None:
        unfinished = target.unfinished()
        if unfinished:
            # its counts were read after some of its jobs: those have ended since
            target.batch_feed.read_again(unfinished)
            await self._hub.refresh([target.batch_feed])
        await self._add(target.collect(0.0))
        completed = pb.Completed(batch=target.batch_feed.message)
        await self._add([event_part(pb.StreamEvent(completed=completed))])
        self._end(target)

    def _end(self, target: Target) -> None:
        target.ended = True
        self._open -= 1
        if target.feed is not None:
            self._hub.leave(target.feed, target)

    async def _say_goodbye(self) -> None:
        event = pb.StreamEvent()
        delay_ms = int(random.uniform(0, MAX_RECONNECT_DELAY_S) * 1_000)
        event.reconnect.after.FromMilliseconds(delay_ms)
        self._parts.append(event_part(event))
        await self._send()
        raise ServerStopping("the server is stopping; open the stream again with the last resume token")

    async def _add(self, parts: Iterable[bytes]) -> None:
        for part in parts:
            self._parts.append(part)
            self._size += len(part)
            if self._size > MESSAGE_BYTES:
                await self._send()

    async def _send(self) -> None:
        if self._parts:
            token = write_resume_token(self._plan.ids, (target.version for target in self._targets))
            message = b"".join((*self._parts, token_part(token)))
            self._parts, self._size = [], 0
            await self._context.write(message)
            self._sent_at = asyncio.get_running_loop().time()
