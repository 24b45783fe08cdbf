"""The data folder of an embedded Valkey: who may use it, and what is in it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
from pathlib import Path

from jobsvc.model.errors import ConfigurationError

# A unix socket's path must fit into 108 bytes on Linux and 104 on macOS, with the zero at its end.
_LONGEST_SOCKET_PATH = 100
# The locks of a killed process are freed a moment after the kill: a restart right behind it must not fail.
_PATIENCE_S = 1.0
_POLL_S = 0.02


class DataFolder:
    """One folder, its files and its two locks.

    ``supervisor.lock`` is held by the one supervisor, and not by its children. ``valkey.lock`` is held by the server
    process itself, which inherits it: while it is held a server lives, whoever started it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self.config = self.path / "valkey.conf"
        self.log = self.path / "valkey.log"
        self.pid_file = self.path / "valkey.pid"
        self.socket = self._socket_path()
        self._supervisor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object is the supervisor of the folder."""
        return self._supervisor is not None

    def acquire(self) -> None:
        """Become the one supervisor of this folder, which is made when it is missing.

        Raises:
            ConfigurationError: Another process has it, or it cannot be written to.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.path / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"cannot use the data folder {self.path}: {error.strerror}; choose another one with --data DIR"
            ) from error
        deadline = time.monotonic() + _PATIENCE_S
        while not (locked := _lock(lock)) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        if not locked:
            holder = os.read(lock, 20).decode("ascii", "replace").strip()
            os.close(lock)
            raise ConfigurationError(
                f"the data folder {self.path} is in use by process {holder or 'unknown'}; stop that one, "
                "or choose another folder with --data DIR",
                folder=str(self.path),
                pid=holder,
            )
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._supervisor = lock

    def release(self) -> None:
        """Let others use the folder."""
        if self._supervisor is not None:
            # Unlock instead of only closing: a forked child may still have a copy of the descriptor.
            fcntl.flock(self._supervisor, fcntl.LOCK_UN)
            os.close(self._supervisor)
            self._supervisor = None

    def take_server_lock(self) -> int | None:
        """Take the lock that a living server holds; None while one does.

        Returns:
            An open descriptor, to be inherited by the server and closed here.
        """
        lock = os.open(self.path / "valkey.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if _lock(lock):
            return lock
        os.close(lock)
        return None

    def server_pid(self) -> int | None:
        """Return the process id that the last server wrote down, if it did not end in good order."""
        try:
            return int(self.pid_file.read_text())
        except (OSError, ValueError):
            return None

    def log_tail(self, characters: int = 600) -> str:
        """Return the end of the server's log, for an error message."""
        try:
            return self.log.read_text(errors="replace")[-characters:].strip()
        except OSError:
            return "(no log)"

    def _socket_path(self) -> Path:
        path = self.path / "valkey.sock"
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
            return path
        name = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]
        return Path(tempfile.gettempdir(), f"jobsvc-{os.getuid()}-{name}.sock")


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
