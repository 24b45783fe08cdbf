"""The store for threads: workers, the broker and tests."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, TypeVar

import hiredis

from jobsvc.model.errors import StoreUnavailable
from jobsvc.store.address import parse_address
from jobsvc.store.calls import Call
from jobsvc.store.connection import Connection
from jobsvc.store.keys import Keys
from jobsvc.store.replies import is_missing_script, to_error
from jobsvc.store.resp import Argument

T = TypeVar("T")


def words_of(call: Call[Any], keys: Keys) -> tuple[Argument, ...]:
    """The Redis command of a call."""
    if call.script is None:
        return call.words
    return ("EVALSHA", call.script.digest, 1, keys.tag, *call.words)


def words_with_body(call: Call[Any], keys: Keys) -> tuple[Argument, ...]:
    """The same with the whole script, for a server that does not know it yet."""
    assert call.script is not None
    return ("EVAL", call.script.body, 1, keys.tag, *call.words)


class Store:
    """Runs calls on one shard. Threads may share it: each has its own connection.

    Args:
        url: URL of Redis.
        namespace: Prefix of all keys.
        shard: Number of the shard.

    Raises:
        ConfigurationError: URL or namespace is wrong.
    """

    def __init__(self, url: str, namespace: str = "jobsvc", shard: int = 0) -> None:
        self.keys = Keys(namespace, shard)
        self.address = parse_address(url)
        self._local = threading.local()

    def connection(self) -> Connection:
        """A new connection, for the caller alone."""
        return Connection(self.address)

    def words(self, call: Call[Any]) -> tuple[Argument, ...]:
        """The Redis command of a call, for a connection of the caller's."""
        return words_of(call, self.keys)

    def run(self, call: Call[T]) -> T:
        """Run one call.

        A call whose connection broke is sent once more: every script may be repeated without harm, and a connection
        that was idle for long is often found dead only when it is used.

        Raises:
            StoreUnavailable: Redis cannot be reached.
            JobsvcError: What the call itself raises.
        """
        return self.run_on(self._own(), call)

    def run_many(self, calls: Sequence[Call[Any]]) -> list[Any]:
        """Run calls one after the other in one round trip."""
        connection = self._own()
        commands = [words_of(call, self.keys) for call in calls]
        try:
            answers = connection.ask(commands)
        except StoreUnavailable:
            answers = connection.ask(commands)
        return [self._finish(connection, call, answer) for call, answer in zip(calls, answers, strict=True)]

    def run_on(self, connection: Connection, call: Call[T]) -> T:
        """Run one call on a connection of the caller's."""
        words = words_of(call, self.keys)
        try:
            answer = connection.ask([words])[0]
        except StoreUnavailable:
            answer = connection.ask([words])[0]
        return self._finish(connection, call, answer)

    def close(self) -> None:
        """Close the calling thread's connection."""
        self._own().close()

    def _own(self) -> Connection:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = Connection(self.address)
        return connection

    def _finish(self, connection: Connection, call: Call[T], answer: Any) -> T:
        if isinstance(answer, hiredis.ReplyError) and is_missing_script(str(answer)):
            answer = connection.ask([words_with_body(call, self.keys)])[0]
        if isinstance(answer, hiredis.ReplyError):
            raise to_error(str(answer), self.address.label)
        return call.read(answer)
