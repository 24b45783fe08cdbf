"""The documentation says what the code does, and its examples run."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from jobsvc.config import Settings
from jobsvc.model import lifecycle
from jobsvc.model.job import ErrorCategory
from jobsvc.model.lifecycle import JobState, Outcome
from jobsvc.rpc.status import ANSWERS
from jobsvc_sdk._faults import Fault, error_of
from tests.samples.documents import PAGES, ROOT, Block, blocks, links, table_after
from tests.stack import Stack


def word_of(cell: str) -> str:
    return cell.strip("`*").lower()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_something(page: Path) -> None:
    missing = [
        target
        for target in links(page)
        if not re.match(r"https?://", target) and not (page.parent / target).resolve().exists()
    ]

    assert not missing


def test_lifecycle_page_shows_the_table_of_the_code() -> None:
    (block,) = blocks("diagram")

    assert block.text.strip() == lifecycle.diagram().strip()


def test_lifecycle_page_explains_every_state_and_outcome() -> None:
    assert [word_of(row[0]) for row in table_after("lifecycle.md", "## States")] == [
        str(state) for state in JobState
    ]
    explained = {word_of(row[0]) for row in table_after("lifecycle.md", "## Outcomes")}
    assert explained == {str(outcome) for outcome in Outcome}


def test_glossary_has_the_words_for_all_outcomes() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text()

    assert all(f"`{outcome}`" in glossary for outcome in Outcome)


def test_errors_page_has_every_reason_with_its_status() -> None:
    never_told = {"CONFIGURATION", "NOT_FOUND"}  # the first becomes INTERNAL, the second has only kinds
    answers = {reason: answer.code.name for reason, answer in ANSWERS.items() if reason not in never_told}

    rows = table_after("errors.md", "# Errors")

    assert {row[0].strip("`"): row[1] for row in rows} == answers


def test_errors_page_names_the_exceptions_of_the_sdk() -> None:
    for reason, _, _, _, name in table_after("errors.md", "# Errors"):
        fault = Fault(code=grpc.StatusCode.UNKNOWN, message="m", reason=reason.strip("`"))

        assert type(error_of(fault)).__name__ == name.strip("`"), reason


def test_errors_page_has_every_category() -> None:
    categories = [word_of(row[0]) for row in table_after("errors.md", "## When a job fails")]
    unreachable = {"dependency"}

    assert set(categories) == {str(category) for category in ErrorCategory} - unreachable


def test_operations_page_has_every_setting_with_its_default() -> None:
    rows = {word_of(row[0]): row[1].strip("`") for row in table_after("operations.md", "<!-- settings -->")}
    defaults = Settings()

    assert list(rows) == list(Settings.model_fields)
    for name, text in rows.items():
        if name == "threads":
            continue  # depends on the machine
        given = Settings(**{name: text}) if text else defaults  # type: ignore[arg-type]
        assert getattr(given, name) == getattr(defaults, name), name


@pytest.fixture(scope="module")
def shop_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("handlers")
    for block in blocks("file"):
        (folder / block.mark.partition(":")[2].strip()).write_text(block.text)
    return folder


@pytest.mark.parametrize("name", [block.mark.partition(":")[2].strip() for block in blocks("file")])
def test_handlers_of_the_pages_can_be_imported(name: str, shop_folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import {name.removesuffix('.py')}"],
        cwd=shop_folder,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def run(block: Block, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBSVC_ADDRESS", address)
    # Lines keep their numbers, so that a failure points into the page.
    code = compile("\n" * (block.line - 1) + block.text, str(block.page), "exec")
    exec(code, {"__name__": "__main__", "address": address})


@pytest.mark.parametrize("block", [b for b in blocks("run") if b.mark == "run"], ids=lambda block: block.name)
def test_examples_run(block: Block, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    run(block, stack.address, monkeypatch)


@pytest.mark.parametrize("block", [b for b in blocks("run") if b.mark != "run"], ids=lambda block: block.name)
def test_examples_with_handlers_of_their_own_run(
    block: Block, shop_folder: Path, make_stack: Callable[..., Stack], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(shop_folder))
    stack = make_stack(imports=(block.mark.partition(":")[2].strip(),))

    run(block, stack.address, monkeypatch)


def test_readme_shows_ten_lines_at_most() -> None:
    (block,) = [block for block in blocks("run") if block.page.name == "README.md"]

    assert len(block.text.replace("\n\n", "\n").splitlines()) <= 10
