"""What threads do their own way. `jobsvc_sdk._async.native` has the same names for asyncio."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import grpc

from jobsvc_sdk._connection import CHANNEL_OPTIONS, Connection

Response = TypeVar("Response")
Request = TypeVar("Request")
Channel: TypeAlias = grpc.Channel
if TYPE_CHECKING:  # generic in the type stubs only
    Unary: TypeAlias = grpc.UnaryUnaryMultiCallable[Request, Response]
    StreamCall: TypeAlias = grpc._CallIterator[Response]
else:
    Unary = StreamCall = grpc.Call
Supplier: TypeAlias = Callable[[], Response]

_own = threading.local()


class Signal:
    """A flag to wait for."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Raise the flag and wake everybody who waits."""
        self._event.set()

    def clear(self) -> None:
        """Lower the flag."""
        self._event.clear()

    def is_set(self) -> bool:
        """Tell whether the flag is up."""
        return self._event.is_set()

    def wait(self, timeout: float | None) -> bool:
        """Wait for the flag, at most so many seconds, and tell whether it is up."""
        return self._event.wait(timeout)


def sleep(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)


def spawn(run: Callable[[], None], name: str) -> None:
    """Let something run beside the caller until it ends by itself; it does not keep the process alive."""

    def main() -> None:
        _own.watching = True
        run()

    threading.Thread(target=main, name=name, daemon=True).start()


def on_watch_thread() -> bool:
    """Tell whether the caller is a thread that brings news, so that waiting for news would last for ever."""
    return getattr(_own, "watching", False)


def open_channel(connection: Connection) -> Channel:
    """Return a channel; it connects with its first call."""
    return grpc.insecure_channel(connection.address, options=CHANNEL_OPTIONS)


def responses(call: StreamCall[Response]) -> Iterator[Response]:
    """Iterate over a stream; one that this side cancelled ends quietly."""
    try:
        yield from call
    except grpc.RpcError:
        if not _cancelled(call):
            raise


def _cancelled(call: Any) -> bool:
    return bool(call.cancelled())
