"""The child process: runs the tasks that its worker sends, one after the other, until the worker is gone."""

from __future__ import annotations

import contextlib
import gc
import importlib
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


class PipeVoice:
    """Carries what the handler says to the worker.

    Progress is coalesced here, where it arises: a handler may report a million times a second, the newest value leaves
    ten times a second, the last one always.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._sending = threading.Lock()
        self._token = ""
        self._why: Literal["", "cancel", "timeout"] = ""
        self._unsent: Progress | None = None
        self._sent_at = self._looked_at = 0.0
        self._dirty = threading.Event()
        self._flusher: threading.Thread | None = None

    def begin(self, token: str) -> None:
        """A new task begins."""
        self._token, self._why, self._unsent = token, "", None
        self._sent_at = 0.0

    def end(self, frame: bytes) -> None:
        """The task has ended: send what is left of its progress, and its end."""
        with self._sending:
            self._send_progress()
            self._token = ""
            try:
                self._pipe.send_bytes(frame)
            except OSError:
                os._exit(0)  # the worker is gone: its job runs again elsewhere

    def progress(self, progress: Progress) -> None:
        """Take the newest progress."""
        self._unsent = progress
        if time.monotonic() - self._sent_at >= REPORT_EVERY_S:
            with self._sending:
                self._send_progress()
        elif not self._dirty.is_set():
            if self._flusher is None:
                self._flusher = threading.Thread(target=self._flush, name="jobsvc-progress", daemon=True)
                self._flusher.start()
            self._dirty.set()

    def log(self, level: Level, text: str) -> None:
        """Send a log line."""
        with self._sending, contextlib.suppress(OSError):
            self._pipe.send_bytes(wire.pack_log(level, text, int(time.time() * 1_000)))

    def told_to_stop(self) -> Literal["", "cancel", "timeout"]:
        """Whether the task has to stop, and why."""
        now = time.monotonic()
        if not self._why and now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            while self._pipe.poll(0):
                self._hear(self._pipe.recv_bytes())
        return self._why

    def _hear(self, frame: bytes) -> None:
        if frame[0] == wire.STOP:
            token, why = wire.unpack_stop(frame)
            if token == self._token:
                self._why = "cancel" if why == "cancel" else "timeout"

    def _send_progress(self) -> None:
        progress, self._unsent = self._unsent, None
        if progress is not None and self._token:
            self._sent_at = time.monotonic()
            with contextlib.suppress(OSError):
                self._pipe.send_bytes(wire.pack_progress(progress))

    def _flush(self) -> None:
        while True:
            self._dirty.wait()
            time.sleep(REPORT_EVERY_S)
            self._dirty.clear()
            with self._sending:
                self._send_progress()


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


def main(pipe: Connection, modules: Sequence[str], path: Sequence[str]) -> None:
    """Run tasks until the pipe ends.

    Args:
        pipe: The worker's end is a ``ChildProcess``.
        modules: Modules that define handlers; the fork server has imported them already.
        path: ``sys.path`` of the worker.
    """
    _let_go_of_fork_server()
    lifeline.hold(os.getppid())
    # Ctrl-C at the terminal is for the worker, which decides what becomes of running jobs
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.path[:] = path
    handlers = load(modules)
    gc.freeze()
    voice = PipeVoice(pipe)
    pipe.send_bytes(b"R")
    while True:
        try:
            frame = pipe.recv_bytes()
        except (EOFError, OSError):
            os._exit(0)
        if frame[0] != wire.TASK:
            continue  # a request to stop that came too late
        task = wire.unpack_task(frame)
        voice.begin(task.token)
        voice.end(wire.pack_end(handlers.run(task, voice)))
