"""Real worker processes, and few words to give them work."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import redis

from jobsvc.model.errors import StoreUnavailable
from jobsvc.model.job import Job, NewJob
from jobsvc.model.jsontext import dump, parse
from jobsvc.model.lifecycle import JobState
from jobsvc.store import calls
from jobsvc.store.store import Store
from tests.stack import Process
from tests.store import invariants
from tests.waiting import until


class Rig:
    """A namespace in a Redis, and worker processes that serve it.

    Args:
        folder: For logs and for files by which tests and handlers talk.
        url: The Redis; workers may be given another way to it.
        namespace: First part of all keys.
    """

    def __init__(self, folder: Path, url: str, namespace: str) -> None:
        self.folder = folder
        self.url = url
        self.namespace = namespace
        self.store = Store(url, namespace)
        self.redis: Any = redis.Redis.from_url(url, decode_responses=True)
        self.workers: list[Process] = []
        self._numbers = itertools.count(1)

    def worker(self, *, imports: str = "tests.handlers", **settings: object) -> Process:
        """Start a worker and wait until it takes jobs. It serves one process' slots: ``threads=2, lease="2s"``."""
        options: dict[str, object] = {
            "redis_url": self.url,
            "namespace": self.namespace,
            "imports": imports,
            "threads": 2,
            **settings,
        }
        process = Process(self.folder, f"worker-{next(self._numbers)}", "worker", **options)
        self.workers.append(process)
        process.await_ready(60)
        return process

    def close(self) -> None:
        """Stop all workers, and look whether everything agrees."""
        for process in self.workers:
            if process.popen.poll() is None:
                process.popen.send_signal(signal.SIGCONT)
                process.popen.terminate()
        for process in self.workers:
            process.stop()
        try:
            invariants.check(self.redis, self.store.keys.tag)
        finally:
            self.store.close()
            self.redis.close()

    # -- jobs -----------------------------------------------------------------------------------------------------

    def submit(
        self, *steps: Sequence[Any], job_type: str = "test.do", queue: str = "test", **options: Any
    ) -> str:
        """Submit a job that does these steps; returns its id."""
        job_id = options.pop("id", None) or f"job{next(self._numbers)}"
        arguments = options.pop("arguments", {"steps": [list(step) for step in steps]})
        self.store.run(
            calls.submit(NewJob(id=job_id, type=job_type, queue=queue, arguments=dump(arguments), **options))
        )
        return job_id

    def job(self, job_id: str) -> Job:
        (job,) = self.store.run(calls.read([job_id], full=True))
        assert job is not None, f"{job_id} does not exist"
        return job

    def wait(self, job_id: str, *states: JobState, timeout_s: float = 20) -> Job:
        """Wait until a job has one of these states, by default one that ends it."""

        def look() -> Job | None:
            try:
                job = self.job(job_id)
            except StoreUnavailable:
                return None
            return job if (job.state in states if states else job.state.terminal) else None

        try:
            found = until(look, timeout_s)
        except AssertionError:
            logs = "\n".join(f"-- {worker.name}\n{worker.log[-3000:]}" for worker in self.workers)
            raise AssertionError(f"not {states or 'ended'} in time: {self.job(job_id)}\n{logs}") from None
        assert found is not None
        return found

    def result(self, job_id: str, timeout_s: float = 20) -> Any:
        """Wait for a job's end and return its result."""
        job = self.wait(job_id, timeout_s=timeout_s)
        assert job.state is JobState.COMPLETED, job
        return parse(job.result or "null")

    def run(self, *steps: Sequence[Any], **options: Any) -> Any:
        """Submit a job and return its result."""
        return self.result(self.submit(*steps, **options))

    def cancel(self, *job_ids: str) -> list[str]:
        return self.store.run(calls.cancel(job_ids, reason="test"))

    def lines(self, job_id: str) -> list[dict[str, Any]]:
        """The log lines of a job."""
        return [parse(text) for text in self.store.run(calls.read_logs(self.store.keys, job_id))]

    # -- files ----------------------------------------------------------------------------------------------------

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def open_gate(self, name: str) -> None:
        """Let go on whoever awaits this file."""
        (self.folder / name).touch()

    def notes(self, name: str) -> list[list[str]]:
        """What handlers have noted in a file: per line its words."""
        path = self.folder / name
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def freeze(process: Process) -> None:
    """Stop a process in its tracks; returns when its last thread stands still, which takes a moment."""
    process.pause()
    tasks = Path(f"/proc/{process.pid}/task")
    until(lambda: not tasks.exists() or all(_state(task) == "T" for task in tasks.iterdir()))


def _state(task: Path) -> str:
    return (task / "stat").read_text().rpartition(")")[2].split()[0]


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def family(pid: int) -> list[int]:
    """Ids of all processes that a process has started, directly or not."""
    return [each.pid for each in psutil.Process(pid).children(recursive=True)]


def until_gone(pids: Sequence[int], timeout_s: float = 15) -> None:
    until(lambda: not [pid for pid in pids if alive(pid)], timeout_s)
