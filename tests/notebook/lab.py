"""A real JupyterLab in temporary folders, and one notebook in it driven through a real Chromium."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

from tests.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "t"
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
LOAD_MS = 60_000
# Without it JupyterLab asks which kernel to take.
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}

# The toolbar says "idle" before the kernel is connected, and a cell that is run then is lost.
_READY = """async () => {
  const widget = window.jupyterapp?.shell.currentWidget;
  if (!widget?.context) return false;
  await widget.context.ready;
  await widget.context.sessionContext.ready;
  const kernel = widget.context.sessionContext.session?.kernel;
  if (!kernel) return false;
  await kernel.info;
  return kernel.connectionStatus === 'connected' && ['idle', 'busy'].includes(kernel.status);
}"""
_SELECT = """(index) => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = index;
  notebook.deselectAll();
  notebook.mode = 'command';
}"""
_COMMAND = """async ([name, options, wait]) => {
  const done = window.jupyterapp.commands.execute(name, options);
  if (wait) await done;
}"""
_SHUTDOWN = """async () => {
  await window.jupyterapp?.shell.currentWidget?.context.sessionContext.shutdown();
}"""


class LabServer:
    """JupyterLab as a process; every file that it or its kernels write is below one folder."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self.root = home / "notebooks"
        self.root.mkdir(parents=True)
        self._settings(home)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._log = home / "lab.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command(port),
                cwd=self.root,
                env={**os.environ, **self._folders(home), **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )

    def _command(self, port: int) -> list[str]:
        return [
            *(sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"),
            "--expose-app-in-browser",
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={port}",
            "--ServerApp.port_retries=0",
            f"--IdentityProvider.token={TOKEN}",
            f"--ServerApp.root_dir={self.root}",
        ]

    @staticmethod
    def _folders(home: Path) -> dict[str, str]:
        names = {
            "HOME": "home",
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "IPYTHONDIR": "ipython",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "MPLCONFIGDIR": "matplotlib",
        }
        (home / "home").mkdir()
        return {name: str(home / folder) for name, folder in names.items()}

    @staticmethod
    def _settings(home: Path) -> None:
        """No news pop-up, no saving that a test did not ask for."""
        labconfig = home / "config" / "labconfig"
        labconfig.mkdir(parents=True)
        disabled = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
        (labconfig / "page_config.json").write_text(json.dumps(disabled))
        docmanager = home / "settings" / "@jupyterlab" / "docmanager-extension"
        docmanager.mkdir(parents=True)
        (docmanager / "plugin.jupyterlab-settings").write_text('{"autosave": false}')

    def await_ready(self) -> None:
        """Wait until it answers."""

        def answers() -> bool:
            assert self._process.poll() is None, self._log.read_text()
            try:
                with urllib.request.urlopen(f"{self.url}/api/status?token={TOKEN}", timeout=1):
                    return True
            except OSError:
                return False

        until(answers, 60, every_s=0.1)

    def stop(self) -> None:
        """Stop it and its kernels."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Notebook:
    """One notebook in a page of its own."""

    def __init__(
        self,
        server: LabServer,
        browser: Browser,
        name: str,
        cells: Sequence[str] | nbformat.NotebookNode,
        *,
        size: tuple[int, int] = (1000, 760),
    ) -> None:
        self.server = server
        # One kernel session a path: a name that was used before would get the old kernel.
        self.path = re.sub(r"\W+", "_", name) + ".ipynb"
        node = cells if isinstance(cells, nbformat.NotebookNode) else _notebook(cells)
        node.metadata.setdefault("kernelspec", dict(KERNEL))
        nbformat.write(node, server.root / self.path)
        self._context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, device_scale_factor=2
        )
        self.page: Page = self._context.new_page()
        self.open()

    def open(self) -> None:
        """Load the page, also again, and wait for the kernel."""
        self.page.goto(f"{self.server.url}/doc/tree/{self.path}?token={TOKEN}", timeout=LOAD_MS)
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=LOAD_MS)
        self.page.wait_for_function(_READY, timeout=LOAD_MS)

    def command(self, name: str, options: dict[str, Any] | None = None, *, wait: bool = True) -> None:
        """Run one of JupyterLab's commands."""
        self.page.evaluate(_COMMAND, [name, options or {}, wait])

    def change_theme(self, name: str) -> None:
        """Change to the theme ``Light`` or ``Dark``, for this and later notebooks."""
        self.command("apputils:change-theme", {"theme": f"JupyterLab {name}"})
        light = "true" if name == "Light" else "false"
        self.page.wait_for_selector(f"body[data-jp-theme-light='{light}']", state="attached")

    def run(self, index: int, *, wait: bool = True) -> None:
        """Run a cell, and unless told otherwise wait until it has ended."""
        self.page.evaluate(_SELECT, index)
        self.command("notebook:run-cell", wait=wait)

    def cell(self, index: int) -> Locator:
        """Give a cell."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def output(self, index: int) -> Locator:
        """Give the output area of a cell."""
        return self.cell(index).locator(".jp-OutputArea-output")

    def save(self) -> nbformat.NotebookNode:
        """Save the notebook and read the file."""
        self.command("docmanager:save")
        return nbformat.read(self.server.root / self.path, as_version=4)

    def close(self) -> None:
        """Shut the kernel down and close the page."""
        try:
            self.page.evaluate(_SHUTDOWN)
        finally:
            self._context.close()


def _notebook(cells: Sequence[str]) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
