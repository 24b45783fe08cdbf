"""A card: one job or batch on the page, from its first display to the text that stays in the saved file."""

from __future__ import annotations

import threading
import uuid
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from jobsvc_sdk.values import JobStatus

from . import live_html, static_html, text, wording
from .painter import Painter
from .source import Source, Status, Undo
from .state import JobView, View, batch_view, job_view

if TYPE_CHECKING:
    from .widgets import Face

CANCEL_DEADLINE_S = 3.0
# Four paints a second and the two messages of an end make six in whichever second it falls.
LIVE_INTERVAL_S = 0.25
# Without a widget every paint replaces an output, which costs the page more.
PAGE_INTERVAL_S = 1.0
_DISPLAYS_KEPT = 8


class Publish(Protocol):
    """Sends a display bundle to the page."""

    def __call__(self, bundle: dict[str, Any], display_id: str, *, update: bool) -> None:
        """Show a bundle below the running cell, or replace what was shown under the same display id."""
        ...


def view_of(status: Status, now: datetime, note: str = "") -> View:
    """Compute what to show of a job or batch."""
    return job_view(status, now, note) if isinstance(status, JobStatus) else batch_view(status, now, note)


def static_bundle(view: View, now: datetime) -> dict[str, Any]:
    """Give the HTML and text of a view for the saved file."""
    as_of = now.astimezone().strftime("%H:%M:%S")
    html = (
        static_html.job_html(view, as_of)
        if isinstance(view, JobView)
        else static_html.batch_html(view, as_of)
    )
    return {"text/html": html, "text/plain": text.plain_line(view)}


def live_markup(view: View) -> str:
    """Give the HTML of a view for the live widget."""
    return live_html.job_html(view) if isinstance(view, JobView) else live_html.batch_html(view)


