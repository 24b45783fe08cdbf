"""How much memory a worker and its children use, and sizes as people write them."""

from __future__ import annotations

import os
import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_PAGE = resource.getpagesize()


_UNITS = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "KB": 10**3, "MB": 10**6, "GB": 10**9}


def bytes_of(size: str | int) -> int:
    """Read a size: a number of bytes, or text such as ``512MiB`` or ``2 GB``.

    Raises:
        ValueError: It is something else.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMG]i?B|B?)\s*", str(size))
    if isinstance(size, bool) or found is None:
        raise ValueError("write a size such as 512MiB, 2GiB or a number of bytes")
    return round(float(found[1]) * _UNITS[found[2]])


def text_of(size: int) -> str:
    """Write a size with its unit."""
    return f"{size / 2**30:.3g} GiB" if size >= 2**30 else f"{size / 2**20:.3g} MiB"


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
