"""Everything one client watches, over as few streams as possible: one, up to 1,000 jobs and batches."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol, TypeAlias

from jobsvc_sdk._tracker import Key, Kind, News, Status, Tracker
from jobsvc_sdk.errors import JobsvcError, NotFound
from jobsvc_sdk.values import JobStatus

from .reader import MAX_TARGETS, AsyncReader
from .transport import AsyncTransport

THROUGH_BATCH = 10
"""When more jobs of one batch than this are watched, the batch is watched instead, with its jobs."""
_log = logging.getLogger("jobsvc_sdk")

StatusListener: TypeAlias = Callable[[Status], None]
ConnectionListener: TypeAlias = Callable[[bool, str], None]
Undo: TypeAlias = Callable[[], None]


class AsyncSink(Protocol):
    """Whoever waits for news of one thing."""

    def on_status(self, status: Status) -> None:
        """Take a status that is newer than the one before; the last one is terminal."""
        ...

    def on_gone(self, error: Exception) -> None:
        """Learn that no more news will come, and why."""
        ...


class _Listening:
    """A pair of functions as a sink. Two streams may race while a job moves between them: old news is dropped."""

    def __init__(self, on_status: StatusListener, on_gone: Callable[[Exception], None]) -> None:
        self._listener = on_status
        self._lock = threading.Lock()
        self._version = 0
        self.on_gone = on_gone

    def on_status(self, status: Status) -> None:
        with self._lock:
            if status.version < self._version:
                return
            self._version = status.version
        self._listener(status)


_Reference: TypeAlias = Callable[[], AsyncSink | None]


class AsyncHub:
    """Watches jobs and batches for their handles and views.

    It starts with the first thing to watch and ends 30 s after the last. It reconnects by itself; versions never go
    backwards, and the end of everything watched is always told.
    """

    def __init__(self, transport: AsyncTransport) -> None:
        self.lock = threading.RLock()
        self.tracker = Tracker()
        self.transport = transport
        self._sinks: dict[Key, list[_Reference]] = {}
        self._members: dict[str, set[str]] = {}
        self._readers: list[AsyncReader] = []
        self._connection_listeners: list[ConnectionListener] = []
        self._connected = True
        self._closed = False

    def subscribe(
        self,
        kind: Kind,
        id: str,
        listener: StatusListener,
        *,
        on_missing: Callable[[Exception], None] | None = None,
    ) -> Undo:
        """Call a listener with every newer status of a job or batch.

        Args:
            kind: ``"job"`` or ``"batch"``.
            id: Its id.
            listener: Called on the hub's thread, with the newest status only and never an older one; the terminal
                status always comes, and is the last. It must be quick and may unsubscribe.
            on_missing: Called once instead when there is no such job or batch, or the client is closed.

        Returns:
            A function that ends the subscription.
        """
        return self.watch((kind, id), _Listening(listener, on_missing or (lambda error: None)))

    def watch(
        self, key: Key, sink: AsyncSink, *, via: str = "", known: Status | None = None, weak: bool = False
    ) -> Undo:
        """Send news of a job or batch to a sink.

        Args:
            key: What to watch.
            sink: Where the news goes.
            via: Batch of the job, through which it may be watched.
            known: The newest status the sink has; only newer ones are sent.
            weak: Whether the watching ends when nobody else holds the sink.

        Returns:
            A function that ends it.
        """
        reference: _Reference = weakref.ref(sink) if weak else partial(_same, sink)
        with self.lock:
            if self._closed:
                raise RuntimeError("this client is closed; connect() makes a new one")
            status = self.tracker.get(key)
            if status is not None and known is not None and known.version > status.version:
                status = known  # it had failed, and was queued again
            if status is None or not status.terminal:
                if known is not None:
                    self.tracker.learn(known)
                self._sinks.setdefault(key, []).append(reference)
                self._place(key, via)
        if status is not None and (known is None or status.version > known.version):
            _tell(lambda: sink.on_status(status))
        return partial(self._undo, key, reference)

    def on_connection(self, listener: ConnectionListener) -> Undo:
        """Call a listener with (connected, text) when the connection breaks or is back; returns what ends that."""
        with self.lock:
            self._connection_listeners.append(listener)
            connected = self._connected
        if not connected:
            listener(False, f"reconnecting to {self.transport.connection.address}")

        def undo() -> None:
            with self.lock:
                if listener in self._connection_listeners:
                    self._connection_listeners.remove(listener)

        return undo

    def is_live(self, key: Key, via: str = "") -> bool:
        """Tell whether what is known of this is as new as the server's, because a stream covers it."""
        with self.lock:
            return any(key in reader.live or ("batch", via) in reader.live for reader in self._readers)

    def check(self) -> None:
        """Notice streams that died without a word; called by whoever waits."""
        with self.lock:
            for reader in self._readers:
                reader.check()

    def close(self) -> None:
        """End all streams and tell whoever waits."""
        with self.lock:
            self._closed = True
            for reader in self._readers:
                reader.stop()
        self.drop(
            list(self._sinks), JobsvcError("the client was closed; the job goes on, client.job(id) finds it")
        )

    # Called by readers.

    def deliver(self, news: News) -> set[str]:
        """Pass news on; returns jobs whose state has to be asked for."""
        calls: list[Callable[[], None]] = []
        with self.lock:
            unclear = {job_id for job_id in news.gaps if ("job", job_id) in self._sinks}
            for key, status in news.statuses.items():
                calls += [partial(sink.on_status, status) for sink in self._sinks_of(key)]
            ended = set(news.ended)
            ended |= {
                key
                for key, status in news.statuses.items()
                if isinstance(status, JobStatus) and status.terminal
            }
            for key in ended:
                if key[0] == "batch":
                    unclear |= self._members.get(key[1], set()) - {job_id for _, job_id in ended}
            for key in ended:
                self._release(key)
        for call in calls:
            _tell(call)
        for id in news.missing:
            self._watch_one_by_one(id)
            error = NotFound(f"there is no {id}, or it is no longer kept, or it belongs to somebody else")
            self.drop([("job", id), ("batch", id)], error)
        return unclear

    def drop(self, keys: Iterable[Key], error: Exception) -> None:
        """Tell whoever waits for these that no more news will come."""
        with self.lock:
            calls = []
            for key in keys:
                calls += [partial(sink.on_gone, error) for sink in self._sinks_of(key)]
                self._release(key)
        for call in calls:
            _tell(call)

    def report(self, connected: bool, text: str) -> None:
        """Tell of a break of the connection, or of its end."""
        with self.lock:
            if connected == self._connected:
                return
            self._connected = connected
            listeners = list(self._connection_listeners)
        for listener in listeners:
            _tell(partial(listener, connected, text))

    def sweep(self) -> None:
        """Stop watching what nobody holds any more."""
        with self.lock:
            for key in list(self._sinks):
                if not self._sinks_of(key):
                    self._release(key)

    # Inside; the lock is held.

    def _sinks_of(self, key: Key) -> list[AsyncSink]:
        alive = [
            (reference, sink) for reference in self._sinks.get(key, ()) if (sink := reference()) is not None
        ]
        if key in self._sinks:
            self._sinks[key] = [reference for reference, _ in alive]
        return [sink for _, sink in alive]

    def _place(self, key: Key, via: str) -> None:
        """See to it that a stream covers something."""
        if via and key[0] == "job":
            members = self._members.setdefault(via, set())
            members.add(key[1])
            if len(members) > THROUGH_BATCH:
                self._reader_for(("batch", via)).add(("batch", via), include_jobs=True)
                for job_id in members:
                    self._uncover(("job", job_id))
                return
        self._reader_for(key).add(key)

    def _watch_one_by_one(self, batch_id: str) -> None:
        """Watch jobs by themselves whose batch is no longer kept: they may be, or will be told to be missing."""
        with self.lock:
            members = self._members.pop(batch_id, set())
            self._uncover(("batch", batch_id))
            for job_id in members:
                self._reader_for(("job", job_id)).add(("job", job_id))

    def _reader_for(self, key: Key) -> AsyncReader:
        for reader in self._readers:
            if key in reader.targets:
                return reader
        for reader in self._readers:
            if len(reader.targets) < MAX_TARGETS:
                return reader
        number = len(self._readers) + 1
        self._readers.append(AsyncReader(self, "jobsvc-watch" if number == 1 else f"jobsvc-watch-{number}"))
        return self._readers[-1]

    def _uncover(self, key: Key) -> None:
        for reader in self._readers:
            reader.remove(key)

    def _undo(self, key: Key, reference: _Reference) -> None:
        with self.lock:
            # By identity: references to two handles of the same job are equal.
            before = self._sinks.get(key, [])
            self._sinks[key] = [item for item in before if item is not reference]
            if not self._sinks_of(key):
                self._release(key)

    def _release(self, key: Key) -> None:
        """Forget a thing that has ended or that nobody watches any more."""
        self._sinks.pop(key, None)
        kind, id = key
        if kind == "batch" and self._members.get(id):
            return  # its jobs are still watched through it
        self._uncover(key)
        self.tracker.forget([key])
        if kind == "batch":
            self.tracker.forget_jobs_of(id)
            return
        for batch_id in [batch_id for batch_id, members in self._members.items() if id in members]:
            self._members[batch_id].discard(id)
            if not self._members[batch_id]:
                del self._members[batch_id]
                if not self._sinks.get(("batch", batch_id)):
                    self._release(("batch", batch_id))


def _same(sink: AsyncSink) -> AsyncSink:
    return sink


def _tell(call: Callable[[], None]) -> None:
    """Call a listener; what it raises is its own affair and must not end the watching."""
    try:
        call()
    except Exception:
        _log.exception("a listener for news of a job raised")
