"""The package: light to import, and the synchronous half generated from the asynchronous one."""

from __future__ import annotations

import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import jobsvc_sdk
from jobsvc_sdk import AsyncBatch, AsyncJob, Batch, Client, Job

ROOT = Path(jobsvc_sdk.__file__).resolve().parents[2]
HEAVY = ("ipywidgets", "IPython", "pandas", "numpy", "redis", "dramatiq", "jobsvc", "pydantic", "matplotlib")


@pytest.fixture(scope="module")
def gen_sync() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gen_sync", ROOT / "tools" / "gen_sync.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_synchronous_code_is_what_the_generator_writes(gen_sync: ModuleType) -> None:
    assert gen_sync.stale(gen_sync.generate()) == []


def test_generator_changes_words_and_nothing_else(gen_sync: ModuleType) -> None:
    source = (
        "class AsyncThing:\n"
        '    """Await an AsyncThing: ``await thing``."""\n\n'
        "    async def run(self) -> AsyncIterator[int]:\n"
        "        async with self.lock:  # async with\n"
        "            async for item in self.items():\n"
        "                yield await item\n"
    )

    assert gen_sync.synchronous(source) == (
        "class Thing:\n"
        '    """Await an Thing: ``thing``."""\n\n'
        "    def run(self) -> Iterator[int]:\n"
        "        with self.lock:  # with\n"
        "            for item in self.items():\n"
        "                yield item\n"
    )


def test_stale_files_are_named(gen_sync: ModuleType) -> None:
    files = dict(gen_sync.generate())
    path = next(iter(files))
    files[path] += "# changed\n"

    assert gen_sync.stale(files) == [path.name]


def test_import_loads_nothing_heavy() -> None:
    code = f"import sys, jobsvc_sdk; print([name for name in {HEAVY!r} if name in sys.modules])"

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "kind", [Client, Job, Batch, AsyncJob, AsyncBatch, *(vars(jobsvc_sdk.together).values())]
)
def test_public_signatures_show_no_protobuf(kind: object) -> None:
    members = (
        [kind]
        if inspect.isfunction(kind)
        else [value for _, value in inspect.getmembers(kind, inspect.isfunction)]
    )
    public = [member for member in members if not member.__name__.startswith("_")]

    for member in public:
        assert "pb." not in str(inspect.signature(member)), member
        assert member.__doc__, member


def test_names_on_top_exist() -> None:
    assert all(hasattr(jobsvc_sdk, name) for name in jobsvc_sdk.__all__)
