"""Make ``.venv``, or bring it up to date: ``python3 tools/make_venv.py runtime|dev|proto``.

Everything is pinned with hashes in ``requirements/*.txt``. The installer is uv (seconds, where pip takes a minute),
itself pinned and put into ``.venv``; pip does it instead where pip is configured for an index of the user's own,
which uv would not know about, and where uv fails.

Runs on the Python of the machine, before anything is installed: standard library only. A stamp in the environment
holds a digest of all inputs, so a second run costs nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
OLDEST = (3, 11)
PROJECTS = [ROOT, ROOT / "sdk"]
# Settings of pip that say where packages come from; uv reads none of them.
PIP_SOURCES = ("index-url", "extra-index-url", "no-index", "proxy", "client-cert", "trusted-host")


def digest(kind: str) -> str:
    """Hash what an environment of this kind is made from."""
    inputs = [REQUIREMENTS / "setup.txt", REQUIREMENTS / f"{kind}.txt"]
    inputs += [project / "pyproject.toml" for project in PROJECTS]
    text = hashlib.sha256(f"{sys.version_info[:2]}".encode())
    for path in inputs:
        text.update(path.read_bytes())
    return text.hexdigest()


def run(command: list[str | Path], **environment: str) -> bool:
    """Run a command in the foreground; True when it succeeded."""
    words = [str(word) for word in command]
    return subprocess.run(words, check=False, env={**os.environ, **environment}, cwd=ROOT).returncode == 0


def pip_settings(python: Path) -> dict[str, str]:
    """Return pip's configuration, from its files and its environment variables."""
    listing = subprocess.run(
        [str(python), "-m", "pip", "config", "list"], check=False, capture_output=True, text=True, cwd=ROOT
    ).stdout
    settings = {}
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = value.strip("'\"")
    return settings


def create(folder: Path) -> Path:
    """Create the environment unless it works already; return its Python."""
    python = folder / "bin" / "python"
    wanted = "{}.{}".format(*sys.version_info[:2])
    probe = "import pip, sys; print('{}.{}'.format(*sys.version_info[:2]), end='')"
    if python.exists():
        found = subprocess.run([str(python), "-c", probe], check=False, capture_output=True, text=True)
        if found.returncode == 0 and found.stdout == wanted:
            return python
    shutil.rmtree(folder, ignore_errors=True)
    print(f"setup: creating {folder.name} with Python {wanted}", flush=True)
    if not run([sys.executable, "-m", "venv", folder]):
        sys.exit("setup: python3 -m venv failed; on Debian and Ubuntu install the package python3-venv")
    return python


def install(python: Path, kind: str) -> None:
    """Install the pinned packages, byte-compiled (PYTHONDONTWRITEBYTECODE would cost seconds at every start)."""
    pip: list[str | Path] = [
        python,
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--quiet",
        "--compile",
    ]
    if not run([*pip, "--require-hashes", "-r", REQUIREMENTS / "setup.txt"]):
        sys.exit("setup: pip could not install requirements/setup.txt; see its message above")

    settings = pip_settings(python)
    own = [name for name in PIP_SOURCES if name in settings]
    locked: list[str | Path] = ["--require-hashes", "-r", REQUIREMENTS / f"{kind}.txt"]
    uv: list[str | Path] = [python.parent / "uv", "pip", "install", "--python", python, "--compile-bytecode"]
    certificates = {"SSL_CERT_FILE": settings["cert"]} if "cert" in settings else {}
    if own:
        print(
            f"setup: pip is configured ({', '.join(own)}), so pip installs; this takes a minute", flush=True
        )
    elif run([*uv, "--quiet", *locked], **{**certificates, **os.environ}):
        return
    else:
        print("setup: uv failed (see above); pip tries the same, this takes a minute", flush=True)
    if not run([*pip, *locked]):
        sys.exit(f"setup: pip could not install requirements/{kind}.txt; see its message above")


def install_projects(python: Path) -> None:
    """Install both distributions of this repository, editable; nothing is fetched."""
    command: list[str | Path] = [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    command += ["--no-deps", "--no-build-isolation", "--no-index"]
    for project in PROJECTS:
        command += ["--editable", project]
    if not run(command):
        sys.exit("setup: installing this repository failed; see the message above")


def main(kind: str) -> None:
    """Bring the environment of this kind up to date.

    Args:
        kind: ``runtime`` or ``dev`` (both in ``.venv``), or ``proto`` (the stub generator, in ``.venv-proto``).
    """
    if sys.version_info < OLDEST:
        version = "{}.{}".format(*sys.version_info[:2])
        sys.exit(
            f"setup: jobsvc needs Python 3.11 or newer, this is {version}; try `make PYTHON=python3.12 setup`"
        )
    folder = ROOT / (".venv-proto" if kind == "proto" else ".venv")
    stamp = folder / f".stamp-{kind}"
    python = create(folder)
    if stamp.exists() and stamp.read_text() == digest(kind):
        return
    developer = folder / ".stamp-dev"
    if kind == "runtime" and developer.exists() and developer.read_text() == digest("dev"):
        return
    print(f"setup: installing requirements/{kind}.txt into {folder.name}", flush=True)
    install(python, kind)
    if kind != "proto":
        install_projects(python)
    stamp.write_text(digest(kind))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "dev")
