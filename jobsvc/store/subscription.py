"""Channels of Redis, for asyncio. One connection carries all of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from jobsvc.model.errors import StoreUnavailable
from jobsvc.store.address import Address
from jobsvc.store.async_connection import open_transport
from jobsvc.store.resp import pack

Listener = Callable[[str], None]

PING_EVERY_S = 5.0
"""A quiet connection is asked this often whether it still lives; two silent rounds and it is opened anew."""

_BACK = "back"
"""Sent behind the channels of a new connection: its echo says that they are confirmed."""


class Subscription:
    """Listens on channels, reconnects by itself.

    Messages can be missed while the connection is broken: ``on_gap`` is called each time it is made and Redis has
    confirmed all channels, so that callers read again what they watch and miss nothing that happens afterwards.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._listeners: dict[str, Listener] = {}
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._confirmed: dict[str, list[asyncio.Future[None]]] = {}
        self._last_answer = 0.0
        self.on_gap: Callable[[], None] = lambda: None
        self.on_lost: Callable[[], None] = lambda: None

    @property
    def connected(self) -> bool:
        """Whether messages arrive now."""
        return self._transport is not None

    async def add(self, channel: str, listener: Listener) -> None:
        """Listen on a channel; returns when Redis has confirmed, so nothing published afterwards is missed.

        Raises:
            StoreUnavailable: Redis cannot be reached; the channel is listened on as soon as it is back.
        """
        known = channel in self._listeners
        self._listeners[channel] = listener
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        if known and not self._confirmed.get(channel):
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._confirmed.setdefault(channel, []).append(future)
        if not known:
            self._send("SUBSCRIBE", channel)
        try:
            async with asyncio.timeout(3):
                await future
        except TimeoutError:
            raise StoreUnavailable(
                f"Redis at {self._address.label} cannot be reached to watch jobs"
            ) from None

    def remove(self, channel: str) -> None:
        """Listen on a channel no longer."""
        if self._listeners.pop(channel, None) is not None:
            self._send("UNSUBSCRIBE", channel)

    async def close(self) -> None:
        """Stop listening."""
        self._listeners.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await asyncio.sleep(0)  # the loop closes the socket in its next turn, and may have no other
            self._task = None

    def _send(self, *words: str) -> None:
        if self._transport is not None:
            self._transport.write(pack(words))

    async def _run(self) -> None:
        wait_s = 0.05
        while True:
            ended = asyncio.Event()  # of this connection: the end of the one before may be told late

            def lost(_: Exception | None, ended: asyncio.Event = ended) -> None:
                ended.set()

            try:
                self._transport = await open_transport(self._address, self._answered, lost)
            except (OSError, TimeoutError):
                await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
                wait_s = min(2.0, wait_s * 2)
                continue
            try:
                wait_s = 0.05
                for words in self._address.greeting:
                    self._send(*words)
                if self._listeners:
                    self._send("SUBSCRIBE", *self._listeners)
                self._send("PING", _BACK)
                await self._stay(ended)
            finally:
                if self._transport is not None:
                    self._transport.abort()
                    self._transport = None
            self.on_lost()

    async def _stay(self, ended: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        self._last_answer = loop.time()
        while not ended.is_set():
            try:
                async with asyncio.timeout(PING_EVERY_S):
                    await ended.wait()
            except TimeoutError:
                if loop.time() - self._last_answer > 2.5 * PING_EVERY_S:
                    return
                self._send("PING")

    def _answered(self, answer: Any) -> None:
        self._last_answer = asyncio.get_running_loop().time()
        if answer in (_BACK, ["pong", _BACK]):
            self.on_gap()
        if not isinstance(answer, list) or len(answer) < 3:
            return
        kind, channel, text = answer
        if kind == "message":
            listener = self._listeners.get(channel)
            if listener is not None:
                listener(text)
        elif kind == "subscribe":
            for future in self._confirmed.pop(channel, ()):
                if not future.done():
                    future.set_result(None)
