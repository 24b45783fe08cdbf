"""Where the client begins. Written by hand on both sides."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from types import TracebackType

from jobsvc_sdk._connection import Connection, resolve
from jobsvc_sdk.errors import ServerUnavailable
from jobsvc_sdk.values import JobTypeValue

from .client import PATIENCE_S, ClientCore
from .hub import Hub
from .types import Types

_TYPES_FRESH_S = 5.0


class LiveTypes(Types):
    """All job types, read when they are first needed and again when that was some seconds ago."""

    def __init__(self, client: ClientCore) -> None:
        super().__init__(client, ())
        self._read_at: float | None = None

    @property
    def _found(self) -> dict[str, JobTypeValue]:
        first = self._read_at is None
        if self._read_at is None or time.monotonic() - self._read_at > _TYPES_FRESH_S:
            try:
                self._take(self._client.job_types(patience_s=2.0 if first else 0.0))
            except ServerUnavailable:
                if first:
                    raise
        return self._known

    def _take(self, found: Sequence[JobTypeValue]) -> None:
        super()._take(found)
        self._read_at = time.monotonic()


class Client(ClientCore):
    """A client for scripts and notebooks; made by :func:`jobsvc_sdk.connect`. It may be used by several threads.

    Nothing has to be closed: what watches jobs ends with the process. ``with`` and ``close()`` end it earlier.
    """

    def __init__(
        self, connection: Connection, *, patience_s: float = PATIENCE_S, on_interrupt: str = "keep"
    ) -> None:
        super().__init__(connection, patience_s=patience_s, on_interrupt=on_interrupt)
        self._process = os.getpid()
        # An attribute and not a property: completion in a notebook runs no properties.
        self.types: Types = LiveTypes(self)
        """What can be submitted, as attributes that can be called: ``client.types.reports.monthly(year=2026)``."""

    @property
    def hub(self) -> Hub:
        """Watches jobs and batches for their handles and views; a forked process gets one of its own."""
        if self._process != os.getpid():
            self._process, self._hub = os.getpid(), Hub(self._transport)
        return self._hub

    def _types_again(self) -> Sequence[JobTypeValue] | None:
        try:
            return self.job_types(patience_s=0.0)
        except ServerUnavailable:
            return None

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def connect(
    address: str | None = None,
    *,
    token: str | None = None,
    retry_for: float = PATIENCE_S,
    on_interrupt: str = "keep",
) -> Client:
    """Connect to a server.

    Args:
        address: ``host:port``; None takes ``JOBSVC_ADDRESS``, else ``127.0.0.1:7443``.
        token: Sent with every call; None takes ``JOBSVC_TOKEN``.
        retry_for: For how long calls are repeated while the server is unavailable, in seconds.
        on_interrupt: What interrupting a wait does to the job: ``"keep"`` lets it run on, ``"cancel"`` cancels it.

    Raises:
        ServerUnavailable: No server answers there.
        ValueError: The address is not ``host:port``.
    """
    client = Client(resolve(address, token), patience_s=retry_for, on_interrupt=on_interrupt)
    try:
        client.server_info(patience_s=0.0)
    except BaseException:
        client.close()
        raise
    return client
