"""Processes that a bench starts: workers, servers, loops. Each ends with its ``with`` block, or with the bench."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import psutil

from jobsvc import lifeline
from jobsvc.embedded.binary import find_server

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "benchmarks" / "programs"

STOP_S = 15.0
"""How long a process may take to stop in good order."""

READY_S = 60.0
POLL_S = 0.005

_VALKEY = ("--port", "{port}", "--bind", "127.0.0.1", "--dir", "{folder}", "--save", "", "--appendonly", "no")


class BenchError(Exception):
    """The bench cannot go on: a process did not start, or did not do its work in time."""


def wait_until(look: Callable[[], bool], what: str, timeout_s: float = READY_S) -> None:
    """Look every few milliseconds until it is so.

    Raises:
        BenchError: It was not so in time; the text says what was waited for.
    """
    deadline = time.monotonic() + timeout_s
    while not look():
        if time.monotonic() > deadline:
            raise BenchError(f"not within {timeout_s:g} s: {what}")
        time.sleep(POLL_S)


class Running:
    """A process in a group of its own, with its children, which ends with this block.

    Args:
        name: For messages.
        command: The program, as a path, and its arguments.
        environment: Variables on top of this process's.
        folder: Where it runs, the repository by default.
        answers: It speaks on standard output, to be read with ``line``.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path = ROOT,
        answers: bool = False,
    ) -> None:
        self.name = name
        self._log = tempfile.TemporaryFile("w+b")  # noqa: SIM115 (lives as long as the process)
        self._popen = subprocess.Popen(
            lifeline.command([str(word) for word in command]),
            env={**clean_environment(), **(environment or {})},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if answers else self._log,
            stderr=self._log,
            start_new_session=True,
        )
        self._process = psutil.Process(self._popen.pid)

    def cpu_s(self) -> float:
        """CPU time of the process and all that live below it, with those that these have reaped, in seconds."""
        total = 0.0
        for process in [self._process, *self._process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        return total

    def check(self) -> None:
        """Look whether it lives.

        Raises:
            BenchError: It has ended; the text has the end of what it wrote.
        """
        status = self._popen.poll()
        if status is not None:
            raise BenchError(f"{self.name} ended with status {status}: {self.output()}")

    def line(self) -> str:
        """Wait for the next line of a process that answers.

        Raises:
            BenchError: It ended instead.
        """
        assert self._popen.stdout is not None
        text = self._popen.stdout.readline().decode()
        if not text:
            self._popen.wait()
            self.check()
        return text.strip()

    def wait(self, timeout_s: float) -> None:
        """Wait for a process that ends by itself.

        Raises:
            BenchError: It did not, or it failed.
        """
        try:
            status = self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{self.name} has not ended after {timeout_s:g} s: {self.output()}") from None
        if status:
            self.check()

    def output(self) -> str:
        """The end of what it wrote."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-3_000:].strip() or "(it wrote nothing)"

    def stop(self) -> None:
        """End it in good order, and what is left of its group by force."""
        if self._popen.poll() is None:
            self._popen.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(STOP_S)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()
        if self._popen.stdout is not None:
            self._popen.stdout.close()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def clean_environment() -> dict[str, str]:
    """This process's environment, without settings that somebody has for jobsvc, and with bytecode allowed."""
    unwanted = ("JOBSVC_", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    return {**kept, "JOBSVC_CONFIG": os.devnull, "JOBSVC_LOG_LEVEL": "warning"}


@contextmanager
def jobsvc(folder: Path, *words: str | Path, environment: Mapping[str, str]) -> Iterator[tuple[Running, str]]:
    """Run a command of ours as a user would, until it is ready; yields it and what it says then.

    Args:
        folder: For its ready file.
        words: Command and options, e.g. ``worker --threads 8``.
        environment: Its settings.
    """
    ready = folder / f"ready-{time.monotonic_ns()}"
    command = [sys.executable, "-m", "jobsvc", *words, "--ready-file", ready]
    with Running(f"jobsvc {words[0]}", command, environment=environment) as process:

        def look() -> bool:
            process.check()
            return ready.exists()

        wait_until(look, f"jobsvc {words[0]} is ready")
        yield process, ready.read_text().strip()


class Valkey(Running):
    """A Valkey on a free loopback port, which keeps nothing.

    Args:
        folder: An empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        options = [word.format(port=self.port, folder=folder) for word in _VALKEY]
        super().__init__("valkey", [find_server(), *options], folder=folder)
        self.url = f"redis://127.0.0.1:{self.port}/0"

        def answers() -> bool:
            self.check()
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
            return False

        try:
            wait_until(answers, "valkey answers")
        except BaseException:
            self.stop()
            raise


def free_port() -> int:
    """A loopback port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
