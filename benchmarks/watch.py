"""``make bench-watch``: a thousand watchers on one server, over jobs that report progress twenty times a second.

Every one must see the snapshot, at least one update and the end. The jobs start when all have their snapshot.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import grpc

from benchmarks import report
from benchmarks.figures import Bound, Result
from benchmarks.peers import compile_all
from benchmarks.processes import BenchError, Running, Valkey, jobsvc
from jobsvc_proto.v1 import job_service_pb2 as pb
from jobsvc_proto.v1.job_service_pb2_grpc import JobServiceStub

JOBS = 8
CONNECTIONS = 20
QUEUE = "watched"
END_S = 60.0


@dataclass(frozen=True, slots=True)
class Watched:
    """What came of one round.

    Attributes:
        complete: Watchers that saw everything they must see.
        rate: Messages a second, over all watchers, while the jobs ran.
        server_cpu_us: CPU time of the server for one message, microseconds.
        client_cpu_us: The same of the client.
    """

    complete: int
    rate: float
    server_cpu_us: float
    client_cpu_us: float


def watch_once(valkey: Valkey, folder: Path, namespace: str, watchers: int, seconds: float) -> Watched:
    """Start a server, let watchers gather at jobs that wait, and let the jobs run."""
    store = ("--redis", valkey.url, "--namespace", namespace)
    work = ("worker", *store, "--import", "benchmarks.programs.handlers", "--threads", str(JOBS))
    environment = {"BENCH_ISOLATION": "thread"}
    with ExitStack() as stack:
        server, address = stack.enter_context(jobsvc(folder, "server", *store, "--port", "0", environment={}))
        # this one makes the job type known, and serves another queue
        stack.enter_context(jobsvc(folder, *work, environment=environment))
        job_ids = _submit(address, seconds)
        command = [sys.executable, "-m", "benchmarks.programs.watch_client"]
        command += [address, ",".join(job_ids), str(watchers), str(CONNECTIONS)]
        client = stack.enter_context(Running("watching client", command, answers=True))
        if client.line() != "ready":
            raise BenchError(f"the watchers were not ready: {client.output()}")
        before_s = server.cpu_s()
        stack.enter_context(jobsvc(folder, *work, "--queues", QUEUE, environment=environment))
        said = json.loads(client.line())
        spent_s = server.cpu_s() - before_s
        client.wait(END_S)
    messages, span_s = said["messages"], max(said["seconds"], 1e-9)
    return Watched(said["complete"], messages / span_s, spent_s / messages * 1e6, said["cpu_us"])


def _submit(address: str, seconds: float) -> list[str]:
    spec = pb.JobSpec(job_type="bench.tick", queue=QUEUE)
    spec.arguments.json = json.dumps({"seconds": seconds})
    with grpc.insecure_channel(address) as channel:
        stub = JobServiceStub(channel)
        return [stub.Submit(pb.SubmitRequest(spec=spec), timeout=10).job.job_id for _ in range(JOBS)]


def run(rounds: int, watchers: int, seconds: float) -> int:
    """Run the bench; return the exit status."""
    before = report.machine_facts()
    compile_all()
    taken: list[Watched] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Valkey(Path(folder)) as valkey:
        for number in range(1, rounds + 1):
            taken.append(watch_once(valkey, Path(folder), f"bench-{number}", watchers, seconds))
            report.say(
                f"round {number}/{rounds}  {taken[-1].complete} complete, {taken[-1].rate:,.0f} messages/s"
            )
    head = ["round", "complete", "messages/s", "server CPU us a message", "client CPU us a message"]
    rows = [
        [str(number), str(w.complete), f"{w.rate:,.0f}", f"{w.server_cpu_us:.0f}", f"{w.client_cpu_us:.0f}"]
        for number, w in enumerate(taken, 1)
    ]
    title = f"{watchers:,} watchers of {JOBS} jobs on one server, {CONNECTIONS} connections"
    report.print_table(title, head, rows)
    results = [
        Result("watch.complete_watchers", min(w.complete for w in taken), "watchers", Bound(">=", watchers)),
        Result("watch.messages_rate", statistics.median(w.rate for w in taken), "messages/s"),
        Result("watch.server_cpu_per_message", statistics.median(w.server_cpu_us for w in taken), "us"),
    ]
    return report.finish(before, results)


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="bench-watch", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--watchers", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each job runs")
    given = parser.parse_args(arguments)
    if given.rounds < 1 or given.watchers < 1 or given.seconds <= 0:
        parser.error("at least 1 round, 1 watcher, and a time")
    try:
        return run(given.rounds, given.watchers, given.seconds)
    except BenchError as error:
        sys.exit(f"bench-watch: {error}")


if __name__ == "__main__":
    sys.exit(main())