class Card:
    """Shows one job or batch wherever it was displayed, with one set of widgets however often that was.

    The widgets' button keeps the card alive; a card without widgets is kept by `_unwatched` until its end.
    """

    def __init__(
        self,
        source: Source,
        painter: Painter,
        publish: Publish,
        *,
        face: Callable[[str, str, Callable[[], None]], Face] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Make a card that shows nothing yet.

        Args:
            source: The job or batch.
            painter: Decides when the card is painted.
            publish: Sends bundles to the page.
            face: Makes the live widgets; None for HTML without widgets.
            clock: An aware clock reading.
        """
        self._source = source
        self._painter = painter
        self._publish = publish
        self._make_face = face
        self._clock = clock
        self._lock = threading.RLock()
        self._status = source.first
        self._note = ""
        self._cut_off = ""
        self._gone = False
        self._face: Face | None = None
        self._displays: list[str] = []
        self._painted: View | None = None
        self._published_state = ""
        self._cancelling = False
        self._listening = False
        self._undo: tuple[Undo, ...] = ()
        self.ended = threading.Event()

    @property
    def interval_s(self) -> float:
        """Shortest time between two paints, in seconds."""
        return LIVE_INTERVAL_S if self._make_face else PAGE_INTERVAL_S

    def cost(self, *, final: bool) -> int:
        """Give the most messages that the next paint may send."""
        return len(self._displays) + (self._face.cost_of_end if self._face and final else 1)

    def show(self) -> None:
        """Display the card below the running cell, and keep it up to date until the end."""
        with self._lock:
            self._take(self._source.latest())
            view, now = self._view()
            display_id = f"jobsvc-{uuid.uuid4().hex}"
            bundle = static_bundle(view, now)
            if view.terminal:
                self._publish(bundle, display_id, update=False)
                if not self._displays:
                    self.ended.set()
                return
            if self._face is None and self._make_face is not None:
                self._face = self._make_face(live_markup(view), self._source.kind, self._clicked)
                self._painted = view
            self._published_state = view.state
            self._displays = [*self._displays[1 - _DISPLAYS_KEPT :], display_id]
            self._publish(self._live(bundle), display_id, update=False)
            listening, self._listening = self._listening, True
        # Outside the lock: the hub may be calling this card while it is subscribed to it.
        if not listening:
            self._undo = _listen(self)
        if self.ended.is_set():
            self._end()
        else:
            self._painter.offer(self)

    def on_status(self, status: Status) -> None:
        """Take a newer status; called by the hub, on its thread."""
        with self._lock:
            if self.ended.is_set() or self._gone or not self._take(status):
                return
            final = self._view()[0].terminal
        self._painter.offer(self, final=final)

    def on_gone(self, error: Exception) -> None:
        """Show that no more news will come, and why; called by the hub, on its thread."""
        with self._lock:
            if self.ended.is_set():
                return
            self._gone = True
            self._cut_off = wording.one_line(f"no longer watched: {error}", 200)
        self._painter.offer(self, final=True)

    def catch_up(self) -> None:
        """Take what the handle knows already, though the hub has not told this card yet."""
        status = self._source.latest()
        if status is not None:
            self.on_status(status)

    def on_connection(self, connected: bool, words: str) -> None:
        """Show that the connection is lost or back; called by the hub, on its thread."""
        with self._lock:
            self._cut_off = "" if connected else words or "reconnecting"
            if self.ended.is_set():
                return
        self._painter.offer(self)

    def paint(self, *, final: bool) -> int:
        """Bring the page up to date; see `Paintable.paint`."""
        with self._lock:
            view, now = self._view()
            # Once it has ended there is exactly one more paint, the final one, and that was offered already.
            over = view.terminal or self._gone
            if self.ended.is_set() or over != final or (view == self._painted and not final):
                return 0
            self._painted = view
            sent = 0
            if self._face is not None:
                markup = live_markup(view)
                sent = self._face.finish(markup) if final else self._face.update(markup)
            if final or self._face is None or view.state != self._published_state:
                sent += self._replace(view, now, final=final)
            if not final:
                return sent
        self._end()
        return sent

    def _take(self, status: Status | None) -> bool:
        if status is None or status.version < self._status.version:
            return False
        self._status = status
        return True

    def _view(self) -> tuple[View, datetime]:
        now = self._clock()
        return view_of(self._status, now, self._cut_off or self._note), now

    def _live(self, bundle: dict[str, Any]) -> dict[str, Any]:
        return {**(self._face.bundle() if self._face else {}), **bundle}

    def _replace(self, view: View, now: datetime, *, final: bool) -> int:
        """Replace the saved form: with the widget while it lives, without it at the end."""
        bundle = static_bundle(view, now)
        for display_id in self._displays:
            self._publish(bundle if final else self._live(bundle), display_id, update=True)
        self._published_state = view.state
        return len(self._displays)

    def _end(self) -> None:
        self.ended.set()
        _unwatched.discard(self)
        for undo in self._undo:
            undo()

    def _clicked(self) -> None:
        """Cancel, on a click: in the kernel's main thread or beside it, so short and with a deadline."""
        with self._lock:
            if self._cancelling or self._face is None or self.ended.is_set():
                return
            self._cancelling = True
            face = self._face
        face.busy("Cancelling…")
        try:
            note = self._source.cancel(CANCEL_DEADLINE_S)
        except Exception as error:
            note = f"not cancelled: {error}"
            with self._lock:
                self._cancelling = False
            face.ready()
        else:
            face.busy("Cancel requested")
        with self._lock:
            self._note = wording.one_line(note, 200)
            if self.ended.is_set():
                return
        self._painter.offer(self)


_cards: weakref.WeakValueDictionary[tuple[int, str, str], Card] = weakref.WeakValueDictionary()
_unwatched: set[Card] = set()


def card_for(source: Source, make: Callable[[Source], Card]) -> Card:
    """Give the card of a job or batch: the one it has while that is live, else a new one."""
    card = _cards.get(source.key)
    if card is None or card.ended.is_set():
        card = _cards[source.key] = make(source)
    return card


def catch_up() -> None:
    """Bring every live card up to what its handle knows."""
    for card in list(_cards.values()):
        if not card.ended.is_set():
            card.catch_up()


def _listen(card: Card) -> tuple[Undo, ...]:
    """Subscribe a card without keeping it alive."""
    if card._make_face is None:
        _unwatched.add(card)
    reference = weakref.ref(card)
    source = card._source
    undo: list[Undo] = []

    def on_status(status: Status) -> None:
        alive = reference()
        if alive is not None:
            alive.on_status(status)
        else:
            # Undone here and not by a finaliser, which could run anywhere, also inside a lock of the hub.
            for call in undo:
                call()

    def on_connection(connected: bool, words: str) -> None:
        alive = reference()
        if alive is not None:
            alive.on_connection(connected, words)

    def on_gone(error: Exception) -> None:
        alive = reference()
        if alive is not None:
            alive.on_gone(error)

    undo.append(source.on_connection(on_connection))
    undo.append(source.subscribe(on_status, on_gone))
    return tuple(undo)
