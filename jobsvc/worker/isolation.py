"""Where a handler's code runs: in a warm child process, or in the slot's own thread."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Literal, Protocol

from dramatiq.threading import raise_thread_exception

from jobsvc.model.job import ErrorCategory, JobError, Progress
from jobsvc.worker import child, wire
from jobsvc.worker.context import Cancelled, Level, TimeLimitExceeded
from jobsvc.worker.execution import Ended, Handlers, Task

Why = Literal["cancel", "timeout"]

READY_TIMEOUT_S = 60.0
"""How long a child may take to import the handlers' modules."""


class Listener(Protocol):
    """Hears what a running handler says."""

    def on_progress(self, task: Task, progress: Progress) -> None:
        """The handler reported progress."""

    def on_log(self, task: Task, level: str, text: str, time_ms: int) -> None:
        """The handler wrote a log line."""


class Runner(Protocol):
    """Runs one attempt at a time for one slot."""

    def run(self, task: Task, listener: Listener) -> Ended:
        """Run an attempt to its end; raises nothing."""

    def ask_to_stop(self, task: Task, why: Why) -> None:
        """Tell the running code to stop at its next checkpoint. Called from another thread."""

    def kill(self, task: Task, why: Why) -> bool:
        """Stop the running code by force. Called from another thread. False when that is impossible here."""

    def close(self) -> None:
        """Give up what the runner holds."""


class ThreadRunner:
    """Runs handlers in the slot's own thread: cheap, but code that does not reach Python cannot be stopped."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._thread = 0
        self._task: Task | None = None
        self._why: Literal["", "cancel", "timeout"] = ""
        self._listener: Listener | None = None
        self._guard = threading.Lock()

    def run(self, task: Task, listener: Listener) -> Ended:
        """Run an attempt here and now."""
        self._thread = threading.get_ident()
        self._listener, self._why, self._task = listener, "", task
        try:
            return self._handlers.run(task, self)
        finally:
            with self._guard:
                self._task = None

    def progress(self, progress: Progress) -> None:
        """Take the newest progress."""
        if self._listener is not None and self._task is not None:
            self._listener.on_progress(self._task, progress)

    def log(self, level: Level, text: str) -> None:
        """Take a log line."""
        if self._listener is not None and self._task is not None:
            self._listener.on_log(self._task, level, text, int(time.time() * 1_000))

    def told_to_stop(self) -> Literal["", "cancel", "timeout"]:
        """Whether the task has to stop, and why."""
        return self._why

    def ask_to_stop(self, task: Task, why: Why) -> None:
        """Set the flag that checkpoints look at."""
        if self._task is task:
            self._why = why

    def kill(self, task: Task, why: Why) -> bool:
        """Raise an exception in the thread: it arrives at the next line of Python, not inside a C call."""
        with self._guard:
            if self._task is task:
                kind = Cancelled if why == "cancel" else TimeLimitExceeded
                raise_thread_exception(self._thread, kind)  # type: ignore[no-untyped-call]
        return False

    def close(self) -> None:
        """Nothing is held."""


class ForkServer:
    """Makes warm child processes: forks of a process that has imported the handlers' modules and has no threads.

    Start it before the worker has secrets in its environment or threads of its own.

    Args:
        modules: Modules that define handlers.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = tuple(modules)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["jobsvc.worker.child", *modules])
        # the fork server imports by PYTHONPATH; a script's folder or the current one is only on sys.path
        path = [entry for entry in sys.path if entry]
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

    def start(self) -> tuple[multiprocessing.process.BaseProcess, Connection]:
        """Start a child; returns it and our end of the pipe."""
        ours, theirs = self._context.Pipe(duplex=True)
        process = self._context.Process(
            target=child.main, args=(theirs, self._modules, list(sys.path)), daemon=True
        )
        process.start()
        theirs.close()
        return process, ours


