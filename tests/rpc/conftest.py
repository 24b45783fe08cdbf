"""Servers for tests: `rig` with job types published, `make_rig` for more of them, `own_valkey` to kill."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobsvc.embedded import EmbeddedValkey
from tests.rpc.rig import Rig, settings_for


@pytest.fixture
async def make_rig(redis_url: tuple[str, str]) -> AsyncIterator[Callable[..., Awaitable[Rig]]]:
    """Start servers; all of one test share a namespace unless they are given another Redis."""
    made: list[Rig] = []

    async def make(*, redis_url: tuple[str, str] = redis_url, publish: bool = True, **settings: Any) -> Rig:
        rig = Rig(settings_for(redis_url, **settings))
        made.append(rig)
        await rig.start()
        if publish:
            await rig.publish()
        return rig

    yield make
    for rig in made:
        await rig.close()


@pytest.fixture
async def rig(make_rig: Callable[..., Awaitable[Rig]]) -> Rig:
    """A server with two job types and a live worker."""
    return await make_rig()


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A Valkey that the test may stop and start again."""
    with EmbeddedValkey(tmp_path / "valkey") as valkey:
        yield valkey
