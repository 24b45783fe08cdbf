"""When cards are painted: often enough to look alive, seldom enough never to choke the page.

A notebook server drops messages above about 1,000 a second, and with them the output of the next cell. So a card is
painted at most four times a second and all cards of a kernel together send at most fifty messages a second. An end is
painted exactly once and goes first: a fifth of the messages is kept for ends.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

MESSAGES_PER_SECOND = 50
KEPT_FOR_ENDS = 10
TICK_S = 1.0

_log = logging.getLogger("jobsvc_sdk.display")


class Paintable(Protocol):
    """Something on the page."""

    @property
    def interval_s(self) -> float:
        """Shortest time between two paints, in seconds."""
        ...

    def cost(self, *, final: bool) -> int:
        """Give the most messages that the next paint may send."""
        ...

    def paint(self, *, final: bool) -> int:
        """Bring the page up to date and give the number of messages that were sent.

        Args:
            final: This is the last paint: the job or batch has ended.
        """
        ...


class Budget:
    """Messages sent in the last second; not thread safe."""

    def __init__(self, limit: int = MESSAGES_PER_SECOND) -> None:
        self._limit = limit
        self._sent: deque[float] = deque()

    def wait(self, cost: int, now: float, *, keep: int = 0) -> float:
        """Give the seconds until ``cost`` messages may be sent: 0 when they may be sent now.

        Args:
            cost: How many messages.
            now: Monotonic clock reading, in seconds.
            keep: How many of the limit must stay free.
        """
        while self._sent and self._sent[0] <= now - 1.0:
            self._sent.popleft()
        excess = len(self._sent) + cost - max(1, self._limit - keep)
        if excess <= 0 or not self._sent:
            return 0.0
        return self._sent[min(excess, len(self._sent)) - 1] + 1.0 - now

    def spend(self, count: int, now: float) -> None:
        """Note that messages were sent."""
        self._sent.extend([now] * count)


@dataclass(slots=True)
class _Entry:
    """What the painter knows of one card."""

    card: weakref.ref[Paintable]
    dirty: bool = True
    final: bool = False
    painted: float = float("-inf")
    turn: int = 0

    def due(self, interval_s: float) -> float:
        """Give the time of the next paint: a quiet card ticks, so that its clock moves."""
        if self.final:
            return float("-inf")
        return self.painted + (interval_s if self.dirty else max(interval_s, TICK_S))


class Painter:
    """Paints cards from one daemon thread that lives as long as there is something to paint.

    Cards are held weakly: one that nobody else holds is forgotten, and costs nothing more.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, threaded: bool = True) -> None:
        """Make a painter with no cards.

        Args:
            clock: Monotonic seconds.
            threaded: Whether it starts its thread by itself; else somebody calls `paint_due`.
        """
        self._clock = clock
        self._threaded = threaded
        self._budget = Budget()
        self._entries: dict[int, _Entry] = {}
        self._wake = threading.Condition()
        self._painting = threading.RLock()
        self._thread: threading.Thread | None = None
        self._pumps = 0
        self._turns = 0

    def offer(self, card: Paintable, *, final: bool = False) -> None:
        """Say that a card has something new to show.

        Args:
            card: The card.
            final: Its job or batch has ended: it is painted once more, at once, and then forgotten.
        """
        with self._wake:
            entry = self._entries.get(id(card))
            if entry is None or entry.card() is not card:
                entry = self._entries[id(card)] = _Entry(weakref.ref(card))
            entry.dirty = True
            entry.final = entry.final or final
            if self._threaded and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="jobsvc-paint", daemon=True)
                self._thread.start()
            self._wake.notify_all()

    def paint_due(self) -> float:
        """Paint what is due and may be sent; give the seconds until it is worth calling again."""
        with self._painting:
            while True:
                entry, delay = self._next()
                if entry is None:
                    return delay
                self._paint(entry)

    def flush(self, timeout_s: float = 5.0) -> None:
        """Wait until every end that was offered is on the page.

        Args:
            timeout_s: Give up after this many seconds; the ends are painted later all the same.
        """
        deadline = self._clock() + timeout_s
        while self._clock() < deadline and self._ends_waiting():
            delay = self.paint_due()
            with self._wake:
                if delay > 0 and self._entries:
                    self._wake.wait(min(delay, 0.05))
        # The thread may be in the middle of the last one.
        with self._painting:
            return

    @contextlib.contextmanager
    def pumped(self) -> Iterator[None]:
        """Leave the painting to the calling thread for a while (see `pump`)."""
        with self._wake:
            self._pumps += 1
        try:
            yield
        finally:
            with self._wake:
                self._pumps -= 1
                self._wake.notify_all()

    def pump(self, timeout_s: float) -> None:
        """Paint what is due in the calling thread, then wait for more.

        Args:
            timeout_s: Wait at most this many seconds.
        """
        delay = self.paint_due()
        with self._wake:
            if not self._pressing():
                self._wake.wait(min(delay, timeout_s))

    def _ends_waiting(self) -> bool:
        with self._wake:
            return any(entry.final and entry.card() is not None for entry in self._entries.values())

    def _run(self) -> None:
        while True:
            with self._wake:
                pumped = self._pumps > 0
            delay = 0.2 if pumped else self.paint_due()
            with self._wake:
                if not self._entries:
                    self._thread = None
                    return
                if pumped or not self._pressing():
                    self._wake.wait(delay)

    def _pressing(self) -> bool:
        """Say whether something was offered between painting and waiting; called with the lock held."""
        return self._choose()[1] <= 0

    def _next(self) -> tuple[_Entry | None, float]:
        """Take the entry to paint now, or give the seconds until there is one."""
        with self._wake:
            chosen, delay = self._choose()
            if chosen is None or delay > 0:
                return None, delay
            entry = self._entries[chosen]
            entry.dirty = False
            entry.painted = self._clock()
            entry.turn = self._turns = self._turns + 1
            if entry.final:
                del self._entries[chosen]
            return entry, 0.0

    def _choose(self) -> tuple[int | None, float]:
        """Find the most urgent entry and the seconds until its time has come; called with the lock held."""
        now = self._clock()
        urgent, card, first = None, None, (float("inf"), 0)
        for key, entry in list(self._entries.items()):
            alive = entry.card()
            if alive is None:
                del self._entries[key]
                continue
            # The turn makes it fair among those that were painted at the same moment.
            order = (entry.due(alive.interval_s), entry.turn)
            if order < first:
                urgent, card, first = key, alive, order
        if urgent is None or card is None:
            return None, 60.0
        final = self._entries[urgent].final
        keep = 0 if final else KEPT_FOR_ENDS
        return urgent, max(first[0] - now, self._budget.wait(card.cost(final=final), now, keep=keep), 0.0)

    def _paint(self, entry: _Entry) -> None:
        card = entry.card()
        if card is None:
            return
        try:
            sent = card.paint(final=entry.final)
        except Exception:
            # A page that is gone (kernel shutting down, widgets closed) must not take the other cards with it.
            _log.exception("A card could not be painted and is no longer updated")
            with self._wake:
                self._entries.pop(id(card), None)
            return
        with self._wake:
            # Counted from when it was sent: what was slow must not be followed too soon.
            entry.painted = self._clock()
            self._budget.spend(sent, entry.painted)
