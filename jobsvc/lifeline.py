"""Processes that end when the process that started them ends, however it ends.

A parent that is killed with ``-9`` cannot stop its children, and a child that lives on holds a data folder, a port or a
lease that nobody asked for. On Linux the kernel sends a signal for us (``PR_SET_PDEATHSIG``); elsewhere a small thread
looks whether the parent is still the parent.

Two ways in:

* a child of ours calls `hold` as soon as it runs;
* a program that is not ours is started through `command`, which sets the signal and then becomes that program.

The kernel's signal is tied to the *thread* that started the child: start children from a thread that lives as long as
the process, best the main thread.

This module imports the standard library only, and little of it: it is also the script that `command` runs.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1
_LOOK_EVERY_S = 0.5


held = False
"""Whether this process ends with its parent."""


def hold(parent_pid: int, death_signal: int = signal.SIGKILL) -> None:
    """End the calling process when its parent ends.

    If the parent is gone already the signal is sent at once: a child that starts slowly must not miss the death of its
    parent.

    Args:
        parent_pid: Id of the process that started this one, as that process knows itself (``os.getpid()``).
        death_signal: What this process then gets; by default it is killed without a chance to clean up.
    """
    global held
    held = True
    if not _ask_kernel(death_signal):
        _watch(parent_pid, death_signal)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), death_signal)


def command(words: Sequence[str], death_signal: int = signal.SIGTERM) -> list[str]:
    """Wrap a command line so that the program ends when the calling process ends.

    Where the kernel cannot do that (not Linux) the command comes back as it is, and whoever starts it must be able to
    take over from an orphan.

    Args:
        words: The program and its arguments; the program as a path.
        death_signal: What the program gets when the calling process has ended.

    Returns:
        The command line to start; its process has the id and the exit status of the program itself.
    """
    if sys.platform != "linux":
        return list(words)
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(death_signal)), *words]


def _ask_kernel(death_signal: int) -> bool:
    if sys.platform != "linux":
        return False
    import ctypes  # not at the top: it costs milliseconds, and only Linux needs it

    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) == 0)


def _watch(parent_pid: int, death_signal: int) -> None:
    import threading
    import time

    def look() -> None:
        while os.getppid() == parent_pid:
            time.sleep(_LOOK_EVERY_S)
        os.kill(os.getpid(), death_signal)

    threading.Thread(target=look, name="jobsvc-lifeline", daemon=True).start()


def _become(arguments: Sequence[str]) -> None:
    """Run as a script: set the signal, then turn into the program."""
    parent_pid, death_signal, *words = arguments
    hold(int(parent_pid), int(death_signal))
    # Python ignores two signals for itself, and what is ignored is inherited; the program expects the usual ones.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    os.execv(words[0], words)


if __name__ == "__main__":
    _become(sys.argv[1:])
