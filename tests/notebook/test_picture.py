"""The README's picture, taken from the first notebook while it runs.

``UPDATE_IMAGES=1 make test PYTEST_ARGS='-k picture'`` writes it to ``docs/images``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from tests.notebook.lab import ROOT, Notebook

expect = pytest.importorskip("playwright.sync_api").expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

UPDATE = "UPDATE_IMAGES"
NAMES = {"light": "first_batch.png", "dark": "first_batch_dark.png"}
SHOWN = ("client", "slow", "batch")
HIDDEN = ("year.pivot", "plt.show()")
_BOX = """() => {
  const cells = [...document.querySelectorAll('.jp-Notebook .jp-Cell')].map(cell => cell.getBoundingClientRect());
  const [first, last] = [cells[0], cells[cells.length - 1]];
  return {x: first.x, y: first.y, width: first.width, height: last.bottom - first.y};
}"""


def _picture_notebook() -> nbformat.NotebookNode:
    """Take the cells that make a good picture from the notebook; of the plot only the output is shown."""
    whole = nbformat.read(ROOT / "notebooks" / "01_first_batch.ipynb", as_version=4)
    code = {cell.source.splitlines()[-1]: cell for cell in whole.cells if cell.cell_type == "code"}
    shown = [code[last] for last in SHOWN]
    prepare, plot = (cell for start in HIDDEN for last, cell in code.items() if last.startswith(start))
    plot.source = "\n".join([*prepare.source.splitlines()[:-1], plot.source])
    plot.metadata["jupyter"] = {"source_hidden": True}
    return nbformat.v4.new_notebook(cells=[*shown, plot])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_picture_shows_a_job_a_batch_and_a_plot(
    theme: str, open_notebook: Callable[..., Notebook], tmp_path: Path
) -> None:
    notebook = open_notebook(_picture_notebook(), dark=theme == "dark", size=(960, 1400))
    slow, batch, plot = 1, 2, 3

    for cell in (0, slow, batch, plot):
        notebook.run(cell)
    expect(notebook.output(batch)).to_contain_text("48 completed", timeout=60_000)
    expect(notebook.output(plot).locator("img")).to_be_visible()
    expect(notebook.output(slow).get_by_role("status")).to_have_text("processing")

    picture = tmp_path / NAMES[theme]
    notebook.page.mouse.move(0, 0)
    notebook.page.screenshot(path=picture, clip=notebook.page.evaluate(_BOX))
    assert picture.stat().st_size > 50_000
    if os.environ.get(UPDATE):
        folder = ROOT / "docs" / "images"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, folder)
