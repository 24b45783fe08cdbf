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
ConnectionListener: TypeAlias = Callable[[bool, str], None]
Undo: TypeAlias = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Source:
    """A job or batch as a display sees it.

    Attributes:
        kind: ``job`` or ``batch``.
        id: Its id.
        owner: Identifies the connection, so that two handles of one job share a card.
        latest: Gives the newest status that is known, without a call to the server when possible.
        subscribe: Calls a listener with every newer status, on another thread, until undone. The last one always comes.
        on_connection: Calls a listener with (connected, text) when the connection breaks or is back, until undone.
        cancel: Asks the server to cancel, within so many seconds; returns what became of it in a few words.
    """

    kind: Literal["job", "batch"]
    id: str
    owner: object
    latest: Callable[[], Status]
    subscribe: Callable[[Listener], Undo]
    on_connection: Callable[[ConnectionListener], Undo]
    cancel: Callable[[float], str]

    @property
    def key(self) -> tuple[int, str, str]:
        """What two sources of the same job have in common."""
        return (id(self.owner), self.kind, self.id)
