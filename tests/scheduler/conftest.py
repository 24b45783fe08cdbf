"""What tests of duties share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from jobsvc.store.async_store import AsyncStore


@pytest.fixture
async def store(redis_url: tuple[str, str]) -> AsyncIterator[AsyncStore]:
    made = AsyncStore(*redis_url)
    yield made
    await made.close()
