"""Children end with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from jobsvc import lifeline

HOLDER = """
    import os, signal, sys
    from jobsvc import lifeline
    if sys.argv[2] == "watch":
        lifeline._ask_kernel = lambda death_signal: False
    lifeline.hold(int(sys.argv[1]), signal.SIGTERM)
    print("holding", flush=True)
    signal.pause()
"""
PARENT = """
    import os, subprocess, sys
    child = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid()), sys.argv[2]], stdout=subprocess.PIPE)
    child.stdout.readline()
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("way", ["kernel", "watch"])
def test_child_ends_when_its_parent_is_killed(way: str) -> None:
    if way == "kernel" and sys.platform != "linux":
        pytest.skip("the kernel's way is Linux's")
    read, write = os.pipe()  # the write end is open as long as the child lives

    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), textwrap.dedent(HOLDER), way], stderr=write
    )
    os.close(write)

    assert parent.wait(timeout=20) == -signal.SIGKILL
    with os.fdopen(read) as pipe:
        assert pipe.read() == ""


def test_child_of_a_parent_that_is_gone_ends_at_once() -> None:
    code = "import os; from jobsvc import lifeline; lifeline.hold(os.getppid() + 1); print('lived')"

    child = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=20)

    assert child.returncode == -signal.SIGKILL
    assert child.stdout == b""


def test_wrapped_program_keeps_its_exit_status_and_output(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\necho "$1"\nexit 7\n')
    program.chmod(0o755)

    done = subprocess.run(lifeline.command([str(program), "a word"]), capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (7, "a word\n")
