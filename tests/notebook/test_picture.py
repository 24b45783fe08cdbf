"""The README's picture, taken from the first notebook while it runs.

``UPDATE_IMAGES=1 make test PYTEST_ARGS='-k picture'`` writes it to ``docs/images``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.notebook.lab import ROOT, Notebook
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

UPDATE = "UPDATE_IMAGES"
# The last theme is the one that other tests find.
NAMES = {"Dark": "first_batch_dark.png", "Light": "first_batch.png"}
SHOWN = ("client", "slow", "batch")
HIDDEN = ("year.pivot", "plt.show()")
_BOX = """() => {
  const cells = [...document.querySelectorAll('.jp-Notebook .jp-Cell')].map(cell => cell.getBoundingClientRect());
  const [first, last] = [cells[0], cells[cells.length - 2]];
  return {x: first.x, y: first.y, width: first.width, height: last.bottom - first.y - 3};
}"""


def _picture_notebook() -> nbformat.NotebookNode:
    """Take the cells that make a good picture from the notebook; of the plot only the output is shown."""
    whole = nbformat.read(ROOT / "notebooks" / "01_first_batch.ipynb", as_version=4)
    code = {cell.source.splitlines()[-1]: cell for cell in whole.cells if cell.cell_type == "code"}
    shown = [code[last] for last in SHOWN]
    prepare, plot = (cell for start in HIDDEN for last, cell in code.items() if last.startswith(start))
    plot.source = "\n".join(["# draw the results", *prepare.source.splitlines()[:-1], plot.source])
    plot.metadata["jupyter"] = {"source_hidden": True}
    # The last one takes the mark of the active cell, and is no part of the picture.
    return nbformat.v4.new_notebook(cells=[*shown, plot, nbformat.v4.new_code_cell()])


def test_picture_shows_a_job_a_batch_and_a_plot(
    open_notebook: Callable[..., Notebook], tmp_path: Path
) -> None:
    notebook = open_notebook(_picture_notebook(), size=(960, 1400))
    slow, batch, plot = 1, 2, 3

    for cell in (0, slow, batch, plot, plot + 1):
        notebook.run(cell)
    expect(notebook.output(batch)).to_contain_text("48 completed", timeout=60_000)
    expect(notebook.output(plot).locator("img")).to_be_visible()
    bar = notebook.output(slow).get_by_role("progressbar")
    if os.environ.get(UPDATE):
        until(lambda: float(bar.get_attribute("aria-valuenow") or 0) >= 40, 120)

    colours = set()
    for theme, name in NAMES.items():
        notebook.change_theme(theme)
        notebook.page.screenshot(path=tmp_path / name, clip=notebook.page.evaluate(_BOX))
        colours.add(bar.locator("div").evaluate("bar => getComputedStyle(bar).backgroundColor"))
    expect(notebook.output(slow).get_by_role("status")).to_have_text("processing")
    assert len(colours) == 2, "the bar does not follow the theme"
    if os.environ.get(UPDATE):
        _keep(tmp_path)


def _keep(folder: Path) -> None:
    """Write the pictures to the documentation, with 256 colours: a third of the bytes, and nobody sees it."""
    images = ROOT / "docs" / "images"
    images.mkdir(parents=True, exist_ok=True)
    for name in NAMES.values():
        small = Image.open(folder / name).convert("RGB").quantize(256, dither=Image.Dither.NONE)
        small.save(images / name, optimize=True)
