"""From a handle to what a display needs of it."""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol

from jobsvc_sdk.values import CancelSummary

from .source import GoneListener, Listener, Source, Status, Undo

if TYPE_CHECKING:

    class Handle(Protocol):
        """A job or batch of the sync client, as far as a display uses it."""

        def __init__(self, client: Any, status: Any) -> None: ...

        @property
        def id(self) -> str:
            """Its id."""

        @property
        def last_status(self) -> Any:
            """The newest status known to it; version 0 when it has none yet."""

        @property
        def client(self) -> Any:
            """The client it belongs to, with its hub."""

        def on_status(self, status: Any) -> None:
            """Take news."""

        def refresh(self) -> Any:
            """Ask the server for the newest status."""

        def cancel(self, reason: str = "", *, timeout: float | None = None) -> Any:
            """Ask the server to cancel."""


_REASON = "cancelled with the button in a notebook"


def source_of(handle: Handle, kind: Literal["job", "batch"]) -> Source:
    """Make a source of a handle, without keeping the handle (and the result in it) alive.

    Args:
        handle: A job or batch of the sync client.
        kind: Which of the two.

    Raises:
        NotFound: A handle that was made from an id alone turns out to have nothing behind it.
    """
    if not handle.last_status.version:
        handle.refresh()
    tie = _Tie(handle, kind)
    return Source(
        kind=kind,
        id=handle.id,
        owner=tie.hub,
        first=handle.last_status,
        latest=tie.latest,
        subscribe=tie.subscribe,
        on_connection=tie.hub.on_connection,
        cancel=tie.cancel,
    )


class _Tie:
    """What is left of a handle when nobody else holds it: its client and what it was at first."""

    def __init__(self, handle: Handle, kind: Literal["job", "batch"]) -> None:
        self._handle = weakref.ref(handle)
        self._again = partial(type(handle), handle.client, handle.last_status)
        self._kind = kind
        self._id = handle.id
        self.hub = handle.client.hub

    def latest(self) -> Status | None:
        alive = self._handle()
        return None if alive is None else alive.last_status

    def subscribe(self, listener: Listener, gone: GoneListener) -> Undo:
        def tell(status: Status) -> None:
            # The handle must not know less than what is on the screen beside it.
            alive = self._handle()
            if alive is not None:
                alive.on_status(status)
            listener(status)

        try:
            return self.hub.subscribe(self._kind, self._id, tell, on_missing=gone)  # type: ignore[no-any-return]
        except RuntimeError as closed:
            # The client was closed: what is known is shown all the same.
            gone(closed)
            return lambda: None

    def cancel(self, timeout_s: float) -> str:
        # A handle made again by the client would ask the server first, and take its time when that is away.
        return outcome((self._handle() or self._again()).cancel(_REASON, timeout=timeout_s))


def outcome(answer: bool | CancelSummary) -> str:
    """Say what became of a request to cancel."""
    if not isinstance(answer, CancelSummary):
        return "asked to stop" if answer else "it had ended before"
    told = {"cancelled": answer.cancelled, "asked to stop": answer.requested}
    return ", ".join(f"{count:,} {word}" for word, count in told.items() if count) or "all had ended before"
