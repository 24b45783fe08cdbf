"""How many Submit calls a second a server answers, beside a server that only echoes."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from benchmarks import report
from benchmarks.figures import Bound, Result, paired_ratio
from benchmarks.processes import BenchError, Running, Valkey, jobsvc
from benchmarks.programs.echo_server import METHOD
from jobsvc.store import calls
from jobsvc.store.store import Store
from jobsvc_proto.v1 import job_service_pb2 as pb
from jobsvc_proto.v1.job_service_pb2_grpc import JobServiceStub

IN_FLIGHT = (1, 16)
BOUND = Bound(">=", 0.4)
NAMESPACE, QUEUE = "bench-submit", "parked"
CALL_S = 60.0


@dataclass(frozen=True, slots=True)
class Target:
    """A server under calls.

    Attributes:
        process: The server.
        arguments: What the calling program must know of it: address, method, file with the request.
    """

    process: Running
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rate:
    """What came of one turn.

    Attributes:
        rate: Calls a second.
        server_cpu_us: CPU time of the server for one call, microseconds.
        client_cpu_us: The same of the client.
        calls: How many were made, warm-up included.
    """

    rate: float
    server_cpu_us: float
    client_cpu_us: float
    calls: int


@contextmanager
def submit_target(valkey: Valkey, folder: Path) -> Iterator[tuple[Target, int]]:
    """A server with a worker beside it, which serves another queue and so stays idle; yields the answer's size, too."""
    store = ("--redis", valkey.url, "--namespace", NAMESPACE)
    work = ("worker", *store, "--import", "benchmarks.programs.handlers", "--threads", "1")
    with (
        jobsvc(folder, "server", *store, "--port", "0", environment={}) as (server, address),
        jobsvc(folder, *work, environment={"BENCH_ISOLATION": "thread"}),
    ):
        spec = pb.JobSpec(job_type="bench.noop", queue=QUEUE)
        spec.arguments.json = json.dumps({"payload": "x" * 200})
        request = pb.SubmitRequest(spec=spec)
        with grpc.insecure_channel(address) as channel:
            answer: pb.SubmitResponse = JobServiceStub(channel).Submit(request, timeout=10)
        if answer.warnings or not answer.job.job_id:
            raise BenchError(f"Submit answers unexpectedly: {answer}")
        request_file, method = folder / "request", "/jobsvc.v1.JobService/Submit"
        request_file.write_bytes(request.SerializeToString())
        (folder / "answer").write_bytes(answer.SerializeToString())
        yield Target(server, (address, method, str(request_file))), answer.ByteSize()


@contextmanager
def echo_target(folder: Path) -> Iterator[Target]:
    """A bare server that takes the same request and gives an answer of the same size."""
    command = [sys.executable, "-m", "benchmarks.programs.echo_server", str(folder / "answer")]
    with Running("echo server", command, answers=True) as server:
        yield Target(server, (server.line(), METHOD, str(folder / "request")))


def call(target: Target, in_flight: int, seconds: float) -> Rate:
    """Let a client process call the server for some seconds."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.programs.call_client",
        *target.arguments,
        str(in_flight),
        str(seconds),
    ]
    with Running("calling client", command, answers=True) as client:
        before_s = target.process.cpu_s()
        said = json.loads(client.line())
        spent_s = target.process.cpu_s() - before_s
        client.wait(CALL_S)
    return Rate(said["rate"], spent_s / said["calls"] * 1e6, said["cpu_us"], said["calls"])


def measure(
    valkey: Valkey, folder: Path, rounds: int, seconds: float
) -> Mapping[tuple[str, int], Sequence[Rate]]:
    """Call both servers in turns; both live through the whole run.

    Returns:
        Rates by contestant and number of calls in flight.

    Raises:
        BenchError: The store has another number of jobs than calls were answered.
    """
    with submit_target(valkey, folder) as (submit, size), echo_target(folder) as echo:
        report.say(f"an answer has {size} bytes, a request {(folder / 'request').stat().st_size}")
        targets = {"echo": echo, "submit": submit}
        taken: dict[tuple[str, int], list[Rate]] = {(name, n): [] for n in IN_FLIGHT for name in targets}
        for number in range(1, rounds + 1):
            for (name, in_flight), rates in taken.items():
                rate = call(targets[name], in_flight, seconds)
                rates.append(rate)
                report.say(
                    f"round {number}/{rounds}  {name}, {in_flight} in flight: {rate.rate:,.0f} calls/s"
                )
        _compare(
            valkey,
            1 + sum(rate.calls for key, rates in taken.items() for rate in rates if key[0] == "submit"),
        )
    return taken


def _compare(valkey: Valkey, submitted: int) -> None:
    store = Store(valkey.url, NAMESPACE)
    try:
        _, rows = store.run(calls.counts([QUEUE]))
    finally:
        store.close()
    if rows[0].queued != submitted:
        raise BenchError(f"{submitted} calls were answered, {rows[0].queued} jobs are queued")


def results_of(taken: Mapping[tuple[str, int], Sequence[Rate]]) -> list[Result]:
    """Compare Submit with the echo."""
    found = []
    for in_flight in IN_FLIGHT:
        ours, theirs = ([rate.rate for rate in taken[name, in_flight]] for name in ("submit", "echo"))
        found.append(
            Result(f"latency.submit_{in_flight}_vs_echo", paired_ratio(ours, theirs), "ratio", BOUND)
        )
        found.append(Result(f"latency.submit_{in_flight}_rate", statistics.median(ours), "calls/s"))
    return found


def print_rates(taken: Mapping[tuple[str, int], Sequence[Rate]]) -> None:
    """Print rates, and what a call costs."""
    rows = [
        [
            f"{name}, {in_flight} in flight",
            report.spread([rate.rate for rate in rates]),
            f"{statistics.median(rate.server_cpu_us for rate in rates):.0f}",
            f"{statistics.median(rate.client_cpu_us for rate in rates):.0f}",
        ]
        for (name, in_flight), rates in taken.items()
    ]
    rounds = len(next(iter(taken.values())))
    head = ["", "calls/s", "server CPU us a call", "client CPU us a call"]
    report.print_table(f"calls a second, medians of {rounds} rounds (lowest-highest)", head, rows)
