"""The hub: who watches what on this server, and when it is read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol, TypeAlias

import structlog

from jobsvc.model.errors import StoreUnavailable
from jobsvc.rpc.errors import ServerStopping
from jobsvc.rpc.views import JobWriter
from jobsvc.rpc.watch.feeds import BatchFeed, Feed, JobFeed, Listener
from jobsvc.rpc.watch.reading import read_feeds
from jobsvc.store import calls
from jobsvc.store.async_store import AsyncStore
from jobsvc.store.subscription import Subscription


class Watcher(Protocol):
    """Whoever has to be told that the server stops."""

    def stop(self) -> None:
        """Come to an end soon."""


Kind: TypeAlias = Literal["job", "batch"]

LINGER_S = 2.0
"""A feed that nobody listens to is kept this long: clients come back, and others ask for the same."""

ROUND_S = 0.005
"""Rounds of reading do not follow each other faster, so that what changes together is read together."""

RETRY_S = 0.5
"""While Redis is away, reading is tried again after this time, or when the channels are back."""


class Hub:
    """Shares one subscription and one reading among all streams of this server.

    Nothing runs while nothing changes. A feed is read when its channel announced something: at once for a move, for
    progress no sooner after the last reading than its most curious listener wants to hear of it.

    Args:
        store: Where records are read.
        subscription: Carries the channels.
        writer: Writes jobs into messages.
    """

    def __init__(self, store: AsyncStore, subscription: Subscription, writer: JobWriter) -> None:
        self._store = store
        self._subscription = subscription
        self._writer = writer
        self._feeds: dict[str, Feed] = {}
        self._due: dict[Feed, float] = {}
        self._changed = asyncio.Event()
        self._next_round: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._log = structlog.get_logger().bind()
        self._watchers: set[Watcher] = set()
        self._stopped = False

    async def join(self, targets: Sequence[tuple[Kind, str, Listener]]) -> list[Feed]:
        """Listen to jobs and batches; returns when nothing that is announced from now on can be missed.

        Raises:
            StoreUnavailable: Redis cannot be reached; nothing is listened to.
            ServerStopping: The server takes no new watchers.
        """
        if self._stopped:
            raise ServerStopping("the server is stopping; ask again, another one may answer")
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        feeds = []
        for kind, target_id, listener in targets:
            feed = self._feeds.get(f"{kind} {target_id}") or self._open(kind, target_id)
            feed.join(listener)
            feeds.append(feed)
        waiting = [feed.subscribed for feed in feeds if feed.subscribed and not feed.subscribed.done()]
        try:
            if waiting:
                await asyncio.wait(set(waiting))
            for feed in feeds:
                if feed.subscribed is not None:
                    feed.subscribed.result()
        except BaseException:
            for feed, (_, _, listener) in zip(feeds, targets, strict=True):
                self.leave(feed, listener)
            raise
        return feeds

    def leave(self, feed: Feed, listener: Listener) -> None:
        """Listen no longer."""
        feed.leave(listener)
        if not feed.listeners:
            if feed.ended or (feed.subscribed and feed.subscribed.done() and feed.subscribed.exception()):
                self._close(feed)
            else:
                asyncio.get_running_loop().call_later(LINGER_S, self._close, feed)

    async def refresh(self, feeds: Iterable[Feed]) -> None:
        """Read feeds anew, together with all others that want it now.

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        for feed in feeds:
            self._mark(feed, True)
        if self._next_round is None:
            self._next_round = asyncio.get_running_loop().create_future()
            self._next_round.add_done_callback(_retrieve)
        await asyncio.shield(self._next_round)

    async def jobs_of(self, batch_id: str) -> list[str]:
        """Return the ids that the items of a batch have; not all of them need exist.

        Raises:
            StoreUnavailable: Redis cannot be reached.
        """
        batch = await self._store.run(calls.read_batch(batch_id))
        return [batch.job_id(index) for index in range(batch.size)] if batch else []

    def after_gap(self) -> None:
        """The channels are back after a break: read everything that is watched."""
        for feed in list(self._feeds.values()):
            feed.after_gap()

    def add(self, watcher: Watcher) -> None:
        """Remember whom to tell when the server stops."""
        self._watchers.add(watcher)

    def remove(self, watcher: Watcher) -> None:
        """Forget a watcher whose stream has ended."""
        self._watchers.discard(watcher)

    def stop(self) -> None:
        """Take no new watchers, and send those there are away."""
        self._stopped = True
        for watcher in list(self._watchers):
            watcher.stop()

    async def close(self) -> None:
        """Stop reading. Streams must have ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    @property
    def watched(self) -> int:
        """Number of feeds."""
        return len(self._feeds)

    def _open(self, kind: Kind, target_id: str) -> Feed:
        feed_class = JobFeed if kind == "job" else BatchFeed
        feed = self._feeds[f"{kind} {target_id}"] = feed_class(target_id, self._writer, self._mark)
        channel = self._store.keys.watch(target_id)
        feed.subscribed = asyncio.create_task(
            self._subscription.add(channel, lambda text: self._hear(target_id, text))
        )
        feed.subscribed.add_done_callback(_retrieve)
        return feed

    def _hear(self, target_id: str, text: str) -> None:
        # a job and a batch may have the same id, and then they share the channel
        for kind in ("job", "batch"):
            feed = self._feeds.get(f"{kind} {target_id}")
            if feed is not None and feed.listeners:
                feed.hear(text)

    def _close(self, feed: Feed) -> None:
        kind, other = ("job", "batch") if isinstance(feed, JobFeed) else ("batch", "job")
        if feed.listeners or self._feeds.get(f"{kind} {feed.id}") is not feed:
            return
        del self._feeds[f"{kind} {feed.id}"]
        self._due.pop(feed, None)
        if f"{other} {feed.id}" not in self._feeds:
            self._subscription.remove(self._store.keys.watch(feed.id))

    def _mark(self, feed: Feed, urgent: bool) -> None:
        if not feed.listeners:
            return
        now = asyncio.get_running_loop().time()
        due = now if urgent else max(now, feed.last_read + feed.interval_s)
        if due < self._due.get(feed, float("inf")):
            self._due[feed] = due
            self._changed.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._until_due(loop)
            now = loop.time()
            feeds = [feed for feed, due in self._due.items() if due <= now]
            for feed in feeds:
                del self._due[feed]
                feed.last_read = now
            waiting, self._next_round = self._next_round, None
            error = await self._round(feeds)
            if waiting is not None and not waiting.done():
                waiting.set_result(None) if error is None else waiting.set_exception(error)
            await asyncio.sleep(ROUND_S)

    async def _until_due(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            self._changed.clear()
            first = min(self._due.values(), default=None)
            if first is not None and first <= loop.time():
                return
            try:
                async with asyncio.timeout_at(first):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _round(self, feeds: Sequence[Feed]) -> Exception | None:
        try:
            await read_feeds(self._store, feeds)
        except Exception as error:
            if not isinstance(error, StoreUnavailable):
                self._log.error("watched jobs cannot be read", exc_info=error)
            retry_at = asyncio.get_running_loop().time() + RETRY_S
            for feed in feeds:
                if feed.listeners:
                    self._due.setdefault(feed, retry_at)
            return error
        return None


def _retrieve(future: asyncio.Future[None]) -> None:
    """Whoever waits for it gets its error; nobody may be left to wait."""
    if not future.cancelled():
        future.exception()
