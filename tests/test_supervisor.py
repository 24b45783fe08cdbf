"""The supervisor: readiness, restarts, and stopping in order."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from jobsvc import supervisor
from jobsvc.model.errors import ConfigurationError
from jobsvc.supervisor import Child, Supervisor
from tests.waiting import until

# Says that it is ready, then waits for SIGTERM and notes its end.
WORKS = """
import pathlib, signal, sys
def stop(*_):
    with open(sys.argv[2], "a") as notes: notes.write(sys.argv[3] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
pathlib.Path(sys.argv[1]).write_text("ready")
while True: signal.pause()
"""
STUBBORN = """
import pathlib, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).write_text("ready")
while True: signal.pause()
"""
BROKEN = "import sys; sys.exit(3)"
SLOW = "import signal; signal.pause()"

Make = Callable[..., Child]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(name: str, program: str) -> Child:
        ready = tmp_path / f"{name}.ready"
        words = [sys.executable, "-S", "-c", program, str(ready), str(tmp_path / "notes"), name]
        return Child(name, words, os.environ, ready)

    return make


def ask_to_stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_parts_are_stopped_in_reverse_order_of_stages(make: Make, tmp_path: Path) -> None:
    said: list[str] = []

    Supervisor([[make("store", WORKS)], [make("server", WORKS)], [make("worker", WORKS)]], said.append).run(
        ask_to_stop
    )

    assert (tmp_path / "notes").read_text().split() == ["worker", "server", "store"]
    assert said == []


def test_part_that_cannot_start_ends_all(make: Make, tmp_path: Path) -> None:
    works, broken = make("server", WORKS), make("worker", BROKEN)

    with pytest.raises(ConfigurationError, match=r"worker ended \(status 3\) before it was ready"):
        Supervisor([[works], [broken]], print).run(lambda: pytest.fail("was never ready"))

    assert works.poll() is not None


def test_part_that_dies_is_started_again(make: Make) -> None:
    said: list[str] = []
    child = make("worker", WORKS)
    first: list[int] = []

    def when_ready() -> None:
        assert child.process is not None
        first.append(child.process.pid)
        child.process.kill()
        threading.Thread(target=stop_when_back).start()

    def stop_when_back() -> None:
        until(lambda: child.process is not None and child.process.pid != first[0] and child.ready())
        ask_to_stop()

    Supervisor([[child]], said.append).run(when_ready)

    assert said == ["the worker ended (killed by SIGKILL); starting it again in 0.2 s"]


def test_part_that_keeps_dying_is_started_ever_later(make: Make) -> None:
    said: list[str] = []
    child = make("worker", WORKS)

    def when_ready() -> None:
        assert child.process is not None
        child.words = [sys.executable, "-S", "-c", BROKEN]
        child.process.kill()

    def say(line: str) -> None:
        said.append(line.rpartition(" in ")[2])
        if len(said) == 4:
            ask_to_stop()

    watched = Supervisor([[child]], say)
    watched.run(when_ready)

    assert said == ["0.2 s", "0.4 s", "0.8 s", "1.6 s"]


def test_stop_while_starting_stops_what_was_started(make: Make) -> None:
    child = make("server", SLOW)
    until_started = threading.Thread(target=lambda: (until(lambda: child.process is not None), ask_to_stop()))
    until_started.start()

    Supervisor([[child]], print).run(lambda: pytest.fail("was never ready"))

    assert child.poll() == -signal.SIGTERM


def test_second_signal_kills_what_does_not_stop(make: Make) -> None:
    said: list[str] = []
    child = make("worker", STUBBORN)

    def when_ready() -> None:
        ask_to_stop()
        timer = threading.Timer(0.2, ask_to_stop)
        timer.start()

    Supervisor([[child]], said.append).run(when_ready)

    assert child.poll() == -signal.SIGKILL
    assert said == ["the worker did not stop in time and was killed"]


def test_stubborn_part_is_killed_when_patience_ends(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "STOP_PATIENCE_S", 0.2)
    child = make("worker", STUBBORN)

    Supervisor([[child]], print).run(ask_to_stop)

    assert child.poll() == -signal.SIGKILL


def test_signal_handlers_are_given_back(make: Make) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGCHLD)

    Supervisor([[make("server", WORKS)]], print).run(ask_to_stop)

    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGCHLD)) == before


def test_part_that_was_drained_is_not_started_again(make: Make) -> None:
    said: list[str] = []
    ends = "signal.signal(signal.SIGUSR1, lambda *_: sys.exit(86))\n"
    drained = make("worker", WORKS.replace("pathlib.Path(", f"{ends}pathlib.Path("))
    other = make("server", WORKS)
    drained_pid: list[int] = []

    def when_ready() -> None:
        assert drained.process is not None
        drained_pid.append(drained.process.pid)
        drained.process.send_signal(signal.SIGUSR1)
        threading.Thread(target=stop_when_said).start()

    def stop_when_said() -> None:
        until(lambda: said)
        ask_to_stop()

    Supervisor([[other], [drained]], said.append).run(when_ready)

    assert said == ["the worker was drained and has ended; it is not started again"]
    assert drained.process is not None
    assert drained.process.pid == drained_pid[0]
