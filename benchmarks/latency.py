"""``make bench-latency``: from Submit to the first line of the handler, and Submit calls a second.

The first beside a bare loop on the same Valkey: a client adds to a sorted set, a process that waits for it in Redis
wakes up. The second beside a gRPC server that only echoes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import report, start_latency, submit_rate
from benchmarks.figures import Result
from benchmarks.peers import compile_all
from benchmarks.processes import BenchError, Valkey

PARTS = ("start", "submit")


def run(parts: Sequence[str], rounds: int, samples: int, seconds: float) -> int:
    """Run the bench; return the exit status."""
    before = report.machine_facts()
    compile_all()
    results: list[Result] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        valkey = stack.enter_context(Valkey(folder))
        if "start" in parts:
            taken = start_latency.measure(valkey, folder, samples, rounds)
            start_latency.print_samples(taken)
            results += start_latency.results_of(taken)
        if "submit" in parts:
            rates = submit_rate.measure(valkey, folder, rounds, seconds)
            submit_rate.print_rates(rates)
            results += submit_rate.results_of(rates)
    return report.finish(before, results)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="bench-latency", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="how often each contestant has its turn")
    parser.add_argument("--samples", type=int, default=300, help="starts of each contestant, over all rounds")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one turn of calls")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    given = parser.parse_args(arguments)
    parts = given.only.split(",")
    if given.rounds < 1 or given.samples < given.rounds or set(parts) - set(PARTS):
        parser.error(f"at least 1 round, 1 sample in each, and parts out of {', '.join(PARTS)}")
    try:
        return run(parts, given.rounds, given.samples, given.seconds)
    except BenchError as error:
        sys.exit(f"bench-latency: {error}")


if __name__ == "__main__":
    sys.exit(main())
