"""Who drains a queue in ``bench-drain``: how their jobs are queued, what runs them, and how many are done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from redis import Redis

from benchmarks.processes import PROGRAMS, BenchError, Running, Valkey, jobsvc
from jobsvc.model.ids import new_job_id
from jobsvc.model.job import NewJob
from jobsvc.model.jsontext import dump
from jobsvc.model.lifecycle import JobState
from jobsvc.store import calls
from jobsvc.store.store import Store

SLOTS = 8
PAYLOAD = "x" * 200
ENQUEUE_S = 300.0
PIPELINE = 200


class Contestant(Protocol):
    """Queues jobs and runs them; the store is empty before."""

    name: str

    def enqueue(self, jobs: int) -> None:
        """Queue jobs that do nothing, with arguments of 200 bytes."""

    def work(self) -> AbstractContextManager[Running]:
        """Run one worker with 8 slots while the block lasts."""

    def done(self, jobs: int) -> int:
        """How many of the queued jobs are done."""

    def verify(self, jobs: int) -> None:
        """Look whether every result that should be kept is.

        Raises:
            BenchError: It is not.
        """

    def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bench works.

    Attributes:
        valkey: The store of all contestants.
        folder: For files that last as long as the bench.
        peers: The folder with the peers' programs.
    """

    valkey: Valkey
    folder: Path
    peers: Path


class Jobsvc:
    """``jobsvc worker``, tracked, with stored results.

    Args:
        place: Where.
        isolation: ``thread`` or ``process``.
    """

    def __init__(self, place: Place, isolation: str) -> None:
        self.name = {"thread": "jobsvc threads", "process": "jobsvc processes"}[isolation]
        self._place = place
        self._isolation = isolation
        self._store = Store(place.valkey.url, "bench")

    def enqueue(self, jobs: int) -> None:
        """Queue them one by one: none is part of a batch."""
        arguments = dump({"payload": PAYLOAD})
        left = jobs
        while left:
            size = min(left, PIPELINE)
            new = (
                NewJob(id=new_job_id(), type="bench.noop", queue="bench", arguments=arguments)
                for _ in range(size)
            )
            self._store.run_many([calls.submit(job) for job in new])
            left -= size

    @contextmanager
    def work(self) -> Iterator[Running]:
        """Start a worker as a user does."""
        options = (
            "--import",
            "benchmarks.programs.handlers",
            "--threads",
            str(SLOTS),
            "--namespace",
            "bench",
        )
        environment = {"BENCH_ISOLATION": self._isolation}
        url = self._place.valkey.url
        with jobsvc(self._place.folder, "worker", "--redis", url, *options, environment=environment) as (
            worker,
            _,
        ):
            yield worker

    def done(self, jobs: int) -> int:
        """Completed ones, by the queue's own set."""
        _, rows = self._store.run(calls.counts(["bench"]))
        return rows[0].completed

    def verify(self, jobs: int) -> None:
        """Read a hundred of them in full, evenly spread."""
        page = self._store.run(calls.page(self._store.keys, "bench", JobState.COMPLETED, limit=jobs))
        chosen = [job_id for job_id, _ in page][:: max(1, jobs // 100)]
        found = self._store.run(calls.read(chosen[:200], full=True))
        if not found or any(job is None or job.result != '{"ok":1}' for job in found):
            raise BenchError(f"{self.name}: a completed job has no result")

    def close(self) -> None:
        """Let go of the connection."""
        self._store.close()


class Dramatiq:
    """Stock Dramatiq with its Redis broker: untracked, no results."""

    name = "dramatiq, untracked"

    def __init__(self, place: Place) -> None:
        self._redis: Redis = Redis.from_url(place.valkey.url)
        self._peers = place.peers
        self._environment = {"BENCH_REDIS_URL": place.valkey.url}

    def enqueue(self, jobs: int) -> None:
        """Send them one by one; there is no other way."""
        command: list[str | Path] = [self._peers / "python", "dramatiq_tasks.py", str(jobs)]
        run_client(self.name, command, self._environment)

    def work(self) -> AbstractContextManager[Running]:
        """One process, 8 threads; the module is found in the folder that it runs in."""
        options = ["--processes", "1", "--threads", str(SLOTS)]
        command: list[str | Path] = [self._peers / "dramatiq", *options, "dramatiq_tasks"]
        return Running(self.name, command, environment=self._environment, folder=PROGRAMS)

    def done(self, jobs: int) -> int:
        """Messages that were acknowledged, which are deleted then."""
        return jobs - int(self._redis.hlen("dramatiq:default.msgs"))

    def verify(self, jobs: int) -> None:
        """It keeps nothing."""

    def close(self) -> None:
        """Let go of the connection."""
        self._redis.close()


class Celery:
    """Celery with its prefork pool and Redis results, in a database of their own so that they can be counted."""

    name = "celery prefork"

    def __init__(self, place: Place) -> None:
        results = place.valkey.url.removesuffix("/0") + "/1"
        self._results: Redis = Redis.from_url(results)
        self._peers = place.peers
        self._environment = {"BENCH_REDIS_URL": place.valkey.url, "BENCH_RESULTS_URL": results}

    def enqueue(self, jobs: int) -> None:
        """Send them one by one."""
        run_client(self.name, [self._peers / "python", "-m", "celery_tasks", str(jobs)], self._environment)

    def work(self) -> AbstractContextManager[Running]:
        """One worker with 8 processes."""
        pool = ["--pool", "prefork", "--concurrency", str(SLOTS), "--loglevel", "WARNING"]
        command: list[str | Path] = [self._peers / "celery", "--app", "celery_tasks:app", "worker", *pool]
        return Running(self.name, command, environment=self._environment, folder=PROGRAMS)

    def done(self, jobs: int) -> int:
        """Results: one key each."""
        return int(self._results.dbsize())

    def verify(self, jobs: int) -> None:
        """The count of results has shown it."""

    def close(self) -> None:
        """Let go of the connection."""
        self._results.close()


def run_client(name: str, command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
    """Run a program of the peers to its end.

    Raises:
        BenchError: It failed.
    """
    with Running(f"{name}, queueing", command, environment=environment, folder=PROGRAMS) as process:
        process.wait(ENQUEUE_S)
