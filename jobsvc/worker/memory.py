"""How much memory a worker and its children use."""

from __future__ import annotations

import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_PAGE = resource.getpagesize()


def family(pid: int) -> list[int]:
    """Ids of a process and of all that it has started and that live, on Linux; elsewhere of the process alone."""
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        with suppress(OSError):
            for task in (_PROC / str(one) / "task").iterdir():
                with suppress(OSError):
                    todo += map(int, (task / "children").read_text().split())
    return found


def resident_bytes(pid: int) -> int:
    """Resident memory of one process; 0 when it is gone or the system does not tell."""
    with suppress(OSError, IndexError, ValueError):
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE
    if pid == os.getpid():
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1_024
    return 0


def family_bytes(pid: int) -> int:
    """Resident memory of a process and its children; what they share is counted for each."""
    return sum(resident_bytes(one) for one in family(pid))
