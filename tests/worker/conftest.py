"""Rigs: real worker processes over the session's Valkey."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from jobsvc.embedded import EmbeddedValkey
from jobsvc.store.store import Store
from tests.store import invariants
from tests.store.bench import Bench
from tests.store.proxy import Proxy, proxied
from tests.worker.rig import Rig


@pytest.fixture
def rig(redis_url: tuple[str, str], tmp_path: Path) -> Iterator[Rig]:
    """A namespace of its own; start workers with ``rig.worker()``."""
    made = Rig(tmp_path, *redis_url)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(
    valkey: object, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Rig]:
    """One worker with four slots for all tests of a module: do not stop or kill it."""
    url: str = valkey.url  # type: ignore[attr-defined]
    made = Rig(tmp_path_factory.mktemp("shared"), url, request.module.__name__.rpartition(".")[2])
    made.worker(threads=4)
    yield made
    made.close()


@pytest.fixture
def bench(redis_url: tuple[str, str]) -> Iterator[Bench]:
    url, namespace = redis_url
    made = Bench(Store(url, namespace), redis.Redis.from_url(url, decode_responses=True))
    yield made
    invariants.check(made.redis, made.keys.tag)
    made.close()


@pytest.fixture
def proxy(bench: Bench) -> Iterator[Proxy]:
    with proxied(f"unix://{bench.store.address.path}") as made:
        yield made


@pytest.fixture
def own(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A Valkey that the test may kill."""
    with EmbeddedValkey(tmp_path / "valkey") as server:
        yield server
