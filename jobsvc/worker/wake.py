"""Waiting for work without polling: Redis answers as soon as a queue has some."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from jobsvc.model.errors import JobsvcError, StoreUnavailable
from jobsvc.store import calls
from jobsvc.store.calls import Call
from jobsvc.store.resp import Argument
from jobsvc.store.store import Store

BLOCK_S = 5
"""Redis is asked to wait this long at a time; an answer that is overdue shows a dead connection."""


UNBLOCK_TAKES_S = 0.1


@dataclass(frozen=True, slots=True)
class Woken:
    """Why waiting has ended.

    Attributes:
        marker: A marker was taken: the caller must look for work, or ``put_back`` the marker.
        answer: What the call answered that was sent along; ``None`` when there was none or its answer was lost.
    """

    marker: bool = False
    answer: Any = None


class Waker:
    """Waits on the markers of some queues. One thread at a time may wait.

    Each queue has a marker, a sorted set of one member, that scripts set when there is something to do; it is taken by
    exactly one waiting worker, and whoever takes it without using up the work sets it again. Markers are hints: to
    claim too often costs a round trip, never a job.

    Args:
        store: The store.
        queues: The queues.
    """

    def __init__(self, store: Store, queues: Sequence[str]) -> None:
        self._store = store
        self._connection = store.connection()
        self._keys = {queue: store.keys.queue(queue, "wake") for queue in queues}
        self._nothing = f"{store.keys.tag}:nothing"
        self._client_id = 0
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._interrupted = threading.Event()

    def wait(self, until: float | None, then: Call[Any] | None = None, *, but: Collection[str] = ()) -> Woken:
        """Return when there may be work, when ``until`` (monotonic seconds) has come, or when interrupted.

        While Redis is away it returns after a moment, so that callers find out.

        Args:
            until: ``None`` waits for a marker only.
            then: Travels along and is carried out by Redis as soon as the waiting ends, whatever ends it: looking for
                work costs no round trip of its own. If it is a script that Redis does not know, or the connection
                breaks, there is no answer.
            but: Queues whose markers are left to others.
        """
        if self._interrupted.is_set() or (until is not None and until <= time.monotonic()):
            return Woken()
        try:
            with contextlib.suppress(BlockingIOError):
                os.read(self._reader, 1024)  # nudges of the time before
            if self._interrupted.is_set():  # its byte may have been among them
                return Woken()
            self._ask(then, but)
            patience = float(BLOCK_S + 3)
            due = patience if until is None else until - time.monotonic()
            if self._connection.readable(min(due, patience), self._reader):
                return self._answer(then)
            if due >= patience and not self._interrupted.is_set():
                raise StoreUnavailable("no answer in time")
            return self._give_up(then)
        except JobsvcError:
            self._connection.close()
            self._interrupted.wait(random.uniform(0.05, 0.3))
            return Woken()

    def put_back(self) -> None:
        """Set the markers again, for another worker."""
        self._store.run_many([calls.wake(key) for key in self._keys.values()])

    def nudge(self) -> None:
        """Let the thread that waits now, if one does, return at once: it must look anew at what it waits for."""
        os.write(self._writer, b"n")

    def interrupt(self) -> None:
        """Let the waiting thread, and all that follow, return at once."""
        self._interrupted.set()
        os.write(self._writer, b"x")

    def close(self) -> None:
        """Let go of the connection, once nobody waits."""
        self._connection.close()

    def _ask(self, then: Call[Any] | None, but: Collection[str]) -> None:
        keys = [key for queue, key in self._keys.items() if queue not in but] or [self._nothing]
        commands: list[Sequence[Argument]] = [("CLIENT", "ID"), ("BZPOPMIN", *keys, BLOCK_S)]
        self._connection.send(commands if then is None else [*commands, self._store.words(then)])
        self._client_id = int(self._receive())

    def _answer(self, then: Call[Any] | None) -> Woken:
        marker = isinstance(self._receive(), list)
        answer = None if then is None else self._connection.receive()
        if then is None or isinstance(answer, Exception):
            return Woken(marker)
        return Woken(marker, then.read(answer))

    def _receive(self) -> Any:
        answer = self._connection.receive()
        if isinstance(
            answer, Exception
        ):  # it loads its data, or we may not: look for work now and then instead
            raise StoreUnavailable(str(answer))
        return answer

    def _give_up(self, then: Call[Any] | None) -> Woken:
        """Stop waiting in Redis, too: a marker taken for nobody would leave another worker asleep beside the work."""
        while True:
            self._store.run(calls.unblock(self._client_id))
            if self._connection.readable(UNBLOCK_TAKES_S):
                return self._answer(then)  # else Redis had not even begun to wait when it was told to stop
