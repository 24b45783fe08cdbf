"""The protocol of Redis: commands as bytes, readers of answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import hiredis

Argument = str | bytes | int | float


def pack(words: Sequence[Argument]) -> bytes:
    """Write a command as it travels. What UTF-8 cannot carry (half a surrogate pair) becomes a question mark."""
    try:
        return cast("bytes", hiredis.pack_command(cast("Any", tuple(words))))
    except UnicodeEncodeError:
        clean = [word.encode("utf-8", "replace") if isinstance(word, str) else word for word in words]
        return cast("bytes", hiredis.pack_command(cast("Any", tuple(clean))))


def reader() -> hiredis.Reader:
    """A reader that gives text; bytes that are no UTF-8 survive a round trip."""
    return hiredis.Reader(encoding="utf-8", errors="surrogateescape")
