"""Random histories: the scripts against the reference model of the life of a job."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from jobsvc.store.store import Store
from tests.store.bench import Bench
from tests.store.history import History

STEPS_A_HISTORY = 40

WANTED_STEPS = int(os.environ.get("HISTORY_STEPS", "4000"))
"""Moves to make, over all histories; ``make test-long`` asks for more, at random."""

_namespaces = itertools.count(1)


@pytest.fixture
def machine(redis_url: tuple[str, str]) -> Iterator[type[History]]:
    url, namespace = redis_url
    client = redis.Redis.from_url(url, decode_responses=True)

    class Fresh(History):
        @staticmethod
        def make_bench() -> Bench:
            return Bench(Store(url, f"{namespace}.{next(_namespaces)}"), client)

        def teardown(self) -> None:
            if hasattr(self, "bench"):
                for key in client.scan_iter(f"{self.bench.keys.tag}:*", count=1000):
                    client.unlink(key)
                super().teardown()

    yield Fresh
    client.close()


@pytest.mark.timeout(120 + WANTED_STEPS // 10)
def test_random_histories_agree_with_the_reference(machine: type[History]) -> None:
    long = "HISTORY_STEPS" in os.environ

    while machine.steps < WANTED_STEPS:
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            machine,
            settings=settings(
                max_examples=-(-(WANTED_STEPS - machine.steps) // STEPS_A_HISTORY),
                stateful_step_count=STEPS_A_HISTORY,
                deadline=None,
                derandomize=not long,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        assert long or machine.steps >= 2_000, "hypothesis made shorter histories; ask for more of them"
        if not long:
            break
    print(f"{machine.steps} steps")
