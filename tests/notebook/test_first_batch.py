"""The first notebook, run whole and headless against a real stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.notebook.lab import ROOT
from tests.stack import Stack

NOTEBOOK = ROOT / "notebooks" / "01_first_batch.ipynb"
FOLDERS = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR")


@pytest.fixture(scope="module")
def outputs(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Output bundles of each code cell of the executed notebook, by the last line of the cell."""
    home = tmp_path_factory.mktemp("home")
    node = nbformat.read(NOTEBOOK, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOBSVC_ADDRESS", stack.address)
        for name in FOLDERS:
            patch.setenv(name, str(home / name.lower()))
        NotebookClient(node, timeout=120, kernel_name="python3", store_widget_state=False).execute()
    return {
        cell.source.splitlines()[-1]: [dict(output.get("data", {})) for output in cell.outputs]
        for cell in node.cells
        if cell.cell_type == "code"
    }


def _card(outputs: dict[str, list[dict[str, Any]]], cell: str) -> dict[str, Any]:
    (bundle,) = outputs[cell]
    return bundle


@pytest.mark.parametrize(
    ("cell", "end"), [("job", "100% completed"), ("slow", "cancelled"), ("batch", "48/48  48 completed")]
)
def test_notebook_keeps_the_end_of_every_bar(
    outputs: dict[str, list[dict[str, Any]]], cell: str, end: str
) -> None:
    bundle = _card(outputs, cell)

    assert set(bundle) == {"text/html", "text/plain"}
    assert end in bundle["text/plain"]
    assert "processing" not in bundle["text/html"]


def test_notebook_ends_with_a_table_and_a_plot(outputs: dict[str, list[dict[str, Any]]]) -> None:
    assert "image/png" in outputs["plt.show()"][-1]
    table = next(bundles for cell, bundles in outputs.items() if cell.startswith("year.pivot"))[-1][
        "text/plain"
    ]
    assert "temp_max" in table


def test_notebook_file_is_small_and_says_nothing_of_a_machine() -> None:
    text = NOTEBOOK.read_text()

    assert len(text) < 100_000
    assert not any(place in text for place in ("/home/", "/root", "/tmp", "/work", "127.0.0.1"))


def test_notebook_folder_holds_only_what_is_tested() -> None:
    assert [path.name for path in sorted(Path(NOTEBOOK.parent).glob("*.ipynb"))] == [NOTEBOOK.name]
