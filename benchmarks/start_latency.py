"""How long a job takes from its submission to the first line of its handler, on an idle worker."""

from __future__ import annotations

import random
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from benchmarks import report
from benchmarks.figures import Bound, Result, percentile
from benchmarks.processes import BenchError, Running, Valkey, jobsvc, wait_until
from benchmarks.programs.bare_loop import QUEUE
from benchmarks.programs.raw import RawConnection
from jobsvc.model.ids import new_job_id
from jobsvc.model.job import NewJob
from jobsvc.store import calls
from jobsvc.store.keys import Keys
from jobsvc.store.store import Store, words_of
from jobsvc_proto.v1 import job_service_pb2 as pb
from jobsvc_proto.v1.job_service_pb2_grpc import JobServiceStub

WARM_UP = 10
SPACING_S = (0.02, 0.06)
SLOTS = 8
BARE, WAKE = "bare loop", "wake-up alone"
BOUNDS = {"threads": Bound("<=", 2.5), "processes": Bound("<=", 4.0)}


@dataclass(frozen=True, slots=True)
class Starter:
    """Something that starts code on request, in a process that waits for it.

    Attributes:
        send: Submits; called with the reading of the monotonic clock from just before, in nanoseconds.
        stamps: File with one line for each start: nanoseconds since then.
    """

    send: Callable[[int], object]
    stamps: Path

    def sample(self, count: int, rng: random.Random) -> list[float]:
        """Start so many, at random distances, and return how long each took, in milliseconds.

        Raises:
            BenchError: Some did not start.
        """
        before = self._lines()
        for _ in range(count):
            time.sleep(rng.uniform(*SPACING_S))
            self.send(time.monotonic_ns())
        wait_until(
            lambda: len(self._lines()) >= len(before) + count, f"{self.stamps.name}: all have started", 10
        )
        return [int(line) / 1e6 for line in self._lines()[len(before) :]]

    def _lines(self) -> list[str]:
        return self.stamps.read_text().splitlines() if self.stamps.exists() else []


@contextmanager
def bare_loop(valkey: Valkey, folder: Path) -> Iterator[Starter]:
    """A client that stores a job, and a process that waits for it and takes it: one script each, over bare sockets."""
    stamps, namespace = folder / "stamps-bare", "bench-bare"
    _load_scripts(valkey, namespace)
    keys, command = Keys(namespace), [sys.executable, "-m", "benchmarks.programs.bare_loop"]
    with (
        Running(BARE, [*command, str(valkey.port), namespace], environment={"BENCH_STAMPS": str(stamps)}),
        closing(RawConnection(valkey.port)) as connection,
    ):

        def send(sent_ns: int) -> None:
            arguments = f'{{"sent_ns":{sent_ns}}}'
            job = NewJob(id=new_job_id(), type="bench.stamp", queue=QUEUE, arguments=arguments)
            connection.ask(*words_of(calls.submit(job), keys))

        yield Starter(send, stamps)


@contextmanager
def wake_loop(valkey: Valkey, folder: Path) -> Iterator[Starter]:
    """A client that adds to a sorted set, and a process that waits for it: no job is stored, taken or ended."""
    stamps, key = folder / "stamps-wake", "bench:wake"
    command = [sys.executable, "-m", "benchmarks.programs.wake_loop", str(valkey.port), key]
    with (
        Running(WAKE, command, environment={"BENCH_STAMPS": str(stamps)}),
        closing(RawConnection(valkey.port)) as connection,
    ):
        yield Starter(lambda sent_ns: connection.ask("ZADD", key, 0, sent_ns), stamps)


def _load_scripts(valkey: Valkey, namespace: str) -> None:
    """Let Valkey learn the two scripts that the bare loop calls."""
    job = NewJob(id=new_job_id(), type="bench.stamp", queue="other", arguments="{}")
    with closing(Store(valkey.url, namespace)) as store:
        store.run(calls.submit(job))
        store.run(calls.exchange("other", "1", lease_ms=1_000, reports=[], want=0, queues=["other"]))


@contextmanager
def submitted(valkey: Valkey, folder: Path, isolation: str) -> Iterator[Starter]:
    """Submit, with the generated blocking stub, to a real server beside a real worker."""
    stamps, namespace = folder / f"stamps-{isolation}", f"bench-{isolation}"
    environment = {"BENCH_ISOLATION": isolation, "BENCH_STAMPS": str(stamps)}
    store = ("--redis", valkey.url, "--namespace", namespace)
    work = ("worker", *store, "--import", "benchmarks.programs.handlers", "--threads", str(SLOTS))
    with (
        jobsvc(folder, "server", *store, "--port", "0", environment={}) as (_, address),
        jobsvc(folder, *work, environment=environment),
        grpc.insecure_channel(address) as channel,
    ):
        stub = JobServiceStub(channel)

        def send(sent_ns: int) -> None:
            spec = pb.JobSpec(job_type="bench.stamp")
            spec.arguments.json = f'{{"sent_ns":{sent_ns}}}'
            stub.Submit(pb.SubmitRequest(spec=spec), timeout=10)

        yield Starter(send, stamps)


def measure(valkey: Valkey, folder: Path, samples: int, rounds: int) -> Mapping[str, Sequence[float]]:
    """Take samples of all, in turns; all processes live through the whole run and wait while others are measured.

    Args:
        valkey: The store.
        folder: For files.
        samples: Of each contestant, over all rounds.
        rounds: How often each has its turn.

    Returns:
        Milliseconds by contestant.
    """
    rng = random.Random(7)
    shares = [samples // rounds + (number < samples % rounds) for number in range(rounds)]
    with ExitStack() as stack:
        starters = {
            BARE: stack.enter_context(bare_loop(valkey, folder)),
            WAKE: stack.enter_context(wake_loop(valkey, folder)),
            "threads": stack.enter_context(submitted(valkey, folder, "thread")),
            "processes": stack.enter_context(submitted(valkey, folder, "process")),
        }
        for starter in starters.values():
            starter.sample(WARM_UP, rng)
        taken: dict[str, list[float]] = {name: [] for name in starters}
        for number, share in enumerate(shares, 1):
            for name, starter in starters.items():
                some = starter.sample(share, rng)
                taken[name] += some
                report.say(f"round {number}/{rounds}  {name}: p50 {statistics.median(some):.2f} ms")
    if any(len(values) != samples for values in taken.values()):
        raise BenchError("a job has started more than once")
    return taken


def results_of(taken: Mapping[str, Sequence[float]]) -> list[Result]:
    """Compare with the bare loop."""
    bare_ms = percentile(taken[BARE], 0.5)
    found = [
        Result(f"latency.start_{name}_vs_bare", percentile(taken[name], 0.5) / bare_ms, "ratio", bound)
        for name, bound in BOUNDS.items()
    ]
    return found + [
        Result(f"latency.start_{re.sub('[^a-z]', '_', name)}_p50", percentile(values, 0.5), "ms")
        for name, values in taken.items()
    ]


def print_samples(taken: Mapping[str, Sequence[float]]) -> None:
    """Print percentiles."""
    rows = [
        [
            name,
            str(len(values)),
            *(f"{percentile(values, share):.2f}" for share in (0.5, 0.9, 0.99)),
            f"{max(values):.2f}",
        ]
        for name, values in taken.items()
    ]
    head = ["ms", "samples", "p50", "p90", "p99", "most"]
    report.print_table("from Submit to the first line of the handler, idle worker", head, rows)
