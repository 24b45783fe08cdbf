"""Fixtures that every test may use: a Valkey, a namespace of one's own in it, and whole stacks of real processes."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator

import pytest

from jobsvc.embedded import EmbeddedValkey
from tests.stack import Stack

_numbers = itertools.count(1)


def pytest_configure() -> None:
    """Keep settings of the person at the desk away from the tests."""
    for name in [
        name for name in os.environ if name.startswith("JOBSVC_") and name != "JOBSVC_VALKEY_SERVER"
    ]:
        del os.environ[name]


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """A Valkey for the whole test run; ``.url`` is its address."""
    with EmbeddedValkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def redis_url(valkey: EmbeddedValkey) -> tuple[str, str]:
    """The address of the session's Valkey, and a namespace that no other test uses."""
    return valkey.url, f"test{next(_numbers)}"


@pytest.fixture(scope="session")
def stack(valkey: EmbeddedValkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server and one worker, shared by all tests: do not stop or kill anything in it."""
    shared = Stack(tmp_path_factory.mktemp("stack"), valkey.url, "shared")
    try:
        yield shared.start()
    finally:
        shared.stop()


@pytest.fixture
def make_stack(
    redis_url: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Stack]]:
    """Make stacks of one's own, to kill and restart: ``make_stack(workers=2, threads=1, lease="2s")``.

    All stacks of one test share a namespace. ``redis_url=`` sets another store, as a Valkey that the test may kill.
    """
    made: list[Stack] = []

    def make(*, redis_url: str = redis_url[0], namespace: str = redis_url[1], **options: object) -> Stack:
        new = Stack(tmp_path_factory.mktemp("stack"), redis_url, namespace, **options)  # type: ignore[arg-type]
        made.append(new)
        return new.start()

    yield make
    for each in made:
        each.stop()
