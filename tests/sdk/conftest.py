"""Clients of the real stack."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from jobsvc_sdk import AsyncClient, Client, connect, connect_async
from tests.stack import Stack


@pytest.fixture
def live(stack: Stack) -> Iterator[Client]:
    """A client of the shared stack."""
    with connect(stack.address) as client:
        yield client


@pytest.fixture
async def live_async(stack: Stack) -> AsyncIterator[AsyncClient]:
    """An asynchronous client of the shared stack."""
    async with await connect_async(stack.address) as client:
        yield client
