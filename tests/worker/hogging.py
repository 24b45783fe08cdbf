"""Handlers with a limit for their memory."""

from __future__ import annotations

import os
import subprocess
import sys

from jobsvc import current_job, handler

MIB = 2**20


@handler("test.hog", queue="test", memory_limit="200MiB", max_attempts=1, timeout=60)
def hog(mib: int, in_child: bool = False) -> int:
    """Take so much memory, keep it until told to stop, and return this process's id."""
    if in_child:
        hold = f"data = bytearray(b'x') * {mib * MIB}; import time; time.sleep(60)"
        with subprocess.Popen([sys.executable, "-c", hold]):
            pass
    data = bytearray(b"x") * (mib * MIB)
    while mib > 100:
        current_job().check()
    return os.getpid() if data else 0


@handler("test.pid", queue="test")
def pid(mib: int = 0) -> int:
    """Use some memory and keep it; return this process's id."""
    _kept.append(bytearray(b"x") * (mib * MIB))
    return os.getpid()


_kept: list[bytearray] = []
