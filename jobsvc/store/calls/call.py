"""A call: what to send to Redis, and how to read the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from jobsvc.store.resp import Argument
from jobsvc.store.scripts import Script

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One command: the words to send, and the reader of the answer.

    Attributes:
        script: The script to run, or ``None`` for a plain Redis command.
        words: Arguments of the script after its key, or the whole plain command.
        read: Turns the answer into a value.
    """

    script: Script | None
    words: tuple[Argument, ...]
    read: Callable[[Any], T]


def nothing(_: Any) -> None:
    """Read an answer that says nothing."""
    return


def strings(reply: Sequence[str]) -> list[str]:
    """Read a list of texts."""
    return list(reply)
