"""A server and workers as real processes over a given Valkey, for tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.waiting import until

ROOT = Path(__file__).resolve().parent.parent
IMPORTS = ("tests.handlers", "jobsvc.samples.analytics")


def clean_environment(**settings: object) -> dict[str, str]:
    """Return this process's environment without settings of jobsvc, but with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOBSVC_")}
    kept["JOBSVC_CONFIG"] = os.devnull
    return {**kept, **{f"JOBSVC_{name.upper()}": str(value) for name, value in settings.items()}}


class Process:
    """One of our commands, as a process that ends with the test run; its output goes to a file."""

    def __init__(self, folder: Path, name: str, *words: str, **settings: object) -> None:
        self.name = name
        self.ready_file = folder / f"{name}.ready"
        self.log_file = folder / f"{name}.log"
        self.ready_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "jobsvc", *words]
        command += ["--ready-file", str(self.ready_file), "--die-with", str(os.getpid())]
        with self.log_file.open("ab") as log:
            self.popen = subprocess.Popen(
                command,
                cwd=ROOT,
                env=clean_environment(**settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def log(self) -> str:
        """Everything the process has written."""
        return self.log_file.read_text(errors="replace")

    def await_ready(self, timeout_s: float = 30) -> str:
        """Wait until the process says that it works; return what it says."""

        def look() -> bool:
            assert self.popen.poll() is None, f"{self.name} ended:\n{self.log[-4000:]}"
            return self.ready_file.exists()

        try:
            until(look, timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{self.name} was not ready ({error}):\n{self.log[-4000:]}") from None
        return self.ready_file.read_text().strip()

    def kill(self) -> None:
        """Kill it with -9 and wait for its end."""
        self.popen.kill()
        self.popen.wait()

    def pause(self) -> None:
        """Stop it in its tracks, as a machine that hangs; `resume` lets it go on."""
        self.popen.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self.popen.send_signal(signal.SIGCONT)

    def stop(self, timeout_s: float = 30) -> int:
        """Stop it with SIGTERM; return its exit status."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGCONT)
            self.popen.terminate()
            try:
                self.popen.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(
                    f"{self.name} did not stop within {timeout_s:g} s:\n{self.log[-4000:]}"
                ) from None
        return self.popen.returncode


class Stack:
    """A server and workers.

    Args:
        folder: For logs and ready files.
        redis_url: The store.
        namespace: First part of the keys.
        imports: Modules with handlers.
        data_folder: Folder that the samples may read.
        workers: How many worker processes to start.
        settings: Any other setting of jobsvc, by name: ``threads=2, lease="2s"``.
    """

    def __init__(
        self,
        folder: Path,
        redis_url: str,
        namespace: str,
        *,
        imports: tuple[str, ...] = IMPORTS,
        data_folder: Path | None = None,
        workers: int = 1,
        **settings: object,
    ) -> None:
        self.folder = folder
        self.redis_url = redis_url
        self.namespace = namespace
        self.data_folder = data_folder or folder / "tables"
        self.data_folder.mkdir(exist_ok=True)
        self.settings: dict[str, object] = {
            "redis_url": redis_url,
            "namespace": namespace,
            "imports": ",".join(imports),
            "data_folder": self.data_folder,
            **settings,
        }
        self.address = ""
        self.server: Process | None = None
        self.workers: list[Process] = []
        self._count = 0
        self._wanted_workers = workers

    def start(self) -> Stack:
        """Start the server and the workers side by side, and wait until all are ready."""
        server = self._launch("server", "server", "--port", "0")
        workers = [self._launch_worker() for _ in range(self._wanted_workers)]
        self.server, self.address = server, server.await_ready()
        for worker in workers:
            worker.await_ready()
        return self

    def restart_server(self) -> Process:
        """Start the server again on the same port, after it was stopped or killed."""
        assert self.server is None or self.server.popen.poll() is not None
        self.server = self._launch("server", "server", "--port", self.address.rpartition(":")[2])
        self.server.await_ready()
        return self.server

    def start_worker(self, **settings: object) -> Process:
        """Start one more worker and wait until it is ready."""
        worker = self._launch_worker(**settings)
        worker.await_ready()
        return worker

    def stop(self) -> None:
        """Stop all that runs: the workers first."""
        running = [*self.workers, *([self.server] if self.server else [])]
        for process in running:
            if process.popen.poll() is None:
                process.popen.send_signal(signal.SIGCONT)
                process.popen.terminate()
        for process in running:
            process.stop()

    def _launch_worker(self, **settings: object) -> Process:
        self._count += 1
        worker = self._launch(f"worker-{self._count}", "worker", **settings)
        self.workers.append(worker)
        return worker

    def _launch(self, name: str, *words: str, **settings: object) -> Process:
        return Process(self.folder, name, *words, **{**self.settings, **settings})
