"""Waiting for work: woken by markers and by time, without keeping a marker from anybody."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import redis

from jobsvc.embedded import EmbeddedValkey
from jobsvc.store.store import Store
from jobsvc.worker.wake import Waker
from tests.store.bench import Bench


@pytest.fixture
def waker(bench: Bench) -> Iterator[Waker]:
    made = Waker(bench.store, ["q", "p"])
    yield made
    made.close()


def test_marker_wakes(bench: Bench, waker: Waker) -> None:
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: (answers.append(waker.wait(None)), bench.store.close()))
    thread.start()

    bench.submit("a", queue="p")
    thread.join(10)

    assert answers == [True]
    assert not bench.woken("p")


def test_time_wakes_and_takes_no_marker_along(bench: Bench, waker: Waker) -> None:
    began = time.monotonic()

    for delay_s in (0.05, 0.0, -1.0, 0.02):
        assert waker.wait(time.monotonic() + delay_s) is False

    assert 0.07 <= time.monotonic() - began < 2
    bench.submit("a")
    assert bench.woken()  # nobody waits in Redis any more who could have taken it


def test_marker_that_came_with_the_time_is_told(bench: Bench, waker: Waker) -> None:
    """Set at the moment at which the waiting is given up: it must be told, or it is lost."""
    taken = 0
    for _ in range(200):
        until_at = time.monotonic() + 0.002
        setter = threading.Timer(0.0018, lambda: bench.redis.zadd(bench.keys.queue("q", "wake"), {"1": 0}))
        setter.start()
        told = waker.wait(until_at)
        setter.join()
        taken += told
        assert bench.woken() != told
    assert taken >= 0


def test_interrupted_waker_returns_at_once_and_for_ever(bench: Bench, waker: Waker) -> None:
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: (answers.append(waker.wait(None)), bench.store.close()))
    thread.start()

    waker.interrupt()
    thread.join(10)

    assert answers == [False]
    assert waker.wait(None) is False


def test_markers_are_put_back_for_all_queues(bench: Bench, waker: Waker) -> None:
    waker.put_back()

    assert (bench.woken("q"), bench.woken("p")) == (True, True)


@pytest.mark.parametrize("command", ["bzpopmin", "client|id", "client|unblock"])
def test_waker_that_may_not_wait_lets_its_worker_look_now_and_then(own: EmbeddedValkey, command: str) -> None:
    client = redis.Redis.from_url(own.url)
    client.execute_command("ACL", "SETUSER", "limited", "on", ">pw", "~*", "&*", "+@all", f"-{command}")
    client.close()
    store = Store(own.url.replace("unix://", "unix://limited:pw@"), "own")
    waker = Waker(store, ["q"])
    began = time.monotonic()

    assert waker.wait(began + 0.5) is False
    assert waker.wait(time.monotonic() + 0.5) is False

    assert time.monotonic() - began < 5
    waker.close()
    store.close()
