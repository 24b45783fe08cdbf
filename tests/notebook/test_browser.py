"""Cards in a real JupyterLab in a real Chromium, with jobs of a real stack."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import nbformat
import pytest
from playwright.sync_api import expect

from jobsvc_sdk.display.cards import static_bundle
from jobsvc_sdk.display.state import batch_view
from tests.notebook.fake import NOW, batch
from tests.notebook.lab import Notebook
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

OpenNotebook = Callable[..., Notebook]
CONNECT = "from jobsvc_sdk import connect\nclient = connect()\n"


def _job(seconds: float) -> str:
    """Source of a cell that submits and displays a job that reports ten times a second."""
    return f'job = client.submit("test.do", {{"steps": [["progress", {seconds}]]}})\njob'


def _pill(notebook: Notebook, cell: int) -> Any:
    return notebook.output(cell).get_by_role("status")


def _percent(notebook: Notebook, cell: int) -> float:
    return float(
        notebook.output(cell).get_by_role("progressbar").get_attribute("aria-valuenow", timeout=10_000) or 0
    )


def test_bar_runs_to_the_end_and_the_file_keeps_the_final_text(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook([CONNECT + _job(6), "job.result()"])

    notebook.run(0)
    expect(_pill(notebook, 0)).to_have_text("processing", timeout=15_000)
    until(lambda: 0 < _percent(notebook, 0) < 100)
    expect(notebook.output(0).get_by_role("button", name="Cancel")).to_be_visible()
    notebook.run(1)
    expect(notebook.output(0)).to_contain_text("completed", timeout=15_000)
    expect(notebook.output(0).get_by_role("button", name="Cancel")).to_have_count(0)

    saved = notebook.save().cells[0].outputs[0].data
    assert set(saved) == {"text/html", "text/plain"}
    assert "100% completed" in saved["text/plain"]
    assert re.search(r"completed at \d{4}-\d\d-\d\d", saved["text/html"])


def test_cancel_button_stops_a_running_job(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook([CONNECT + _job(60), "job.wait().state"])

    notebook.run(0)
    expect(_pill(notebook, 0)).to_have_text("processing", timeout=15_000)
    notebook.output(0).get_by_role("button", name="Cancel").click()
    expect(notebook.output(0)).to_contain_text("cancelled", timeout=10_000)

    notebook.run(1)
    assert "cancelled" in notebook.output(1).inner_text()


def test_bar_moves_while_a_cell_blocks(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook([CONNECT + _job(20), "import time\ntime.sleep(8)\nprint('woke')"])

    notebook.run(0)
    expect(_pill(notebook, 0)).to_have_text("processing", timeout=15_000)
    notebook.run(1, wait=False)
    first = _percent(notebook, 0)
    until(lambda: _percent(notebook, 0) > first + 3)

    assert notebook.output(1).count() == 0, "the cell was over before the bar moved"
    expect(notebook.output(1)).to_contain_text("woke", timeout=20_000)


def test_bar_and_button_are_live_again_after_a_page_refresh(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook([CONNECT + _job(60)])

    notebook.run(0)
    expect(_pill(notebook, 0)).to_have_text("processing", timeout=15_000)
    notebook.save()
    notebook.open()
    first = _percent(notebook, 0)
    until(lambda: _percent(notebook, 0) > first)
    notebook.output(0).get_by_role("button", name="Cancel").click()

    expect(_pill(notebook, 0)).to_have_text("cancelled", timeout=10_000)
    expect(notebook.output(0).get_by_role("button", name="Cancel")).to_have_count(0)


def test_failed_job_turns_red_and_unfolds_its_traceback(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook(
        [CONNECT + 'client.submit("test.do", {"steps": [["sleep", 1], ["fail_for_good", "bad <row> 17"]]})']
    )

    notebook.run(0)
    line = notebook.output(0).get_by_text("bad <row> 17").first
    expect(line).to_be_visible(timeout=15_000)
    expect(line).to_have_css("color", "rgb(211, 47, 47)")
    expect(notebook.output(0).get_by_text("Traceback (most recent call last)")).to_be_hidden()
    line.click()

    expect(notebook.output(0).get_by_text("Traceback (most recent call last)")).to_be_visible()


def test_cancel_remaining_ends_a_batch(open_notebook: OpenNotebook) -> None:
    submit = 'batch = client.map("test.do", [{"steps": [["progress", 60]]}] * 12, name="EU book")\nbatch'
    notebook = open_notebook([CONNECT + submit])

    notebook.run(0)
    expect(notebook.output(0)).to_contain_text(re.compile(r"\d+ processing"), timeout=15_000)
    notebook.output(0).get_by_role("button", name="Cancel remaining").click()

    expect(notebook.output(0)).to_contain_text("12 cancelled", timeout=10_000)
    expect(notebook.output(0).get_by_role("button")).to_have_count(0)


def test_saved_card_keeps_its_look_in_a_notebook_that_is_not_trusted(open_notebook: OpenNotebook) -> None:
    view = batch_view(batch(completed=20, failed=4, failures=4), NOW)
    cell = nbformat.v4.new_code_cell("batch", execution_count=1)
    control = {"text/html": '<p role="note">sanitised</p>', "text/plain": ""}
    bundles = [static_bundle(view, NOW), control]
    cell.outputs = [nbformat.v4.new_output("display_data", bundle) for bundle in bundles]
    notebook = open_notebook(nbformat.v4.new_notebook(cells=[cell]))

    assert notebook.page.get_by_text("sanitised").get_attribute("role") is None
    word = notebook.output(0).get_by_text("failed", exact=True).first
    expect(word).to_have_css("color", "rgb(211, 47, 47)")
    expect(word).to_have_css("border-radius", "10px")
    bar = notebook.output(0).locator("div[style*='width:83.33%']")
    expect(bar).to_have_css("background-color", "rgb(56, 142, 60)")
    expect(bar).to_have_css("height", "10px")
