"""Where a handler's code runs: in a warm child process, or in the slot's own thread."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import threading
import time
from typing import Literal, Protocol

from dramatiq.threading import raise_thread_exception

from jobsvc.model.job import ErrorCategory, JobError, Progress
from jobsvc.worker import wire
from jobsvc.worker.children import ChildProcess, ForkServer
from jobsvc.worker.context import Level
from jobsvc.worker.exceptions import Cancelled, TimeLimitExceeded
from jobsvc.worker.execution import Handlers, Task
from jobsvc.worker.memory import family_bytes
from jobsvc.worker.raised import Ended

Why = Literal["cancel", "timeout"]
Killed = Literal["cancel", "timeout", "memory"]
"""Why an attempt is stopped by force: of its memory nobody is told before."""

READY_TIMEOUT_S = 60.0
"""How long a child may take to import the handlers' modules."""


class Listener(Protocol):
    """Hears what a running handler says."""

    def on_progress(self, task: Task, progress: Progress) -> None:
        """The handler reported progress."""

    def on_log(self, task: Task, level: str, text: str, time_ms: int) -> None:
        """The handler wrote a log line."""


class Runner(Protocol):
    """Runs one attempt at a time for one slot.

    An attempt can be stopped from the moment that it is expected: what comes before its code runs keeps it from
    running, what comes after its end changes nothing.
    """

    @property
    def can_kill(self) -> bool:
        """Whether running code can be stopped whatever it does."""

    @property
    def started_at(self) -> float:
        """When the code of the attempt began to run, monotonic seconds; 0 before."""

    def expect(self, task: Task) -> None:
        """An attempt follows: from now on it can be stopped."""

    def run(self, task: Task, listener: Listener) -> Ended:
        """Run the expected attempt to its end; raises nothing."""

    def ask_to_stop(self, task: Task, why: Why) -> None:
        """Tell the running code to stop at its next checkpoint. Called from another thread; does not wait.

        Call it again and again while the code runs: it may not have been possible to tell it yet.
        """

    def memory_bytes(self) -> int:
        """Resident memory of the running code; 0 when it cannot be told apart from the worker's."""

    def kill(self, task: Task, why: Killed, detail: str = "") -> bool:
        """Stop the running code by force, as far as that is possible here. Called from another thread.

        Returns:
            Whether it is dead, or will be in a moment.
        """

    def give_up(self, patience_s: float) -> None:
        """End what runs, and run nothing more. Called from another thread; waits until it has ended."""


def _not_begun() -> Ended:
    return Ended(error=JobError(ErrorCategory.CANCELLED, message="it was cancelled before it began"))


def _stopped(why: Killed, detail: str = "") -> Ended:
    if why == "memory":
        return Ended(
            error=JobError(
                ErrorCategory.APPLICATION,
                type="jobsvc.MemoryLimitExceeded",
                message=f"the attempt was stopped by force: {detail}",
                code="MEMORY_LIMIT",
                retryable=True,
            )
        )
    if why == "cancel":
        return Ended(error=JobError(ErrorCategory.CANCELLED, message="it was stopped by force"))
    return Ended(
        error=JobError(
            ErrorCategory.TIMEOUT,
            message="the attempt used up its time and did not stop, so it was stopped by force",
            retryable=True,
        )
    )


class _ThreadVoice:
    """What a handler in a thread says goes straight to who listens."""

    def __init__(self, runner: ThreadRunner, task: Task, listener: Listener) -> None:
        self._runner = runner
        self._task = task
        self._listener = listener

    def progress(self, progress: Progress) -> None:
        """Take the newest progress."""
        self._listener.on_progress(self._task, progress)

    def log(self, level: Level, text: str) -> None:
        """Take a log line."""
        self._listener.on_log(self._task, level, text, int(time.time() * 1_000))

    def told_to_stop(self) -> Literal["", "cancel", "timeout"]:
        """Whether the task has to stop, and why."""
        return self._runner.why


