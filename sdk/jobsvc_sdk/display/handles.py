"""From a handle to what a display needs of it."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Literal, Protocol

from jobsvc_sdk.values import CancelSummary

from .source import ConnectionListener, GoneListener, Listener, Source, Status, Undo

if TYPE_CHECKING:

    class Handle(Protocol):
        """A job or batch of the sync client, as far as a display uses it."""

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
    client, hub, id = handle.client, handle.client.hub, handle.id
    reference = weakref.ref(handle)

    def latest() -> Status | None:
        alive = reference()
        return None if alive is None else alive.last_status

    def subscribe(listener: Listener, gone: GoneListener) -> Undo:
        def tell(status: Status) -> None:
            # The handle must not know less than what is on the screen beside it.
            alive = reference()
            if alive is not None:
                alive.on_status(status)
            listener(status)

        try:
            return hub.subscribe(kind, id, tell, on_missing=gone)  # type: ignore[no-any-return]
        except RuntimeError as closed:
            # The client was closed: what is known is shown all the same.
            gone(closed)
            return lambda: None

    def on_connection(listener: ConnectionListener) -> Undo:
        return hub.on_connection(listener)  # type: ignore[no-any-return]

    def cancel(timeout_s: float) -> str:
        alive = reference() or (client.job(id) if kind == "job" else client.batch(id))
        return outcome(alive.cancel(_REASON, timeout=timeout_s))

    return Source(
        kind=kind,
        id=id,
        owner=hub,
        first=handle.last_status,
        latest=latest,
        subscribe=subscribe,
        on_connection=on_connection,
        cancel=cancel,
    )


def outcome(answer: bool | CancelSummary) -> str:
    """Say what became of a request to cancel."""
    if not isinstance(answer, CancelSummary):
        return "asked to stop" if answer else "it had ended before"
    told = {"cancelled": answer.cancelled, "asked to stop": answer.requested}
    return ", ".join(f"{count:,} {word}" for word, count in told.items() if count) or "all had ended before"
