"""Open a notebook in JupyterLab, with `jobsvc dev` beside it: ``python tools/notebook.py PATH``.

A server that already listens at the usual address is used as it is. Otherwise one is started, with its state in a
folder of its own, and stopped when JupyterLab ends.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ADDRESS = "127.0.0.1:7443"


def listens(address: str) -> bool:
    """Tell whether anything takes connections there."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            return True
    except OSError:
        return False


@contextmanager
def server() -> Iterator[str]:
    """Yield the address of a server, which lives as long as the context unless it was there before."""
    address = os.environ.get("JOBSVC_ADDRESS", ADDRESS)
    if listens(address):
        yield address
        return
    with tempfile.TemporaryDirectory(prefix="jobsvc-") as scratch:
        ready = Path(scratch, "ready")
        words = [
            sys.executable,
            "-m",
            "jobsvc",
            "dev",
            "--ready-file",
            str(ready),
            "--die-with",
            str(os.getpid()),
        ]
        # A group of its own: Ctrl-C is JupyterLab's, which asks back before it stops.
        dev = subprocess.Popen(words, stdin=subprocess.DEVNULL, process_group=0)
        try:
            while not ready.exists():
                if dev.poll() is not None:
                    sys.exit(dev.returncode)
                time.sleep(0.05)
            yield ready.read_text().strip()
        finally:
            dev.terminate()
            dev.wait()


def main(notebook: str) -> int:
    """Run JupyterLab on a notebook until it ends; return its exit status."""
    with server() as address:
        signal.signal(signal.SIGINT, lambda *_: None)
        # In a container one is root as a rule; JupyterLab listens to this machine only, and asks for its token.
        as_root = ["--allow-root"] if os.geteuid() == 0 else []
        return subprocess.run(
            [sys.executable, "-m", "jupyterlab", *as_root, notebook],
            check=False,
            env={**os.environ, "JOBSVC_ADDRESS": address},
        ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