class ThreadRunner:
    """Runs handlers in the slot's own thread: cheap, but code that does not reach Python cannot be stopped."""

    can_kill = False

    def __init__(self, handlers: Handlers) -> None:
        self.why: Literal["", "cancel", "timeout"] = ""
        self.started_at = 0.0
        self._handlers = handlers
        self._thread = 0
        self._task: Task | None = None
        self._raised = False
        self._guard = threading.Lock()

    def expect(self, task: Task) -> None:
        """Take note of the attempt that follows."""
        with self._guard:
            self.started_at, self.why, self._task, self._raised = 0.0, "", task, False

    def run(self, task: Task, listener: Listener) -> Ended:
        """Run an attempt here and now."""
        self._thread = threading.get_ident()
        voice = _ThreadVoice(self, task, listener)
        ended: Ended | None = None
        while True:
            try:
                if ended is None:
                    ended = self._begin() or self._handlers.run(task, voice)
                with self._guard:
                    self._task = None  # from here on nobody raises anything in this thread
                if self._raised:  # what was raised and has not arrived
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), None)
                return ended
            except (Cancelled, TimeLimitExceeded) as error:
                # meant for the handler, but it arrived when that had not begun or had ended
                kind: Why = "cancel" if isinstance(error, Cancelled) else "timeout"
                ended = ended or _stopped(kind)

    def _begin(self) -> Ended | None:
        with self._guard:
            if self.why:
                return _not_begun()
            self.started_at = time.monotonic()
            return None

    def ask_to_stop(self, task: Task, why: Why) -> None:
        """Set the flag that checkpoints look at."""
        with self._guard:
            if self._task is task:
                self.why = why

    def memory_bytes(self) -> int:
        """Return nothing: it is the worker's own."""
        return 0

    def kill(self, task: Task, why: Killed, detail: str = "") -> bool:
        """Raise an exception in the thread: it arrives at the next line of Python, not inside a C call."""
        with self._guard:
            if self._task is task and why != "memory":
                self.why = why
                if self.started_at:
                    self._raised = True
                    kind = Cancelled if why == "cancel" else TimeLimitExceeded
                    raise_thread_exception(self._thread, kind)  # type: ignore[no-untyped-call]
        return False

    def give_up(self, patience_s: float) -> None:
        """Do nothing: a thread ends with its process."""


