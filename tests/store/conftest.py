"""A store with a namespace of its own, and a plain client to look behind it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from jobsvc.store.store import Store
from tests.store.bench import Bench


@pytest.fixture
def bench(redis_url: tuple[str, str]) -> Iterator[Bench]:
    """A store on the session's Valkey, whose keys are checked against each other when the test has ended."""
    url, namespace = redis_url
    made = Bench(Store(url, namespace), redis.Redis.from_url(url, decode_responses=True))
    try:
        yield made
        made.check()
    finally:
        made.close()
