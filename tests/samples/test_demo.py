"""The demo: it answers its question, says what went wrong, and leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from jobsvc.samples import demo
from tests.stack import clean_environment
from tests.waiting import until


def processes_of(folder: Path) -> list[str]:
    """Command lines of the processes that work in a folder.

    A fork server notices that its worker is gone, and ends, some milliseconds after it: look until a deadline.
    """
    found = []
    for process in psutil.process_iter():
        try:
            words = " ".join(process.cmdline())
            if str(folder) in words or str(folder) in process.cwd():
                found.append(words)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which everything temporary is made."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_demo_answers_its_question_and_leaves_nothing_behind(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "COMMON", {**demo.COMMON, "replicas": 1, "resolution": 8})

    status = demo.main()

    output, bar = capfd.readouterr()
    assert status == 0, bar
    assert "60/60 60 completed" in " ".join(bar.split())
    assert "Answer: growth was to be expected in" in output
    assert all(name.split("_")[0][:9] in output for name in demo.INDUSTRIES)
    until(lambda: not processes_of(scratch), timeout_s=5)
    assert list(scratch.iterdir()) == []


def test_demo_with_jobs_that_fail_says_why_and_exits_with_1(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "COMMON", {**demo.COMMON, "dataset": "moon-employment"})

    status = demo.main()

    assert status == 1
    complaint = " ".join(capfd.readouterr().err.split())
    assert "60 of 60 jobs did not complete" in complaint
    assert "there is no dataset 'moon-employment'" in complaint
    until(lambda: not processes_of(scratch), timeout_s=5)


def test_demo_whose_stack_does_not_start_shows_what_it_said(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "HANDLERS", "no.such.module")

    status = demo.main()

    assert status == 1
    complaint = " ".join(capfd.readouterr().err.split())
    assert "`jobsvc dev` ended with status 1" in complaint
    assert "no.such.module" in complaint
    until(lambda: not processes_of(scratch), timeout_s=5)


def test_demo_stops_everything_on_ctrl_c(scratch: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "jobsvc.samples.demo"],
        env={**clean_environment(), "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stderr is not None
        until(lambda: "processing" in running.stderr.readline(), timeout_s=60)
        running.send_signal(signal.SIGINT)

        _, errors = running.communicate(timeout=60)
    finally:
        running.kill()

    assert running.returncode == 130
    assert "Traceback" not in errors
    until(lambda: not processes_of(scratch), timeout_s=5)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("width", [80, 120])
def test_demo_table_fits_the_terminal(width: int) -> None:
    best = [
        {
            "column": name,
            "last": {"value": 22_318.0},
            "change_percent": {"value": change, "low": change - 3, "high": change + 10.25},
            "backtest": {"mae": 73.0},
        }
        for name, change in zip(demo.INDUSTRIES, range(-10, 5), strict=True)
    ]
    console = Console(width=width, record=True, file=StringIO())

    demo._show(console, best)

    text = console.export_text()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
