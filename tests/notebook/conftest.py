"""A JupyterLab and a Chromium for the whole run; a notebook for each test."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from jobsvc_sdk import connect
from tests.needs import require_tool
from tests.notebook.lab import CHROMIUM_FLAGS, ROOT, LabServer, Notebook

if TYPE_CHECKING:
    from tests.stack import Stack


# Not for the session: while it is there an event loop runs in this thread, and tests with asyncio cannot.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium that is installed on this machine; it makes its own profile and removes it."""
    chromium = require_tool("chromium", "chromium-browser", "google-chrome")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def lab_server(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    """JupyterLab whose kernels find the session's stack with a plain ``connect()``."""
    environment = {"JOBSVC_ADDRESS": stack.address, "PYTHONPATH": str(ROOT)}
    server = LabServer(tmp_path_factory.mktemp("lab"), environment)
    try:
        server.await_ready()
        yield server
    finally:
        server.stop()


@pytest.fixture
def open_notebook(
    browser: Browser, lab_server: LabServer, stack: Stack, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Notebook]]:
    """Open a notebook with these cells: ``open_notebook(["a = 1", "a"])``; its jobs end with the test."""
    opened: list[Notebook] = []

    def make(cells: Sequence[str] | Any, **options: Any) -> Notebook:
        name = f"{request.node.name}-{len(opened)}"
        opened.append(Notebook(lab_server, browser, name, cells, **options))
        return opened[-1]

    yield make
    for each in opened:
        with contextlib.suppress(Exception):
            each.close()
    with connect(stack.address) as client:
        for job in client.jobs(state="processing"):
            job.cancel("its test is over")