class ProcessRunner:
    """Runs handlers in a child process, which is kept warm and replaced when it was killed or died."""

    def __init__(self, fork_server: ForkServer) -> None:
        self._fork_server = fork_server
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._ready = False
        self._task: Task | None = None
        self._killed: Why | None = None
        self._asked: Why | None = None
        self._guard = threading.Lock()

    def warm_up(self) -> None:
        """Start the child if there is none; it gets ready while others go on."""
        if self._process is None:
            self._process, self._pipe = self._fork_server.start()
            self._ready = False

    def run(self, task: Task, listener: Listener) -> Ended:
        """Send the attempt to the child and hear it out."""
        try:
            pipe = self._open(task)
            return self._listen(pipe, task, listener)
        except (EOFError, OSError):
            return self._died()
        finally:
            with self._guard:
                self._task = self._killed = self._asked = None
            if self._process is None:
                with contextlib.suppress(OSError):
                    self.warm_up()  # the next job finds a warm child again

    def _open(self, task: Task) -> Connection:
        frame = wire.pack_task(task)
        try:
            return self._send(task, frame)
        except OSError:
            self._discard()  # it died while it was idle, which is nobody's fault
        return self._send(task, frame)

    def _send(self, task: Task, frame: bytes) -> Connection:
        """Hand the task over to a child that is ready; a child that is gone has closed its end of the pipe."""
        self.warm_up()
        pipe = self._pipe
        assert pipe is not None
        if not self._ready:
            if not pipe.poll(READY_TIMEOUT_S):
                raise EOFError
            pipe.recv_bytes()
            self._ready = True
        with self._guard:
            self._task = task
        pipe.send_bytes(frame)
        return pipe

    def _listen(self, pipe: Connection, task: Task, listener: Listener) -> Ended:
        while True:
            frame = pipe.recv_bytes()
            kind = frame[0]
            if kind == wire.COMPLETED or kind == wire.FAILED:
                with self._guard:
                    self._task = None
                    if self._killed is not None:
                        raise EOFError  # the signal is on its way: this child will not see another job
                return wire.unpack_end(frame)
            if kind == wire.PROGRESS:
                listener.on_progress(task, wire.unpack_progress(frame))
            elif kind == wire.LOG:
                listener.on_log(task, *wire.unpack_log(frame))

    def ask_to_stop(self, task: Task, why: Why) -> None:
        """Tell the child; it looks at its next checkpoint."""
        with self._guard:
            if self._task is task and self._pipe is not None and self._asked is None:
                self._asked = why
                with contextlib.suppress(OSError):
                    self._pipe.send_bytes(wire.pack_stop(task.token, why))

    def kill(self, task: Task, why: Why) -> bool:
        """Kill the child, whatever it does."""
        with self._guard:
            if self._task is not task or self._process is None or self._process.pid is None:
                return False
            self._killed = why
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
            return True

    def close(self) -> None:
        """End the child."""
        if self._process is not None and self._process.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
        self._discard()

    def _died(self) -> Ended:
        killed = self._killed
        status = self._discard()
        if killed == "cancel":
            return Ended(error=JobError(ErrorCategory.CANCELLED, message="its process was killed"))
        if killed == "timeout":
            return Ended(
                error=JobError(
                    ErrorCategory.TIMEOUT,
                    message="the attempt used up its time and did not stop, so its process was killed",
                    retryable=True,
                )
            )
        return Ended(
            error=JobError(ErrorCategory.APPLICATION, "jobsvc.ProcessDied", _how(status), retryable=True)
        )

    def _discard(self) -> int | None:
        process, self._process = self._process, None
        if self._pipe is not None:
            self._pipe.close()
        self._pipe, self._ready = None, False
        if process is None:
            return None
        process.join(5)
        status = process.exitcode
        if status is None and process.pid is not None:
            os.kill(process.pid, signal.SIGKILL)
            process.join(5)
        return status


def _how(status: int | None) -> str:
    if status is None:
        return "the process that ran the handler closed its pipe and hung"
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        hint = "; it may have run out of memory" if name == "SIGKILL" else ""
        return f"the process that ran the handler was ended by {name}{hint}"
    return f"the process that ran the handler ended by itself with status {status}, for example by os._exit"
