"""A handler that says which process runs it."""

from __future__ import annotations

import os

from jobsvc import handler


@handler("test.pid")
def pid() -> int:
    """Return the id of the process that runs this."""
    return os.getpid()
