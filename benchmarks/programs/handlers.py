"""Handlers of jobsvc for the benches; ``BENCH_ISOLATION`` says where they run."""

from __future__ import annotations

import os
import time
from typing import Literal, cast

from benchmarks.programs.stamp import stamp
from jobsvc import current_job, handler

ISOLATION = cast("Literal['process', 'thread']", os.environ.get("BENCH_ISOLATION", "thread"))


@handler("bench.noop", queue="bench", isolation=ISOLATION)
def noop(payload: str) -> dict[str, int]:
    """Do nothing and return something."""
    return {"ok": 1}


@handler("bench.stamp", queue="bench", isolation=ISOLATION)
def stamp_start(sent_ns: int) -> None:
    """Write down how long it took from the submission to this line."""
    stamp(sent_ns)


@handler("bench.tick", queue="bench", isolation=ISOLATION)
def tick(seconds: float) -> int:
    """Report progress twenty times a second for some seconds."""
    rounds = max(1, round(seconds * 20))
    for number in range(rounds):
        current_job().progress(completed=number, total=rounds)
        time.sleep(0.05)
    return rounds
