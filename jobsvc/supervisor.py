"""Start processes, start them again when they die, stop them in order.

`Supervisor` looks after *parts*: our own child processes (`Child`) and whatever else can be started, looked at and
stopped the same way. Parts stand in stages: a stage is started when the one before it has been, and stopping goes the
other way round. A part that dies is started again, later each time; one that dies before everything was ready for the
first time is a mistake in its settings, and ends all.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jobsvc.model.errors import ConfigurationError

# Exit status of a part that was drained.
DRAINED = 86

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 10.0
# A part that lived this long was well: when it dies the delays start over.
LIVED_WELL_S = 30.0
LOOK_EVERY_S = 0.02
# How often to say what a slow start waits for.
SAY_AFTER_S = 10.0
# When to say what a slow stop waits for.
SAY_STOP_AFTER_S = 1.0
# After the server and the workers were asked to stop, how long they may take.
STOP_PATIENCE_S = 30.0


class Part(Protocol):
    """Something that runs as a process."""

    @property
    def name(self) -> str:
        """A short name for messages."""

    def start(self) -> None:
        """Start it, also again after it died."""

    def ready(self) -> bool:
        """Tell whether it does its work."""

    def poll(self) -> int | None:
        """Return None while it runs, else its exit status."""

    def ask_to_stop(self) -> None:
        """Tell it to stop; do not wait."""

    def kill(self) -> None:
        """End it at once."""


class Child:
    """A child process that says by a file that it is ready.

    Args:
        name: For messages.
        words: The command line.
        environment: Its whole environment.
        ready_file: A file that it writes when it is ready.
    """

    def __init__(
        self, name: str, words: Sequence[str], environment: Mapping[str, str], ready_file: Path
    ) -> None:
        self.name = name
        self.words = list(words)
        self.environment = dict(environment)
        self.ready_file = ready_file
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, out of reach of the terminal's Ctrl-C, which is for its parent."""
        self.ready_file.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            self.words, env=self.environment, stdin=subprocess.DEVNULL, process_group=0
        )

    def ready(self) -> bool:
        """Tell whether the process has written its file."""
        return self.ready_file.exists()

    def poll(self) -> int | None:
        """Return None while the process runs, else its exit status."""
        return self.process.poll() if self.process is not None else None

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        if self.process is not None:
            self.process.terminate()

    def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@dataclass
class _Watched:
    """A part, and what is known about its life so far."""

    part: Part
    started_at: float = 0.0
    delay_s: float = FIRST_DELAY_S
    start_at: float | None = None
    """When to start it again; None while it runs."""
    drained: bool = False
    """It was drained: it is not started again."""