class ProcessRunner:
    """Runs handlers in a child process, which is kept warm and replaced when it was killed or died.

    Args:
        fork_server: Makes the children.
    """

    can_kill = True

    def __init__(self, fork_server: ForkServer) -> None:
        self.started_at = 0.0
        self._fork_server = fork_server
        self._child: ChildProcess | None = None
        self._ready = False
        self._task: Task | None = None
        self._asked: Why | None = None
        self._told = False
        self._killed: Killed | None = None
        self._detail = ""
        self._jobs = 0
        self._given_up = False
        self._guard = threading.Lock()

    def warm_up(self) -> None:
        """Start the child if there is none; it gets ready while others go on.

        Raises:
            OSError: It cannot be started.
            EOFError: The same.
        """
        if self._child is None and not self._given_up:
            child = self._fork_server.start()
            with self._guard:
                self._child, self._ready, self._jobs = child, False, 0
                if self._killed or self._given_up:
                    child.kill()  # whoever wanted that found nothing to kill yet

    def expect(self, task: Task) -> None:
        """Take note of the attempt that follows."""
        with self._guard:
            self.started_at, self._task, self._asked, self._killed = 0.0, task, None, None
            self._told = False

    def run(self, task: Task, listener: Listener) -> Ended:
        """Send the attempt to the child and hear it out."""
        try:
            return self._send(task) or self._listen(task, listener)
        except Exception as error:  # mostly EOFError and OSError: the child has ended
            return self._died(error)
        finally:
            with self._guard:
                self._task, killed, self._killed = None, self._killed, None
            if killed or self._worn_out():
                self._bury()  # it may still be dying
            if self._child is None:
                with contextlib.suppress(EOFError, OSError):
                    self.warm_up()  # the next job finds a warm child again, or learns why there is none

    def _worn_out(self) -> bool:
        """Whether the child has run enough, or has grown too large, and makes room for a new one."""
        self._jobs += 1
        after, above = self._fork_server.recycle
        worn_out = bool((after and self._jobs >= after) or (above and self.memory_bytes() > above))
        if worn_out and self._child is not None:
            self._child.kill()  # its job has ended, and its end is known
        return worn_out

    def _send(self, task: Task) -> Ended | None:
        """Hand the attempt over, or say what became of it already."""
        frame = wire.pack_task(task)
        try:
            if self._await_ready():
                self._hand_over(frame)
        except (EOFError, OSError):
            if self._killed:
                raise
            self._bury()  # it died while it was idle, which is nobody's fault
            if self._await_ready():
                self._hand_over(frame)
        with self._guard:
            if self._asked and not self.started_at:
                return _not_begun()
            self._tell(task)
            return None

    def _await_ready(self) -> bool:
        """Wait for the child; False when the attempt was cancelled meanwhile."""
        self.warm_up()
        if self._child is None:
            raise EOFError
        if not self._ready:
            self._child.receive(READY_TIMEOUT_S)
            self._ready = True
        with self._guard:
            if self._killed:
                raise EOFError  # the signal is on its way: this child will not see another job
            return self._asked is None

    def _hand_over(self, frame: bytes) -> None:
        # not under the guard: a large frame may have to wait for the child, and who wants to stop us must not
        assert self._child is not None
        self._child.send(frame)
        with self._guard:
            self.started_at = time.monotonic()

    def _listen(self, task: Task, listener: Listener) -> Ended:
        child = self._child
        assert child is not None
        while True:
            frame = child.receive()
            kind = frame[0]
            if kind == wire.COMPLETED or kind == wire.FAILED:
                with self._guard:
                    self._task = None
                    if self._killed:
                        raise EOFError  # the signal is on its way: this child will not see another job
                return wire.unpack_end(frame)
            if kind == wire.PROGRESS:
                listener.on_progress(task, wire.unpack_progress(frame))
            elif kind == wire.LOG:
                listener.on_log(task, *wire.unpack_log(frame))

    def ask_to_stop(self, task: Task, why: Why) -> None:
        """Tell the child; it looks at its next checkpoint."""
        with self._guard:
            if self._task is task:
                self._asked = self._asked or why
                self._tell(task)

    def _tell(self, task: Task) -> None:
        """Tell the child to stop if somebody has asked for that. The caller holds the guard."""
        if self._asked and not self._told and self.started_at and self._child is not None:
            # a child that has not read its task yet may have no room in its pipe
            self._told = self._child.send_now(wire.pack_stop(task.token, self._asked))

    def memory_bytes(self) -> int:
        """Resident memory of the child and what it has started."""
        child = self._child
        return 0 if child is None or child.pid is None else family_bytes(child.pid)

    def kill(self, task: Task, why: Killed, detail: str = "") -> bool:
        """Kill the child, whatever it does."""
        with self._guard:
            if self._task is not task or self._killed:
                return False
            self._killed, self._detail = why, detail
            if self._child is not None:
                self._child.kill()
            return True

    def give_up(self, patience_s: float) -> None:
        """Kill the child, and start no other."""
        with self._guard:
            self._given_up = True
            child = self._child
            if child is not None:
                child.kill()
        if child is not None:
            child.await_end(patience_s)

    def close(self) -> None:
        """End the child. Called by the slot itself."""
        self.give_up(0)
        self._bury()

    def _died(self, error: Exception) -> Ended:
        killed, began = self._killed, self.started_at
        status = self._bury()
        if killed:
            return _stopped(killed, self._detail)
        if not began:
            what = f"no process could be started for the handler: {error or _how(status)}"
            return Ended(error=JobError(ErrorCategory.INTERNAL, message=what, retryable=True))
        return Ended(
            error=JobError(ErrorCategory.APPLICATION, "jobsvc.ProcessDied", _how(status), retryable=True)
        )

    def _bury(self) -> int | None:
        with self._guard:
            child, self._child, self._ready = self._child, None, False
        return None if child is None else child.bury()


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
