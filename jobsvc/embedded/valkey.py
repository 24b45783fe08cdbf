"""Supervise one Valkey server process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from jobsvc import lifeline
from jobsvc.embedded.binary import find_server
from jobsvc.embedded.folder import DataFolder
from jobsvc.model.errors import ConfigurationError

_POLL_S = 0.01
# How long each way of ending an orphan may take before the next, less polite one.
_ORPHAN_PATIENCE_S = 5.0
_SETTINGS = """\
port 0
unixsocket {socket}
unixsocketperm 700
dir {folder}
pidfile {pid_file}
logfile {log}
loglevel notice
daemonize no
appendonly yes
appendfsync everysec
aof-load-truncated yes
save ""
maxmemory-policy noeviction
"""


class EmbeddedValkey:
    """A Valkey server on a data folder, which lives as long as this object says, or as this process at most.

    Start it from a thread that lives as long as the process: on Linux the server gets SIGTERM when that thread ends.

    Args:
        folder: Where the data, the socket and the log are; made when missing. One supervisor at a time may use it.
        binary: The server to run; by default the one that `find_server` finds.
    """

    name = "embedded Valkey"

    def __init__(self, folder: Path, *, binary: Path | None = None) -> None:
        self.folder = DataFolder(folder)
        self.orphan: int | None = None
        """Process id of a server that a killed supervisor had left behind, and that `start` ended."""
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address for Redis clients, a ``unix://`` URL."""
        return f"unix://{quote(str(self.folder.socket))}?db=0"

    @property
    def pid(self) -> int | None:
        """Process id of the server; None when it was not started or has ended."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self, timeout_s: float = 60) -> None:
        """Start the server and wait until it answers, after ending what a killed supervisor may have left.

        It is also how a server that died is started again. Everything it had acknowledged is loaded first.

        Args:
            timeout_s: How long the server may take to load its data, in seconds.

        Raises:
            ConfigurationError: The folder is in use or not writable, there is no server binary, or it does not start.
        """
        binary = self._binary or find_server()
        if not self.folder.held:
            self.folder.acquire()
        try:
            self._launch(binary)
            self._await_ready(timeout_s)
        except BaseException:
            self.stop()
            raise

    def ready(self) -> bool:
        """Tell whether the server runs; `start` has waited until it answered."""
        return self.pid is not None

    def poll(self) -> int | None:
        """Return None while the server runs, else its exit status."""
        return self._process.poll() if self._process is not None else None

    def ask_to_stop(self) -> None:
        """Tell the server to write what it has and to end; do not wait."""
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        """End the server at once if it still runs, and give the folder back."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.folder.release()

    def stop(self, timeout_s: float = 10) -> None:
        """Stop the server in good order, or kill it when that takes too long, and give the folder back.

        Args:
            timeout_s: How long the server may take to write what it has, in seconds.
        """
        self.ask_to_stop()
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout_s)
        self.kill()

    def __enter__(self) -> EmbeddedValkey:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _launch(self, binary: Path) -> None:
        lock = self.folder.take_server_lock()
        if lock is None:
            self.orphan = self.folder.server_pid()
            lock = self._end_orphan()
        try:
            self._write_config()
            self._process = subprocess.Popen(
                lifeline.command([str(binary), str(self.folder.config)], signal.SIGTERM),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[lock],
                process_group=0,  # Ctrl-C in the terminal is for us, not for the server
            )
        finally:
            os.close(lock)

    def _write_config(self) -> None:
        folder = self.folder
        if folder.log.exists():
            folder.log.replace(folder.log.with_suffix(".log.previous"))
        paths = {name: getattr(folder, name) for name in ("socket", "pid_file", "log")}
        folder.config.write_text(
            _SETTINGS.format(
                folder=_quoted(folder.path), **{name: _quoted(path) for name, path in paths.items()}
            )
        )

    def _await_ready(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not self._answers():
            status = self.poll()
            if status is not None:
                raise ConfigurationError(
                    f"the embedded Valkey ended with status {status}; {self.folder.log} says: {self.folder.log_tail()}"
                )
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"the embedded Valkey did not answer within {timeout_s:.0f} s; {self.folder.log} says: "
                    f"{self.folder.log_tail()}"
                )
            time.sleep(_POLL_S)

    def _answers(self) -> bool:
        """Whether the server takes commands (it refuses them while it loads its data)."""
        return self._say("PING").startswith(b"+PONG")

    def _say(self, word: str) -> bytes:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self.folder.socket))
                connection.sendall(f"{word}\r\n".encode())
                return connection.recv(4096)
        except OSError:
            return b""

    def _end_orphan(self) -> int:
        """End the server that holds the lock, ever less politely; return the lock."""
        steps: list[Callable[[], object]] = [
            lambda: self._say("SHUTDOWN"),
            lambda: self._signal_orphan(signal.SIGTERM),
            lambda: self._signal_orphan(signal.SIGKILL),
        ]
        for step in steps:
            step()
            deadline = time.monotonic() + _ORPHAN_PATIENCE_S
            while time.monotonic() < deadline:
                lock = self.folder.take_server_lock()
                if lock is not None:
                    return lock
                time.sleep(_POLL_S)
        raise ConfigurationError(
            f"a Valkey server (process {self.orphan or 'unknown'}) of an earlier run still uses {self.folder.path} and "
            "cannot be stopped; stop it, then try again"
        )

    def _signal_orphan(self, number: signal.Signals) -> None:
        """Signal the orphan. The lock proves that a server lives, so the id it wrote down is its own."""
        pid = self.folder.server_pid()
        if pid is not None:
            with suppress(OSError):
                os.kill(pid, number)


def _quoted(path: Path) -> str:
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'
