"""A thin connection to Redis for asyncio: many callers share it, and what they send travels together."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import hiredis

from jobsvc.model.errors import StoreUnavailable
from jobsvc.store.address import Address
from jobsvc.store.resp import Argument, pack, reader

CONNECT_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 5.0


class _Protocol(asyncio.Protocol):
    """Bytes in, answers out, in order."""

    def __init__(self, on_answer: Callable[[Any], None], on_end: Callable[[Exception | None], None]) -> None:
        self._reader = reader()
        self._on_answer = on_answer
        self._on_end = on_end

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        reader.feed(data)
        while (answer := reader.gets()) is not False:
            self._on_answer(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_end(exc)


async def open_transport(
    address: Address, on_answer: Callable[[Any], None], on_end: Callable[[Exception | None], None]
) -> asyncio.Transport:
    """Connect to Redis.

    Raises:
        OSError: It cannot be reached within ``CONNECT_TIMEOUT_S``.
    """
    loop = asyncio.get_running_loop()

    def protocol() -> _Protocol:
        return _Protocol(on_answer, on_end)

    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        if address.path:
            transport, _ = await loop.create_unix_connection(protocol, address.path)
        else:
            transport, _ = await loop.create_connection(protocol, address.host, address.port, ssl=address.tls)
    return transport


class AsyncConnection:
    """One pipelining connection, opened when first used and again after it broke.

    Commands that are sent in one turn of the event loop leave in one write. When the connection breaks, or an answer
    takes longer than ``ANSWER_TIMEOUT_S``, everything that waits for an answer fails with ``StoreUnavailable``.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._transport: asyncio.Transport | None = None
        self._opening: asyncio.Task[None] | None = None
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._unsent: list[bytes] = []
        self._watchdog: asyncio.TimerHandle | None = None

    async def ask(self, words: Sequence[Argument]) -> Any:
        """Send a command and wait for its answer; error replies are returned as ``hiredis.ReplyError``.

        Raises:
            StoreUnavailable: Redis cannot be reached; the command may have been carried out.
        """
        if self._transport is None:
            await self._connect()
        return await self._send(words)

    def close(self) -> None:
        """Close the connection; whoever waits gets ``StoreUnavailable``."""
        if self._transport is not None:
            self._transport.abort()
        self._ended(None)

    def _send(self, words: Sequence[Argument]) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((future, loop.time()))
        if len(self._waiting) == 1 and self._transport is not None:
            self._transport.write(pack(words))  # nobody to travel with
        else:
            if not self._unsent:
                loop.call_soon(self._flush)
            self._unsent.append(pack(words))
        if self._watchdog is None:
            self._watchdog = loop.call_later(1.0, self._watch)
        return future

    def _flush(self) -> None:
        data, self._unsent = b"".join(self._unsent), []
        if self._transport is not None and data:
            self._transport.write(data)

    async def _connect(self) -> None:
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(self._opened)
        await asyncio.shield(self._opening)

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening = None
        if not task.cancelled():
            task.exception()  # whoever waits raises it; nobody may be left

    async def _open(self) -> None:
        address, transport = self._address, None

        def ended(exc: Exception | None) -> None:
            if self._transport is transport:  # not the one before, whose end may be told late
                self._ended(exc)

        try:
            transport = await open_transport(address, self._answered, ended)
            if transport.is_closing():
                raise OSError("it closed the connection at once")
        except (OSError, TimeoutError) as error:
            raise StoreUnavailable(
                f"Redis at {address.label} cannot be reached: {error or 'no answer'}"
            ) from error
        self._transport = transport
        # all in one go: what callers send from now on must come behind the choice of user and database
        greeting = [self._send(words) for words in address.greeting]
        for answer in await asyncio.gather(*greeting, return_exceptions=True):
            if isinstance(answer, hiredis.ReplyError):
                self.close()
                raise StoreUnavailable(f"Redis at {address.label} refuses: {answer}")
            if isinstance(answer, BaseException):
                raise answer

    def _answered(self, answer: Any) -> None:
        future, _ = self._waiting.popleft()
        if not future.done():
            future.set_result(answer)

    def _ended(self, exc: Exception | None) -> None:
        self._transport = None
        self._unsent = []
        waiting, self._waiting = self._waiting, deque()
        for future, _ in waiting:
            if not future.done():
                future.set_exception(
                    StoreUnavailable(
                        f"Redis at {self._address.label} closed the connection: {exc or 'it ended'}"
                    )
                )

    def _watch(self) -> None:
        self._watchdog = None
        if not self._waiting:
            return
        loop = asyncio.get_running_loop()
        if loop.time() - self._waiting[0][1] > ANSWER_TIMEOUT_S:
            self.close()
        else:
            self._watchdog = loop.call_later(1.0, self._watch)
