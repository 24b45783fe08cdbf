"""The peers' own environment: ``.bench/venv``, made from hash-pinned requirements when it is first needed."""

from __future__ import annotations

import compileall
import hashlib
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from benchmarks.processes import ROOT, BenchError
from benchmarks.report import say

FOLDER = ROOT / ".bench"
VENV = FOLDER / "venv"
REQUIREMENTS = ROOT / "benchmarks" / "requirements.txt"


def ensure_peers() -> Path:
    """Install the peers, unless the very same are there already.

    Returns:
        The folder with their programs.

    Raises:
        BenchError: They could not be installed.
    """
    stamp = VENV / ".stamp"
    wanted = hashlib.sha256(f"{sys.version_info[:3]}".encode() + REQUIREMENTS.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        say("installing the peers into .bench/venv")
        shutil.rmtree(VENV, ignore_errors=True)
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / ".gitignore").write_text("*\n")
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--compile"]
        _run(sys.executable, "-m", "venv", VENV)
        _run(VENV / "bin" / "python", *install, "--require-hashes", "-r", REQUIREMENTS)
        stamp.write_text(wanted)
    return VENV / "bin"


def _run(*words: str | Path) -> None:
    if subprocess.run(words, check=False, cwd=ROOT).returncode:
        raise BenchError("the peers could not be installed; the message above says why")


def compile_all() -> None:
    """Compile everything that is started.

    Where Python may not write bytecode, each start of a process would compile for a second, just when it is measured.
    """
    folders = [ROOT / "benchmarks"]
    for package in ("jobsvc", "jobsvc_sdk", "jobsvc_proto"):
        spec = find_spec(package)
        folders += [Path(folder) for folder in (spec.submodule_search_locations or [] if spec else [])]
    folders += VENV.glob("lib/python*/site-packages")
    for folder in folders:
        compileall.compile_dir(folder, quiet=2, workers=1)
