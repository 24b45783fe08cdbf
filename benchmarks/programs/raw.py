"""The least that a client of Redis can be."""

from __future__ import annotations

import socket
from typing import Any, cast

import hiredis


class RawConnection:
    """A blocking connection: one command at a time, nothing is handled."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()

    def ask(self, *words: str | bytes | float) -> Any:
        """Send a command and wait for its answer."""
        self._socket.sendall(hiredis.pack_command(cast("Any", words)))
        while (answer := self._reader.gets()) is False:
            data = self._socket.recv(65_536)
            if not data:
                raise ConnectionError("Valkey has closed the connection")
            self._reader.feed(data)
        return answer

    def close(self) -> None:
        """Close it."""
        self._socket.close()
