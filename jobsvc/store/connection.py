"""A thin blocking connection to Redis.

Workers spend their time in a few hot calls; a plain socket with hiredis on both sides costs a fifth of what a general
client does. One connection belongs to one thread at a time.
"""

from __future__ import annotations

import contextlib
import math
import select
import socket
import time
from collections.abc import Sequence
from typing import Any

import hiredis

from jobsvc.model.errors import StoreUnavailable
from jobsvc.store.address import Address
from jobsvc.store.resp import Argument, pack, reader

CONNECT_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 5.0


class Connection:
    """One connection, opened when it is first used and again after it broke.

    Args:
        address: Where Redis is.
        timeout_s: Longest wait for an answer, in seconds.
    """

    def __init__(self, address: Address, *, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._reader = reader()

    def send(self, commands: Sequence[Sequence[Argument]]) -> None:
        """Send commands without waiting for their answers.

        Raises:
            StoreUnavailable: Redis cannot be reached; what was sent may have been carried out.
        """
        try:
            sock = self._open()
            sock.settimeout(self._timeout_s)  # the last answer may have left a shorter one
            sock.sendall(b"".join(pack(words) for words in commands))
        except OSError as error:
            raise self._broken(error) from error

    def receive(self, timeout_s: float | None = None) -> Any:
        """Wait for the next answer; error replies are returned as ``hiredis.ReplyError``.

        Raises:
            StoreUnavailable: The connection broke, or nothing came in time.
        """
        try:
            return self._read(time.monotonic() + (timeout_s or self._timeout_s))
        except (OSError, hiredis.ProtocolError) as error:
            raise self._broken(error) from error

    def ask(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """Send commands and wait for all answers."""
        try:
            self.send(commands)
            return [self.receive() for _ in commands]
        except BaseException:
            # whatever came between, a time limit in this thread for example: an answer that nobody has read would be
            # taken for that of the next question
            self.close()
            raise

    def readable(self, timeout_s: float, *others: int) -> bool:
        """Wait until an answer has begun to arrive, one of ``others`` can be read, or time is up."""
        if self._socket is None:
            return True
        if self._reader.has_data():
            return True
        with contextlib.suppress(OSError, ValueError):
            own = self._socket.fileno()
            poll = (
                select.poll()
            )  # select cannot watch descriptors above 1,023, which a worker with many slots has
            for descriptor in (own, *others):
                poll.register(descriptor, select.POLLIN)
            return any(
                descriptor == own for descriptor, _ in poll.poll(math.ceil(max(0.0, timeout_s) * 1_000))
            )
        return True

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
        self._socket = None
        self._reader = reader()

    def __del__(self) -> None:
        """A thread that ends leaves its connection behind; it is closed without a fuss."""
        if self._socket is not None:
            self._socket.close()

    def _open(self) -> socket.socket:
        if self._socket is not None:
            return self._socket
        self.close()
        sock = self._connect()
        sock.settimeout(self._timeout_s)
        self._socket = sock
        for words in self._address.greeting:
            sock.sendall(pack(words))
            answer = self._read(time.monotonic() + self._timeout_s)
            if isinstance(answer, hiredis.ReplyError):
                raise OSError(str(answer))
        return sock

    def _connect(self) -> socket.socket:
        address = self._address
        if not address.path:
            sock = socket.create_connection((address.host, address.port), CONNECT_TIMEOUT_S)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return address.tls.wrap_socket(sock, server_hostname=address.host) if address.tls else sock
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(CONNECT_TIMEOUT_S)
            sock.connect(address.path)
        except OSError:
            sock.close()
            raise
        return sock

    def _read(self, deadline: float) -> Any:
        while True:
            answer = self._reader.gets()
            if answer is not False:
                return answer
            sock = self._socket
            if sock is None:
                raise OSError("the connection is closed")
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no answer in time")
            sock.settimeout(left)
            data = sock.recv(65_536)
            if not data:
                raise OSError("the connection was closed by the other side")
            self._reader.feed(data)

    def _broken(self, error: Exception) -> StoreUnavailable:
        self.close()
        return StoreUnavailable(f"Redis at {self._address.label} cannot be reached: {error}")
