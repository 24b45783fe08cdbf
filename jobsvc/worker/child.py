"""The child process: runs the tasks that its worker sends, one after the other, until the worker is gone."""

from __future__ import annotations

import contextlib
import gc
import importlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from typing import Any, Literal

from jobsvc import lifeline
from jobsvc.broker import current_broker
from jobsvc.model.job import Progress
from jobsvc.worker import wire
from jobsvc.worker.context import Level
from jobsvc.worker.execution import Handlers

REPORT_EVERY_S = 0.1
"""Progress leaves the child at most this often."""

LOOK_EVERY_S = 0.02
"""A checkpoint looks at most this often whether the job has to stop: it costs a system call."""


class Pipe:
    """The way to the worker: one task after the other speaks on it, and hears whether it has to stop.

    A handler may leave threads behind. What they say after the end of their task is not said in the name of the next
    one, and they never read what is meant for it.

    Args:
        connection: Our end.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.sending = threading.Lock()
        self.hearing = threading.Lock()
        self.speaker: PipeVoice | None = None
        self._pid = os.getpid()
        self._dirty = threading.Event()
        self._flusher: threading.Thread | None = None

    def next_frame(self) -> bytes:
        """Wait for a frame while no task runs."""
        with self.hearing:
            return self.connection.recv_bytes()

    def end(self, frame: bytes) -> None:
        """The task has ended: send what is left of its progress, and its end."""
        if os.getpid() != self._pid:
            os._exit(0)  # a fork that the handler made, which has come out here: the task is not its own
        with self.sending, self.hearing:
            voice, self.speaker = self.speaker, None
            if voice is not None:
                voice.send_progress()
            try:
                self.connection.send_bytes(frame)
            except OSError:
                os._exit(0)  # the worker is gone: its job runs again elsewhere

    def flush_soon(self) -> None:
        """Send the newest progress a little later."""
        if not self._dirty.is_set():
            if self._flusher is None:
                self._flusher = threading.Thread(target=self._flush, name="jobsvc-progress", daemon=True)
                self._flusher.start()
            self._dirty.set()

    def _flush(self) -> None:
        while True:
            self._dirty.wait()
            time.sleep(REPORT_EVERY_S)
            self._dirty.clear()
            with self.sending:
                if self.speaker is not None:
                    self.speaker.send_progress()


class PipeVoice:
    """Carries what the handler of one task says to the worker.

    Progress is coalesced here, where it arises: a handler may report a million times a second, the newest value leaves
    ten times a second, the last one always.

    Args:
        pipe: The way to the worker.
        token: The task's token.
    """

    def __init__(self, pipe: Pipe, token: str) -> None:
        self._pipe = pipe
        self._token = token
        self._why: Literal["", "cancel", "timeout"] = ""
        self._unsent: Progress | None = None
        self._sent_at = self._looked_at = 0.0
        pipe.speaker = self

    def progress(self, progress: Progress) -> None:
        """Take the newest progress."""
        self._unsent = progress
        if time.monotonic() - self._sent_at >= REPORT_EVERY_S:
            with self._pipe.sending:
                if self._pipe.speaker is self:
                    self.send_progress()
        else:
            self._pipe.flush_soon()

    def log(self, level: Level, text: str) -> None:
        """Send a log line."""
        frame = wire.pack_log(level, text, int(time.time() * 1_000))
        with self._pipe.sending, contextlib.suppress(OSError):
            if self._pipe.speaker is self:
                self._pipe.connection.send_bytes(frame)

    def told_to_stop(self) -> Literal["", "cancel", "timeout"]:
        """Whether the task has to stop, and why."""
        now = time.monotonic()
        if (
            not self._why
            and now - self._looked_at >= LOOK_EVERY_S
            and self._pipe.hearing.acquire(blocking=False)
        ):
            self._looked_at = now
            try:
                while self._pipe.speaker is self and self._pipe.connection.poll(0):
                    self._hear(self._pipe.connection.recv_bytes())
            except (EOFError, OSError):
                os._exit(0)  # the worker is gone
            finally:
                self._pipe.hearing.release()
        return self._why

    def send_progress(self) -> None:
        """Send the newest progress, if it has not been sent. The caller holds ``Pipe.sending``."""
        progress, self._unsent = self._unsent, None
        if progress is not None:
            self._sent_at = time.monotonic()
            with contextlib.suppress(OSError):
                self._pipe.connection.send_bytes(wire.pack_progress(progress))

    def _hear(self, frame: bytes) -> None:
        if frame[0] == wire.STOP:
            token, why = wire.unpack_stop(frame)
            if token == self._token:
                self._why = "cancel" if why == "cancel" else "timeout"


def load(modules: Sequence[str]) -> Handlers:
    """Import the modules that define handlers, and find these."""
    for module in modules:
        importlib.import_module(module)
    return Handlers(current_broker())


def _let_go_of_fork_server() -> None:
    """Do not keep the fork server alive: it ends when its worker is gone, and takes its children with it.

    Every child gets a descriptor that stops the fork server from ending before its last child; with it a handler that
    is stuck in C would outlive a worker that was killed.
    """
    state: Any = forkserver._forkserver
    descriptor = getattr(state, "_forkserver_alive_fd", None)
    if descriptor is not None:
        state._forkserver_alive_fd = None
        os.close(descriptor)


def main(connection: Connection, modules: Sequence[str], path: Sequence[str]) -> None:
    """Run tasks until the pipe ends.

    Args:
        connection: The worker's end is a ``ChildProcess``.
        modules: Modules that define handlers; the fork server has imported them already.
        path: ``sys.path`` of the worker.
    """
    _let_go_of_fork_server()
    lifeline.hold(os.getppid())
    os.setpgid(0, 0)  # so that what a handler starts can be ended together with it
    current: Any = multiprocessing.current_process()
    current._config["daemon"] = False  # handlers may start processes, which ours may do, as they end with it
    # Ctrl-C at the terminal is for the worker, which decides what becomes of running jobs
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.path[:] = path
    handlers = load(modules)
    gc.freeze()
    pipe = Pipe(connection)
    connection.send_bytes(b"R")
    while True:
        try:
            frame = pipe.next_frame()
        except (EOFError, OSError):
            os._exit(0)
        if frame[0] != wire.TASK:
            continue  # a request to stop that came too late
        task = wire.unpack_task(frame)
        pipe.end(wire.pack_end(handlers.run(task, PipeVoice(pipe, task.token))))