class Supervisor:
    """Keep parts running until a signal says stop.

    Args:
        stages: Parts, in the order of starting.
        say: Takes a line for the person at the terminal.
    """

    def __init__(self, stages: Sequence[Sequence[Part]], say: Callable[[str], None]) -> None:
        self.stages = stages
        self.say = say
        self._watched: list[_Watched] = []
        self._signals = 0

    def run(self, when_ready: Callable[[], None]) -> None:
        """Start everything, keep it running, and stop it all at SIGINT or SIGTERM. Call it in the main thread.

        Args:
            when_ready: Called once, when all parts are ready for the first time.

        Raises:
            ConfigurationError: A part ended before everything was ready; all others were stopped.
        """
        with self._listening() as news:
            try:
                if self._start(news):
                    when_ready()
                    while not self._signals:
                        self._revive()
                        self._wait(news)
            finally:
                self._stop(news)

    def _start(self, news: int) -> bool:
        """Start all and wait until they are ready; False when told to stop meanwhile."""
        for part in [part for stage in self.stages for part in stage]:
            if self._signals:
                return False
            part.start()
            self._watched.append(_Watched(part, started_at=time.monotonic()))
        impatient_at = time.monotonic() + SAY_AFTER_S
        while missing := [watched.part.name for watched in self._watched if not watched.part.ready()]:
            for watched in self._watched:
                status = watched.part.poll()
                if status is not None:
                    raise ConfigurationError(
                        f"the {watched.part.name} ended ({_status(status)}) before it was ready; it says why above"
                    )
            if self._signals:
                return False
            if time.monotonic() > impatient_at:
                self.say(f"still waiting for: {', '.join(missing)}")
                impatient_at += SAY_AFTER_S
            self._wait(news, LOOK_EVERY_S)
        return True

    def _revive(self) -> None:
        """Start again what has died, when its time has come."""
        now = time.monotonic()
        for watched in self._watched:
            status = watched.part.poll()
            if status == DRAINED:
                if not watched.drained:
                    watched.drained = True
                    self.say(f"the {watched.part.name} was drained and has ended; it is not started again")
                continue
            if status is not None and watched.start_at is None:
                if now - watched.started_at > LIVED_WELL_S:
                    watched.delay_s = FIRST_DELAY_S
                watched.start_at = now + watched.delay_s
                self.say(
                    f"the {watched.part.name} ended ({_status(status)}); starting it again in {watched.delay_s:g} s"
                )
                watched.delay_s = min(LONGEST_DELAY_S, watched.delay_s * 2)
            if watched.start_at is not None and watched.start_at <= now:
                watched.start_at = None
                watched.started_at = now
                try:
                    watched.part.start()
                except (ConfigurationError, OSError) as error:
                    self.say(f"the {watched.part.name} could not be started: {error}")

    def _wait(self, news: int, at_most_s: float | None = None) -> None:
        """Sleep until a signal comes (a child ended, or we shall stop) or something is due."""
        due = [watched.start_at for watched in self._watched if watched.start_at is not None]
        timeout_s = max(0.0, min(due) - time.monotonic()) if due else None
        if at_most_s is not None:
            timeout_s = at_most_s if timeout_s is None else min(timeout_s, at_most_s)
        select.select([news], [], [], timeout_s)
        with suppress(BlockingIOError):
            while os.read(news, 512):
                pass

    def _stop(self, news: int) -> None:
        """Stop all, the last stage first; a second signal kills what still runs."""
        enough = max(2, self._signals + 1)
        known = {id(watched.part) for watched in self._watched}
        for stage in reversed(self.stages):
            parts = [part for part in stage if id(part) in known and part.poll() is None]
            for part in parts:
                part.ask_to_stop()
            self._await_end(parts, news, enough)
            for part in parts:
                if part.poll() is None:
                    self.say(f"the {part.name} did not stop in time and was killed")
                part.kill()

    def _await_end(self, parts: Sequence[Part], news: int, enough: int) -> None:
        """Wait until these parts have ended, for as long as they may take or until ``enough`` signals came."""
        now = time.monotonic()
        deadline, say_at = now + STOP_PATIENCE_S, now + SAY_STOP_AFTER_S
        while running := [part.name for part in parts if part.poll() is None]:
            if self._signals >= enough or time.monotonic() > deadline:
                return
            if time.monotonic() > say_at:
                say_at = deadline
                self.say(f"waiting for what still runs in: {', '.join(running)}; Ctrl-C again ends it now")
            self._wait(news, LOOK_EVERY_S)

    @contextmanager
    def _listening(self) -> Iterator[int]:
        """Count SIGINT and SIGTERM, and make any of them and SIGCHLD readable; yields the descriptor to wait on."""

        def count(_number: int, _frame: object) -> None:
            self._signals += 1

        numbers = {signal.SIGINT: count, signal.SIGTERM: count, signal.SIGHUP: count, signal.SIGCHLD: _ignore}
        news, writer = os.pipe()
        os.set_blocking(news, False)
        os.set_blocking(writer, False)
        former_writer = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        former = {number: signal.signal(number, handler) for number, handler in numbers.items()}
        try:
            yield news
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(former_writer)
            os.close(news)
            os.close(writer)


def _ignore(_number: int, _frame: object) -> None:
    """Do nothing; that it is handled makes the wake-up descriptor readable."""


def _status(status: int) -> str:
    if status >= 0:
        return f"status {status}"
    return f"killed by {signal.Signals(-status).name}"
