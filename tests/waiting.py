"""Wait for something without sleeping for a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(look: Callable[[], T], timeout_s: float = 45, *, every_s: float = 0.02) -> T:
    """Look again and again until the answer is true, and return it; fail at the deadline."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {look!r}, last {found!r}")
        time.sleep(every_s)
    return found
