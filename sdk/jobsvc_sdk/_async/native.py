"""What asyncio does its own way. `jobsvc_sdk._sync.native` has the same names for threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeAlias, TypeVar

import grpc

from jobsvc_sdk._connection import CHANNEL_OPTIONS, Connection

Response = TypeVar("Response")
Request = TypeVar("Request")
Channel: TypeAlias = grpc.aio.Channel
Unary: TypeAlias = grpc.aio.UnaryUnaryMultiCallable[Request, Response]
StreamCall: TypeAlias = grpc.aio.UnaryStreamCall[Any, Response]
Supplier: TypeAlias = Callable[[], Coroutine[Any, Any, Response]]

_running: set[asyncio.Task[None]] = set()


class Signal:
    """A flag to wait for."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Raise the flag and wake everybody who waits."""
        self._event.set()

    def clear(self) -> None:
        """Lower the flag."""
        self._event.clear()

    def is_set(self) -> bool:
        """Tell whether the flag is up."""
        return self._event.is_set()

    async def wait(self, timeout: float | None) -> bool:
        """Wait for the flag, at most so many seconds, and tell whether it is up."""
        try:
            await asyncio.wait_for(self._event.wait(), timeout)
        except TimeoutError:
            return False
        return True


async def sleep(seconds: float) -> None:
    """Wait."""
    await asyncio.sleep(seconds)


def spawn(run: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
    """Let something run beside the caller until it ends by itself."""
    task = asyncio.get_running_loop().create_task(run(), name=name)
    _running.add(task)
    task.add_done_callback(_running.discard)


def on_watch_thread() -> bool:
    """Tell whether the caller would wait for itself."""
    return False


def open_channel(connection: Connection) -> Channel:
    """Return a channel; it connects with its first call."""
    return grpc.aio.insecure_channel(connection.address, options=CHANNEL_OPTIONS)


async def responses(call: StreamCall[Response]) -> AsyncIterator[Response]:
    """Iterate over a stream; one that this side cancelled ends quietly."""
    try:
        async for response in call:
            yield response
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling() or not call.cancelled():
            raise
