"""Blocking displays: the text bars of terminals and logs, and the painting loop of `watch()` in a notebook."""

from __future__ import annotations

import io
import queue
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import TextIO

from .cards import Card, view_of
from .painter import Painter
from .source import Source, Status, Undo
from .text import TextBars

_REDRAW_S = 0.1
_TICK_S = 0.5


def watch_text(sources: Iterable[Source], stream: TextIO | None = None, *, quiet: bool = False) -> None:
    """Show one-line bars until every job and batch has ended.

    An interrupt (Ctrl-C) stops the watching, never the jobs.

    Args:
        sources: What to watch; each gets a line, in this order.
        stream: Where to write; standard error by default, so that results can be piped.
        quiet: Show nothing, only wait.
    """
    screen = TextBars(io.StringIO() if quiet else stream or sys.stderr)
    _Watch(list(sources), screen).run()


def watch_card(card: Card, painter: Painter) -> None:
    """Show a card and paint it from the calling thread until it has ended.

    For front ends that do not show updates from other threads; elsewhere it looks the same as displaying.
    """
    card.show()
    with painter.pumped():
        while not card.ended.is_set():
            painter.pump(0.2)


class _Watch:
    """The newest status of each source, and what still runs. Listeners only queue what happened; `run` does it."""

    def __init__(self, sources: list[Source], screen: TextBars) -> None:
        self._screen = screen
        self._news: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._sources = sources
        self._latest: dict[str, Status] = {}
        self._gone: set[str] = set()
        self._note = ""
        self._shown_at = 0.0

    def run(self) -> None:
        undo: list[Undo] = []
        try:
            for source in self._sources:
                self._latest[source.id] = source.latest() or source.first
            self._show_all()
            for source in self._sources:
                undo.append(source.on_connection(self._on_connection))
                undo.append(
                    source.subscribe(partial(self._on_status, source.id), partial(self._on_gone, source.id))
                )
            while self._running():
                self._wait()
        finally:
            for call in undo:
                call()
            self._screen.close()

    def _on_status(self, source_id: str, status: Status) -> None:
        self._news.put(partial(self._take, source_id, status))

    def _on_gone(self, source_id: str, error: Exception) -> None:
        self._news.put(partial(self._lose, source_id, f"no longer watched: {error}"))

    def _on_connection(self, connected: bool, words: str) -> None:
        self._news.put(partial(self._say, "" if connected else words or "reconnecting"))

    def _take(self, source_id: str, status: Status) -> None:
        if status.version >= self._latest[source_id].version:
            self._latest[source_id] = status

    def _lose(self, source_id: str, note: str) -> None:
        self._gone.add(source_id)
        self._say(note)

    def _say(self, note: str) -> None:
        self._note = note

    def _running(self) -> bool:
        now = datetime.now(UTC)
        return not all(
            id in self._gone or view_of(status, now).terminal for id, status in self._latest.items()
        )

    def _wait(self) -> None:
        """Take what is new, and show it: ten times a second at most, the end at once."""
        try:
            self._news.get(timeout=_TICK_S)()
        except queue.Empty:
            if self._screen.redraws:
                self._show_all()
            return
        deadline = max(time.monotonic(), self._shown_at + _REDRAW_S)
        while self._running():
            try:
                self._news.get(timeout=max(0.0, deadline - time.monotonic()))()
            except queue.Empty:
                break
        self._show_all()

    def _show_all(self) -> None:
        now = datetime.now(UTC)
        for status in self._latest.values():
            self._screen.show(view_of(status, now, self._note))
        self._shown_at = time.monotonic()
