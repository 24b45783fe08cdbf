"""How started code says when it started: nanoseconds since the submission, one line each, in the file BENCH_STAMPS."""

from __future__ import annotations

import os
import time

_descriptor: int | None = None


def stamp(sent_ns: int) -> None:
    """Write down the time since ``sent_ns``, a reading of the monotonic clock that all processes share."""
    now_ns = time.monotonic_ns()
    global _descriptor
    if _descriptor is None:
        _descriptor = os.open(os.environ["BENCH_STAMPS"], os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
    os.write(_descriptor, f"{now_ns - sent_ns}\n".encode())
