"""What a display needs of a job or batch handle, and nothing else of it.

A card must not keep a handle alive, with its result in it: it keeps the id and a few calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from jobsvc_sdk.values import BatchStatus, JobStatus

Status: TypeAlias = JobStatus | BatchStatus
Listener: TypeAlias = Callable[[Status], None]
GoneListener: TypeAlias = Callable[[Exception], None]
ConnectionListener: TypeAlias = Callable[[bool, str], None]
Undo: TypeAlias = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Source:
    """A job or batch as a display sees it.

    Attributes:
        kind: ``job`` or ``batch``.
        id: Its id.
        owner: Identifies the connection, so that two handles of one job share a card.
        first: The status at the time the source was made.
        latest: Gives the newest status that is known here, without a call to the server; None when the handle is gone.
        subscribe: Calls a listener with every newer status, on another thread, until undone. The last one always
            comes, or else the second listener is called, once, with the reason why no more will come.
        on_connection: Calls a listener with (connected, text) when the connection breaks or is back, until undone.
        cancel: Asks the server to cancel, within so many seconds; returns what became of it in a few words.
    """

    kind: Literal["job", "batch"]
    id: str
    owner: object
    first: Status
    latest: Callable[[], Status | None]
    subscribe: Callable[[Listener, GoneListener], Undo]
    on_connection: Callable[[ConnectionListener], Undo]
    cancel: Callable[[float], str]

    @property
    def key(self) -> tuple[int, str, str]:
        """What two sources of the same job have in common."""
        return (id(self.owner), self.kind, self.id)
