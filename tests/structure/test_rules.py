"""Rules of this repository that no linter knows (the layers are import-linter's, see pyproject.toml)."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path for folder in ("jobsvc", "sdk/jobsvc_sdk", "tools") for path in (ROOT / folder).rglob("*.py")
)
LONGEST_FILE = 400
LONGEST_FUNCTION = 40


def loaded_by(module: str) -> set[str]:
    code = f"import sys, {module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_sdk_import_is_light() -> None:
    loaded = loaded_by("jobsvc_sdk")

    assert "jobsvc_sdk" in loaded
    assert not loaded & {"IPython", "dramatiq", "hiredis", "ipywidgets", "jobsvc", "numpy", "pandas", "redis"}


@pytest.mark.parametrize("module", ["jobsvc", "jobsvc.cli"])
def test_import_for_the_command_line_is_light(module: str) -> None:
    heavy = {"dramatiq", "grpc", "jobsvc_sdk", "numpy", "pandas", "pydantic", "redis", "rich", "structlog"}

    assert not loaded_by(module) & heavy


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_and_its_functions_are_short(path: Path) -> None:
    text = path.read_text()
    long = {
        node.name: lines
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (lines := _lines_of_code(node)) > LONGEST_FUNCTION
    }

    assert len(text.splitlines()) <= LONGEST_FILE
    assert long == {}


def test_requirements_name_no_index_and_no_machine() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        lines = [line for line in path.read_text().splitlines() if line.strip()]

        assert lines
        assert all("==" in line or line.strip().startswith("--hash=sha256:") for line in lines), path.name
        assert not any("://" in line for line in lines), path.name


def test_declared_dependencies_are_pinned() -> None:
    import tomllib

    pinned = {
        line.partition("==")[0].strip()
        for line in (ROOT / "requirements/runtime.txt").read_text().splitlines()
        if "==" in line
    }
    declared: set[str] = set()
    for project in ("pyproject.toml", "sdk/pyproject.toml"):
        table = tomllib.loads((ROOT / project).read_text())["project"]
        declared |= {_name(requirement) for requirement in table["dependencies"]}

    assert declared - {"jobsvc-sdk"} <= pinned


def _name(requirement: str) -> str:
    return (
        requirement.partition(";")[0].strip().rstrip("<>=!,.0123456789").partition(">")[0].partition("<")[0]
    )


def _lines_of_code(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count a function's lines without its docstring, which may be long."""
    body = function.body
    lines = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function, clean=False) is not None:
        lines -= (body[0].end_lineno or 0) - body[0].lineno + 1
    return lines
