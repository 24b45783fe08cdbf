"""What handles of jobs and batches have in common: a newest status, and waiting for the last one."""

from __future__ import annotations

import abc
import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from jobsvc_sdk._tracker import Key, Status
from jobsvc_sdk.values import BatchStatus, JobStatus

from .native import Signal, on_watch_thread, sleep

if TYPE_CHECKING:
    from .client import AsyncClientCore
    from .hub import AsyncHub

CHECK_S = 5.0
"""How often whoever waits looks whether the stream is still alive."""
FRESH_S = 0.5
_log = logging.getLogger("jobsvc_sdk")

AnyStatus = TypeVar("AnyStatus", JobStatus, BatchStatus)


class AsyncWatched(abc.ABC, Generic[AnyStatus]):
    """A handle that learns of changes from its client's hub, once somebody is interested."""

    def __init__(self, client: AsyncClientCore, status: AnyStatus) -> None:
        self._client = client
        self._status: AnyStatus = status
        self._lock = threading.RLock()
        self._ended = Signal()
        self._gone: Exception | None = None
        self._watched_by: AsyncHub | None = None
        self._callbacks: list[Callable[[Any], object]] = []
        self._heard_at = time.monotonic()
        if status.terminal:
            self._ended.set()

    @property
    def id(self) -> str:
        """The id; the client makes a handle from it again, also in another process."""
        return self._status.id

    @property
    def client(self) -> AsyncClientCore:
        """The client this handle speaks through."""
        return self._client

    @property
    def last_status(self) -> AnyStatus:
        """The newest status known here, without asking anybody."""
        return self._status

    @property
    def title(self) -> str:
        """Text for people; may be empty."""
        return self._status.title

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[str, str]:
        return (self._client.address, self.id)

    @abc.abstractmethod
    def _key(self) -> Key:
        """What to watch."""

    @abc.abstractmethod
    def _newest(self, incoming: Status) -> AnyStatus:
        """Return the newer of the known and another status."""

    @abc.abstractmethod
    def _timeout_text(self, timeout: float) -> str:
        """Say that the time is up, and what that means."""

    @abc.abstractmethod
    async def refresh(self) -> Any:
        """Ask the server for the newest status."""

    def on_status(self, status: Status) -> None:
        """Take news from the hub or from an answer."""
        with self._lock:
            self._status = self._newest(status)
            self._heard_at = time.monotonic()
            if not self._status.terminal and self._ended.is_set() and self._gone is None:
                self._ended.clear()  # somebody queued it again
                self._watched_by = None
            if not self._status.terminal or self._ended.is_set():
                return
            callbacks, self._callbacks = self._callbacks, []
            self._ended.set()
        self._run(callbacks)

    def on_gone(self, error: Exception) -> None:
        """Learn from the hub that there will be no news."""
        with self._lock:
            self._gone = error
            callbacks, self._callbacks = self._callbacks, []
            self._ended.set()
        self._run(callbacks)

    def add_done_callback(self, function: Callable[[Any], object]) -> None:
        """Call a function with this handle when it has ended; at once if it has.

        It runs where news arrives: for the sync client that is a thread of the SDK, so it should be quick and leave
        the notebook's output alone. What it raises is logged. The handle is kept alive until then.

        Args:
            function: Called once, also when the job or batch turns out not to exist.
        """
        with self._lock:
            waiting = not self._ended.is_set()
            if waiting:
                self._callbacks.append(function)
                self._client._keep(self)
        if waiting:
            self._watch()
        else:
            self._run([function])

    def _run(self, callbacks: list[Callable[[Any], object]]) -> None:
        self._client._let_go(self)
        for function in callbacks:
            try:
                function(self)
            except Exception:
                _log.exception("a callback of %s raised", self.id)

    def _watch(self) -> None:
        """Let news come from now on."""
        hub = self._client.hub  # a forked process has another one
        with self._lock:
            if self._watched_by is hub or self._ended.is_set():
                return
            self._watched_by = hub
        known = self._status if self._status.version else None
        try:
            hub.watch(self._key(), self, via=self._through(), known=known, weak=True)
        except BaseException:
            self._watched_by = None
            raise

    def _through(self) -> str:
        return ""

    def _is_fresh(self) -> bool:
        """Tell whether there was news so recently that asking is not worth it: a list was just read, say."""
        return self._status.version > 0 and time.monotonic() - self._heard_at < FRESH_S

    async def _until_ended(self, timeout: float | None) -> None:
        """Wait for the end.

        Raises:
            TimeoutError: It has not ended in time; nothing was cancelled.
            JobsvcError: It does not exist, or the client was closed.
        """
        __tracebackhide__ = True
        deadline = None if timeout is None else time.monotonic() + timeout
        if on_watch_thread():
            await self._poll(timeout, deadline)
        self._watch()
        while not self._ended.is_set():
            left = CHECK_S if deadline is None else min(deadline - time.monotonic(), CHECK_S)
            if not await self._ended.wait(max(0.0, left)):
                if timeout is not None and left < CHECK_S:
                    raise TimeoutError(self._timeout_text(timeout))
                self._client.hub.check()
        if self._gone is not None:
            raise self._gone

    async def _poll(self, timeout: float | None, deadline: float | None) -> None:
        """Ask again and again: the way to wait inside a callback, where no news can arrive."""
        while not self._ended.is_set():
            await self.refresh()
            if timeout is not None and deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(self._timeout_text(timeout))
            if not self._ended.is_set():
                await sleep(0.2)
