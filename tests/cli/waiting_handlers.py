"""A handler that works until a file is there, for tests that need a job that runs as long as they want."""

from __future__ import annotations

import time
from pathlib import Path

from jobsvc import current_job, handler


@handler("waiting.file", queue="waiting")
def wait_for_file(path: str) -> str:
    """Wait until ``path`` exists; return its text."""
    job = current_job()
    while not Path(path).exists():
        job.progress(step="waiting", message=f"for {Path(path).name}")
        time.sleep(0.02)
    return Path(path).read_text()
