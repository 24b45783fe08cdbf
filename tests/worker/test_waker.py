"""Waiting for work: woken by markers and by time, without keeping a marker from anybody."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import redis

from jobsvc.embedded import EmbeddedValkey
from jobsvc.store import calls
from jobsvc.store.store import Store
from jobsvc.worker.wake import Waker, Woken
from tests.store.bench import Bench


@pytest.fixture
def waker(bench: Bench) -> Iterator[Waker]:
    made = Waker(bench.store, ["q", "p"])
    yield made
    made.close()


def test_marker_wakes(bench: Bench, waker: Waker) -> None:
    answers: list[Woken] = []
    thread = threading.Thread(target=lambda: (answers.append(waker.wait(None)), bench.store.close()))
    thread.start()

    bench.submit("a", queue="p")
    thread.join(10)

    assert [woken.marker for woken in answers] == [True]
    assert not bench.woken("p")


def test_time_wakes_and_takes_no_marker_along(bench: Bench, waker: Waker) -> None:
    began = time.monotonic()

    for delay_s in (0.05, 0.0, -1.0, 0.02):
        assert not waker.wait(time.monotonic() + delay_s).marker

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
        told = waker.wait(until_at).marker
        setter.join()
        taken += told
        assert bench.woken() != told
    assert taken >= 0


def test_call_that_travels_along_is_answered_whatever_ends_the_waiting(bench: Bench, waker: Waker) -> None:
    look = calls.exchange("w1", "r1", lane="idle", lease_ms=10_000, reports=[], want=1, queues=["q", "p"])
    bench.run(look)  # so that Redis knows the script
    bench.submit("a", queue="p")

    woken = waker.wait(None, look)
    timed_out = waker.wait(time.monotonic() + 0.05, look)

    assert (woken.marker, [claim.job_id for claim in woken.answer.claims]) == (True, ["a"])
    assert not timed_out.marker
    assert [claim.job_id for claim in timed_out.answer.claims] == ["a"]  # the same request gets the same job


def test_script_that_redis_does_not_know_has_no_answer(bench: Bench, waker: Waker) -> None:
    bench.redis.script_flush()
    bench.redis.zadd(bench.keys.queue("q", "wake"), {"1": 0})
    look = calls.exchange("w1", "r1", lane="idle", lease_ms=10_000, reports=[], want=1, queues=["q"])

    assert waker.wait(None, look) == Woken(marker=True, answer=None)


def test_interrupted_waker_returns_at_once_and_for_ever(bench: Bench, waker: Waker) -> None:
    answers: list[Woken] = []
    thread = threading.Thread(target=lambda: (answers.append(waker.wait(None)), bench.store.close()))
    thread.start()

    waker.interrupt()
    thread.join(10)

    assert [woken.marker for woken in answers] == [False]
    assert not waker.wait(None).marker


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

    assert not waker.wait(began + 0.5).marker
    assert not waker.wait(time.monotonic() + 0.5).marker

    assert time.monotonic() - began < 5
    waker.close()
    store.close()
