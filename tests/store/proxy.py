"""A proxy in front of Redis that loses answers, cuts connections and falls silent when a test says so."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit


class Proxy:
    """Listens on a port of its own and passes everything on.

    Args:
        url: The Redis behind it, ``unix://`` or ``redis://``.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target: tuple[str, int] | str = unquote(parts.path)
        if parts.scheme != "unix":
            self._target = (parts.hostname or "", parts.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self.silent = threading.Event()
        """While set, nothing passes in either direction, and no connection breaks."""
        self.lost = 0
        """Answers that were lost so far."""
        self._doomed: tuple[bytes, int] = (b"", 0)
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._guard = threading.Lock()
        self._open = True
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_answers(self, word: bytes, times: int = 1) -> None:
        """Let Redis carry out commands with this word in them, but break the connection instead of answering."""
        self._doomed = (word, times)

    def cut(self) -> None:
        """Break all connections."""
        with self._guard:
            pairs = list(self._pairs)
        for pair in pairs:
            self._drop(pair)

    def close(self) -> None:
        """Break everything and stop listening."""
        self._open = False
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # or the thread that accepts takes one more
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while self._open:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            try:
                server = self._connect()
            except OSError:
                client.close()
                continue
            pair = (client, server)
            with self._guard:
                self._pairs.add(pair)
            doomed = threading.Event()
            for arguments in ((client, server, doomed, True), (server, client, doomed, False)):
                threading.Thread(target=self._pump, args=(pair, *arguments), daemon=True).start()

    def _connect(self) -> socket.socket:
        if not isinstance(self._target, str):
            return socket.create_connection(self._target)
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self._target)
        except OSError:
            server.close()
            raise
        return server

    def _pump(
        self,
        pair: tuple[socket.socket, socket.socket],
        source: socket.socket,
        sink: socket.socket,
        doomed: threading.Event,
        asks: bool,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                while self.silent.is_set() and self._open:
                    threading.Event().wait(0.01)
                if asks:
                    self._look(data, doomed)
                elif doomed.is_set():
                    self.lost += 1
                    break
                sink.sendall(data)
        self._drop(pair)

    def _look(self, data: bytes, doomed: threading.Event) -> None:
        with self._guard:
            word, times = self._doomed
            if times and word in data:
                self._doomed = (word, times - 1)
                doomed.set()

    def _drop(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with self._guard:
            self._pairs.discard(pair)
        for each in pair:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@contextlib.contextmanager
def proxied(url: str) -> Iterator[Proxy]:
    """A proxy for the time of a test."""
    proxy = Proxy(url)
    try:
        yield proxy
    finally:
        proxy.close()
