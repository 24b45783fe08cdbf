"""`jobsvc dev`: one command that starts everything, loses nothing, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import psutil
import pytest

from jobsvc_sdk import ServerUnavailable, connect
from tests.stack import ROOT, clean_environment
from tests.waiting import until

HANDLERS = "tests.cli.waiting_handlers"
_numbers = count(1)


class Dev:
    """One run of `jobsvc dev` with state in a folder; its output goes to a file."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.mark = f"dev{os.getpid()}x{next(_numbers)}"
        self.state = folder / "state"
        self.log_file = folder / f"{self.mark}.log"
        self.ready_file = folder / f"{self.mark}.ready"
        command = [sys.executable, "-m", "jobsvc", "dev", "--port", "0", "--data", str(self.state)]
        command += ["--ready-file", str(self.ready_file), "--die-with", str(os.getpid()), *words]
        with self.log_file.open("wb") as log:
            self.popen = subprocess.Popen(
                command,
                cwd=ROOT,
                env=clean_environment(lease="2s", threads=2) | {"TEST_MARK": self.mark},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def await_ready(self) -> str:
        """Return the address."""
        until(lambda: self.ready_file.exists() or self.popen.poll() is not None, 60)
        assert self.ready_file.exists(), self.log
        return self.ready_file.read_text().strip()

    def processes(self) -> list[psutil.Process]:
        """Every process that this run started and that still lives, wherever it is in the tree."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            # Valkey writes its title over its environment, but it works in the folder with the state.
            return process.environ().get("TEST_MARK") == self.mark or Path(process.cwd()) == self.state
        except psutil.Error:
            return False


Start = Callable[..., Dev]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Dev] = []

    def start(*words: str) -> Dev:
        started.append(Dev(tmp_path, *words))
        return started[-1]

    yield start
    for dev in started:
        dev.popen.kill()
        dev.popen.wait()
    until(lambda: not any(dev.processes() for dev in started))


def test_dev_says_how_to_connect_and_runs_the_samples(start: Start) -> None:
    dev = start()

    address = dev.await_ready()

    assert f"jobsvc is ready at {address}" in dev.log
    assert f'connect("{address}")' in dev.log
    assert "Ctrl-C" in dev.log
    assert dev.log.count("is ready at") == 1
    with connect(address) as client:
        assert client.submit("analytics.profile", {"dataset": "cars"}).result(timeout=60)["rows"] > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_dev_stops_everything_at_a_signal(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    dev = start("--import", HANDLERS, "--processes", "2")
    with connect(dev.await_ready()) as client:
        job = client.submit("waiting.file", {"path": str(tmp_path / "answer")})
        until(lambda: job.refresh().state == "processing")
        assert len(dev.processes()) >= 4

        dev.popen.send_signal(number)
        until(lambda: "waiting for what still runs in: worker" in dev.log)
        (tmp_path / "answer").write_text("42")

    assert dev.popen.wait(timeout=30) == 0, dev.log
    assert dev.processes() == []
    assert "killed" not in dev.log
    assert "Traceback" not in dev.log


def test_second_ctrl_c_ends_dev_at_once(start: Start, tmp_path: Path) -> None:
    dev = start("--import", HANDLERS)
    with connect(dev.await_ready()) as client:
        job = client.submit("waiting.file", {"path": str(tmp_path / "never")})
        until(lambda: job.refresh().state == "processing")

    dev.popen.send_signal(signal.SIGINT)
    until(lambda: "Ctrl-C again" in dev.log)
    dev.popen.send_signal(signal.SIGINT)

    assert dev.popen.wait(timeout=10) == 0, dev.log
    until(lambda: not dev.processes(), 5)


def test_killed_dev_leaves_no_process_and_loses_no_job(start: Start, tmp_path: Path) -> None:
    answer = tmp_path / "answer"
    dev = start("--import", HANDLERS)
    with connect(dev.await_ready()) as client:
        jobs = [client.submit("waiting.file", {"path": str(answer)}) for _ in range(5)]
        until(lambda: jobs[0].refresh().state == "processing")

    dev.popen.kill()

    dev.popen.wait()
    until(lambda: not dev.processes())
    answer.write_text("42")
    with connect(start("--import", HANDLERS).await_ready()) as client:
        assert [client.job(job.id).result(timeout=30) for job in jobs] == ["42"] * 5


def test_second_dev_on_one_folder_is_refused(start: Start, tmp_path: Path) -> None:
    first = start("--import", HANDLERS)
    address = first.await_ready()

    second = start("--import", HANDLERS)

    assert second.popen.wait(timeout=30) == 1
    assert second.log.startswith(
        f"Error: the data folder {tmp_path / 'state'} is in use by process {first.popen.pid}"
    )
    assert len(second.log.splitlines()) == 1
    with connect(address) as client:
        assert client.server_info().worker_count == 1


def test_dev_on_a_taken_port_is_refused_and_stops_what_it_started(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        dev = start("--import", HANDLERS, "--port", str(port))

        assert dev.popen.wait(timeout=30) == 1

    assert f"127.0.0.1:{port}" in dev.log
    assert "the server ended (status 1) before it was ready" in dev.log
    assert "Traceback" not in dev.log
    until(lambda: not dev.processes(), 5)


def test_dev_with_a_module_that_is_missing_is_refused(start: Start) -> None:
    dev = start("--import", "no_such_module")

    assert dev.popen.wait(timeout=30) == 1
    assert "no_such_module" in dev.log
    assert "Traceback" not in dev.log


@pytest.mark.parametrize("name", ["server", "worker", "valkey-server"])
def test_dev_starts_again_what_was_killed(start: Start, tmp_path: Path, name: str) -> None:
    answer = tmp_path / "answer"
    answer.write_text("42")
    dev = start("--import", HANDLERS)
    address = dev.await_ready()

    victim = next(process for process in dev.processes() if _runs(process, name))
    victim.kill()

    def works() -> bool:
        try:
            with connect(address) as client:
                return client.submit("waiting.file", {"path": str(answer)}).result(timeout=30) == "42"
        except ServerUnavailable:
            return False

    until(lambda: "starting it again" in dev.log)
    until(works, 30)


def _runs(process: psutil.Process, name: str) -> bool:
    return process.name() == name or process.cmdline()[1:4] == ["-m", "jobsvc", name]
