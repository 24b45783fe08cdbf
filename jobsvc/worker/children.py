"""Child processes that run handlers: forks of a process that has imported their modules and has no threads."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import select
import signal
import sys
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from jobsvc.worker import child

_DEATH_TAKES_S = 5.0
"""How long a process that lost its pipe may take to end before it is killed."""

_READ_SIZE = 65_536

_BOOKS = threading.Lock()
"""The bookkeeping of multiprocessing is not made for threads: who starts a child looks at all of them, and of two who
look at once only one learns how a child ended."""


class ChildProcess:
    """A child, and the worker's end of the pipe to it. One thread hears it; any thread may kill it.

    Args:
        process: The process.
        pipe: Our end of the pipe.
    """

    def __init__(self, process: BaseProcess, pipe: Connection) -> None:
        self._process = process
        self._pipe = pipe
        self._unread = bytearray()
        self._poll = select.poll()
        # the process itself, too: what a handler has started may keep the pipe open after the end of the child
        for descriptor in (pipe.fileno(), process.sentinel):
            self._poll.register(descriptor, select.POLLIN)

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return self._process.pid

    def send(self, frame: bytes) -> None:
        """Send a frame.

        Raises:
            OSError: The child has ended.
        """
        self._pipe.send_bytes(frame)

    def send_now(self, frame: bytes) -> bool:
        """Send a small frame if that is possible without waiting; returns whether it was."""
        poll = select.poll()
        poll.register(self._pipe.fileno(), select.POLLOUT)
        if not poll.poll(0):
            return False
        with contextlib.suppress(OSError):
            self._pipe.send_bytes(frame)
        return True

    def receive(self, timeout_s: float | None = None) -> bytes:
        """Wait for the next frame.

        Raises:
            EOFError: The child has ended, or nothing came in time.
            OSError: The same.
        """
        # not Connection.recv_bytes: it reads twice per frame, and each time all slots contend for the interpreter
        pipe = self._pipe.fileno()
        while (frame := self._next_frame()) is None:
            ready = self._poll.poll(None if timeout_s is None else math.ceil(timeout_s * 1_000))
            data = os.read(pipe, _READ_SIZE) if any(number == pipe for number, _ in ready) else b""
            if not data:
                raise EOFError
            self._unread += data
        return frame

    def _next_frame(self) -> bytes | None:
        unread = self._unread
        if len(unread) < 4:
            return None
        end = 4 + int.from_bytes(unread[:4], "big")  # as multiprocessing frames what is shorter than 2 GiB
        if len(unread) < end:
            return None
        frame = bytes(unread[4:end])
        del unread[:end]
        return frame

    def kill(self) -> None:
        """Kill the child and what it has started, whatever they do."""
        pid = self._process.pid
        if pid is not None:
            for end in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    end(pid, signal.SIGKILL)

    def bury(self) -> int | None:
        """Let go of the child, which has ended or has lost its pipe.

        Returns:
            Its exit status, negative for a signal; ``None`` when it had to be killed for not ending.
        """
        self._pipe.close()
        status = self._status(_DEATH_TAKES_S)
        self.kill()  # what it has started ends with it
        if status is None:
            self._status(_DEATH_TAKES_S)
        return status

    def await_end(self, timeout_s: float) -> None:
        """Wait until the child has ended."""
        wait([self._process.sentinel], timeout_s)

    def _status(self, timeout_s: float) -> int | None:
        wait([self._process.sentinel], timeout_s)
        with _BOOKS:
            return self._process.exitcode


class ForkServer:
    """Makes warm child processes.

    Start it before the worker has secrets in its environment or threads of its own.

    Args:
        modules: Modules that define handlers.
        recycle: A child is replaced after so many jobs, and when it has become larger than so many bytes; 0 for never.
    """

    def __init__(self, modules: Sequence[str], recycle: tuple[int, int] = (0, 0)) -> None:
        self.recycle = recycle
        self._modules = tuple(modules)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["jobsvc.worker.child", *modules])
        # the fork server imports by PYTHONPATH; a script's folder or the current one is only on sys.path
        path = [entry or os.getcwd() for entry in sys.path]
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(path)
        try:
            from multiprocessing.forkserver import ensure_running

            ensure_running()
        finally:
            if before is None:
                del os.environ["PYTHONPATH"]
            else:
                os.environ["PYTHONPATH"] = before

    def start(self) -> ChildProcess:
        """Start a child, which says when it is ready.

        Raises:
            OSError: It cannot be started.
            EOFError: The fork server has ended.
        """
        ours, theirs = self._context.Pipe(duplex=True)
        process = self._context.Process(
            target=child.main, args=(theirs, self._modules, list(sys.path)), daemon=True
        )
        try:
            with _BOOKS:
                process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return ChildProcess(process, ours)
