"""``make bench-drain``: jobs that do nothing, with stored results, drained by one worker process with 8 slots.

Beside Dramatiq's own broker, which tracks nothing, and Celery's prefork. Each round queues the jobs of one contestant
after the other, starts its worker as a user would, and measures between 10 % and 90 % of the jobs done.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from redis import Redis

from benchmarks import report
from benchmarks.contestants import Celery, Contestant, Dramatiq, Jobsvc, Place
from benchmarks.figures import Bound, Drain, Reading, Result, paired_ratio
from benchmarks.peers import VENV, compile_all, ensure_peers
from benchmarks.processes import BenchError, Running, Valkey

POLL_S = 0.01
DRAIN_S = 300.0
CONTESTANTS = ("threads", "dramatiq", "processes", "celery")

RATIOS = (
    ("drain.threads_vs_dramatiq", "threads", "dramatiq", Bound(">=", 1.0)),
    ("drain.processes_vs_celery", "processes", "celery", Bound(">=", 3.0)),
)


def make(name: str, place: Place) -> Contestant:
    """Make a contestant by its short name."""
    if name in ("threads", "processes"):
        return Jobsvc(place, "thread" if name == "threads" else "process")
    return Dramatiq(place) if name == "dramatiq" else Celery(place)


def drain_once(contestant: Contestant, valkey: Valkey, jobs: int) -> Drain:
    """Queue the jobs, start the worker, and measure how it drains them.

    Raises:
        BenchError: It did not drain them in time.
    """
    with Redis.from_url(valkey.url) as everything:
        everything.flushall()
    contestant.enqueue(jobs)
    with contestant.work() as worker:
        await_done(contestant, worker, jobs, jobs // 10)
        first = _read(contestant, worker, valkey, jobs)
        await_done(contestant, worker, jobs, jobs * 9 // 10)
        last = _read(contestant, worker, valkey, jobs)
        await_done(contestant, worker, jobs, jobs)
        contestant.verify(jobs)
    return Drain.between(first, last)


def await_done(contestant: Contestant, worker: Running, jobs: int, wanted: int) -> None:
    """Wait until so many of the jobs are done; only the count is asked for meanwhile, which costs little.

    Raises:
        BenchError: The worker ended, took too long, or did more than there was.
    """
    deadline = time.monotonic() + DRAIN_S
    while (done := contestant.done(jobs)) < wanted:
        worker.check()
        if time.monotonic() > deadline:
            raise BenchError(
                f"{contestant.name}: {done} of {jobs} jobs after {DRAIN_S:g} s: {worker.output()}"
            )
        time.sleep(POLL_S)
    if done > jobs:
        raise BenchError(f"{contestant.name}: {done} jobs are done, {jobs} were queued")


def _read(contestant: Contestant, worker: Running, valkey: Valkey, jobs: int) -> Reading:
    """Look at the count, the clock and the CPU times, one right after the other."""
    done, at_s = contestant.done(jobs), time.monotonic()
    return Reading(at_s, done, worker.cpu_s(), valkey.cpu_s())


def results_of(drains: Mapping[str, Sequence[Drain]]) -> list[Result]:
    """Turn measurements, by contestant and round, into figures; those that need an absent contestant are left out."""
    found = [
        Result(
            name,
            paired_ratio([d.rate for d in drains[ours]], [d.rate for d in drains[theirs]]),
            "ratio",
            bound,
        )
        for name, ours, theirs, bound in RATIOS
        if ours in drains and theirs in drains
    ]
    for name, rounds in drains.items():
        found.append(Result(f"drain.{name}.rate", statistics.median(d.rate for d in rounds), "jobs/s"))
        cpu_s = statistics.median(d.cpu_s for d in rounds)
        found.append(Result(f"drain.{name}.cpu_per_1000_jobs", cpu_s, "s"))
    return found


def print_drains(drains: Mapping[str, Sequence[Drain]], names: Mapping[str, str], jobs: int) -> None:
    """Print what was measured."""
    rows = [
        [
            names[short],
            report.spread([d.rate for d in rounds]),
            report.spread([d.cpu_s for d in rounds], 3),
            f"{statistics.median(d.worker_cpu_s for d in rounds):.3f}",
            f"{statistics.median(d.store_cpu_s for d in rounds):.3f}",
        ]
        for short, rounds in drains.items()
    ]
    head = ["", "jobs/s", "CPU s per 1,000 jobs", "worker", "Valkey"]
    count = len(next(iter(drains.values())))
    report.print_table(f"drain of {jobs:,} jobs, medians of {count} rounds (lowest-highest)", head, rows)


def run(rounds: int, jobs: int, only: Sequence[str]) -> int:
    """Run the bench; return the exit status."""
    before = report.machine_facts()
    peers = ensure_peers() if {"dramatiq", "celery"} & set(only) else VENV / "bin"
    compile_all()
    drains: dict[str, list[Drain]] = {name: [] for name in only}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        valkey = stack.enter_context(Valkey(folder))
        place = Place(valkey, folder, peers)
        contestants = {name: stack.enter_context(closing(make(name, place))) for name in only}
        for number in range(1, rounds + 1):
            for name, contestant in contestants.items():
                drain = drain_once(contestant, valkey, jobs)
                drains[name].append(drain)
                report.say(f"round {number}/{rounds}  {contestant.name}: {drain.rate:,.0f} jobs/s")
    print_drains(drains, {name: each.name for name, each in contestants.items()}, jobs)
    return report.finish(before, results_of(drains))


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="bench-drain", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=10_000, help="jobs of one contestant in one round")
    parser.add_argument("--only", default=",".join(CONTESTANTS), help="contestants, separated by commas")
    given = parser.parse_args(arguments)
    only = given.only.split(",")
    if given.rounds < 1 or given.jobs < 20 or set(only) - set(CONTESTANTS):
        parser.error(f"at least 1 round, 20 jobs, and contestants out of {', '.join(CONTESTANTS)}")
    try:
        return run(given.rounds, given.jobs, only)
    except BenchError as error:
        sys.exit(f"bench-drain: {error}")


if __name__ == "__main__":
    sys.exit(main())
