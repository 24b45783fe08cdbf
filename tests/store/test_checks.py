"""What is said of a Redis that cannot be trusted with jobs."""

from __future__ import annotations

import pytest
import structlog

from jobsvc.model.errors import ConfigurationError, StoreUnavailable
from jobsvc.store.checks import check, judge
from jobsvc.store.store import Store
from tests.store.bench import Bench

GOOD = {"redis_version": "7.2.4", "aof_enabled": "1"}


def test_good_redis_gets_no_warning() -> None:
    assert judge(GOOD, "noeviction", "here") == []
    assert judge({**GOOD, "valkey_version": "8.0.1"}, "", "here") == []


@pytest.mark.parametrize(
    ("info", "name"),
    [
        ({"redis_version": "6.2.14"}, "Redis at here is version 6.2.14; jobsvc needs Redis 7.0"),
        (
            {"redis_version": "7.2.4", "valkey_version": "7.1.0"},
            "Valkey at here is version 7.1.0; jobsvc needs Valkey 7.2",
        ),
    ],
)
def test_old_redis_is_refused(info: dict[str, str], name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        judge(info, "noeviction", "here")


def test_redis_that_may_lose_jobs_is_warned_about() -> None:
    warnings = judge({**GOOD, "aof_enabled": "0"}, "allkeys-lru", "here")

    assert len(warnings) == 2
    assert "CONFIG SET maxmemory-policy noeviction" in warnings[0]
    assert "CONFIG SET appendonly yes" in warnings[1]


def test_version_that_nobody_understands_is_accepted() -> None:
    assert judge({"redis_version": "unstable", "aof_enabled": "1"}, "noeviction", "here") == []


def test_redis_of_the_tests_is_looked_at(bench: Bench) -> None:
    with structlog.testing.capture_logs() as lines:
        check(bench.store)
        bench.redis.config_set("maxmemory-policy", "allkeys-lru")
        try:
            check(bench.store)
        finally:
            bench.redis.config_set("maxmemory-policy", "noeviction")

    assert [line["what"].partition(",")[0] for line in lines] == ["maxmemory-policy is allkeys-lru"]


def test_redis_that_is_away_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        check(Store("redis://127.0.0.1:1"))
