"""Connections of threads: broken, silent, restarted, and answers that never come."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from jobsvc.embedded import EmbeddedValkey
from jobsvc.model.errors import ConfigurationError, JobsvcError, StoreFull, StoreUnavailable
from jobsvc.model.job import NewBatch
from jobsvc.model.lifecycle import JobState, Outcome
from jobsvc.store import calls, scripts
from jobsvc.store.address import parse_address, without_password
from jobsvc.store.calls import Report
from jobsvc.store.connection import Connection
from jobsvc.store.store import Store
from tests.store.bench import Bench
from tests.store.proxy import Proxy, proxied
from tests.waiting import until


@pytest.fixture
def proxy(bench: Bench) -> Iterator[Proxy]:
    """A proxy in front of the session's Valkey; the bench's own store goes through it."""
    url = bench.store.address.path
    with proxied(f"unix://{url}") as made:
        bench.store.close()
        bench.store = Store(made.url, bench.keys.tag.strip("{}").partition(":")[0])
        yield made


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A Valkey that the test may kill."""
    with EmbeddedValkey(tmp_path / "valkey") as server:
        yield server


def word_of(script: str) -> bytes:
    return scripts.load(script).digest


def prepare(bench: Bench) -> dict[str, Any]:
    """Jobs in several states, so that every script has something to do; returns the calls by script."""
    bench.submit("running")
    running = bench.claim_one(worker="other")
    bench.submit("told")
    told = bench.claim_one(worker="other")
    bench.cancel("told")
    bench.submit("waiting")
    bench.submit("ready")
    stage = calls.stage(NewBatch(id="b"), 1, [(0, bench.new("b.0"))])[0]
    done = Report(running.job_id, running.token, Outcome.COMPLETED, 0, "1")
    claim = {"lease_ms": 9_000, "reports": [done], "want": 1, "queues": ["q"]}
    return {
        "log": lambda: calls.log("running", running.token, ['{"text":"x"}'], before=0),
        "progress": lambda: calls.progress([("running", running.token, calls.running.Progress(percent=3))]),
        "cancel_seen": lambda: calls.cancel_seen("told", told.token, "deliver"),
        "exchange": lambda: calls.exchange("w", "r", **claim),
        "cancel": lambda: calls.cancel(["waiting", "told"]),
        "submit": lambda: calls.submit(bench.new("new")),
        "stage": lambda: stage,
        "commit": lambda: calls.commit("b"),
    }


def test_answer_that_was_lost_is_asked_for_again_and_nothing_is_doubled(bench: Bench, proxy: Proxy) -> None:
    """Every script is carried out, its answer is lost, and it is sent once more."""
    made = prepare(bench)
    answers = {}
    for name, call in made.items():
        bench.redis.script_load(scripts.load(name).body)
        proxy.lose_answers(word_of(name))
        answers[name] = bench.run(call())

    assert proxy.lost == len(made)
    assert answers["log"] == 1
    assert [claim.job_id for claim in answers["exchange"].claims] == ["waiting"]
    assert answers["exchange"].replies == ["already"]
    assert answers["submit"].created is False
    assert answers["commit"].total == 1
    assert answers["cancel"] == ["requested", "requested"]
    assert bench.job("running").result == "1"
    assert bench.job("waiting").attempt == 1
    (row,) = bench.run(calls.counts(["q"]))[1]
    assert (row.queued, row.processing, row.completed, row.ever) == (3, 2, 1, {"completed": 1})


def test_connection_that_broke_while_idle_is_opened_again(bench: Bench, proxy: Proxy) -> None:
    bench.submit("a")

    proxy.cut()

    assert bench.submit("b").created


def test_redis_that_is_away_is_unavailable(bench: Bench, proxy: Proxy) -> None:
    proxy.close()

    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:\d+/0 cannot be reached"):
        bench.submit("a")


def test_redis_that_does_not_answer_is_unavailable_in_time(bench: Bench, proxy: Proxy) -> None:
    connection = Connection(parse_address(proxy.url), timeout_s=0.2)
    assert connection.ask([("PING",)]) == ["PONG"]
    proxy.silent.set()

    with pytest.raises(StoreUnavailable, match=r"timed out|no answer in time"):
        connection.ask([("PING",)])

    proxy.silent.clear()
    assert connection.ask([("ECHO", "fresh")]) == ["fresh"]
    connection.close()


def test_connection_whose_user_was_interrupted_gives_nobody_a_wrong_answer(bench: Bench) -> None:
    """An exception can come from outside, in the middle of a call: a time limit in a thread, for example."""
    connection = bench.store.connection()

    class Interruption(BaseException):
        pass

    def interrupted(_: float) -> None:
        raise Interruption

    original = connection._read
    connection._read = interrupted  # type: ignore[assignment]
    with pytest.raises(Interruption):
        connection.ask([("ECHO", "old")])
    connection._read = original  # type: ignore[method-assign]

    assert connection.ask([("ECHO", "new")]) == ["new"]
    connection.close()


def test_readable_works_with_many_open_files(bench: Bench) -> None:
    """A worker with many slots has descriptors above 1,024, which ``select`` cannot watch."""
    connection = bench.store.connection()
    spare = [os.dup(0) for _ in range(1_100)]
    try:
        connection.send([("BZPOPMIN", "nothing-here", 0.3)])

        assert not connection.readable(0.01)
        assert connection.readable(5)
        assert connection.receive() is None
    finally:
        connection.close()
        for number in spare:
            os.close(number)


def test_readable_hears_other_descriptors(bench: Bench) -> None:
    connection = bench.store.connection()
    connection.send([("BZPOPMIN", "nothing-here", 5)])
    ours, theirs = socket.socketpair()
    theirs.send(b"x")

    assert not connection.readable(5, ours.fileno())

    connection.close()
    ours.close()
    theirs.close()


def test_threads_share_a_store_but_no_connection(bench: Bench) -> None:
    def work(name: str) -> None:
        for number in range(50):
            assert bench.store.run(calls.submit(bench.new(f"{name}-{number}"))).created
            assert bench.store.run(calls.read([f"{name}-{number}"]))[0].id == f"{name}-{number}"
        bench.store.close()

    threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert bench.queue_keys()["ready"] == 200


def test_killed_redis_comes_back_with_everything(own_valkey: EmbeddedValkey) -> None:
    client = redis.Redis.from_url(own_valkey.url, decode_responses=True)
    bench = Bench(Store(own_valkey.url, "own"), client)
    bench.submit("a")
    bench.submit("b", delay_ms=60_000)
    claim = bench.claim_one()
    assert own_valkey.pid is not None
    client.execute_command("WAITAOF", 1, 0, 10_000)  # with a slow disk it waits with writing

    os.kill(own_valkey.pid, signal.SIGKILL)
    until(lambda: own_valkey.poll() is not None)
    with pytest.raises(StoreUnavailable):
        bench.submit("c")
    own_valkey.start()

    assert bench.submit("c").created  # its scripts are unknown again
    assert bench.finish(claim, body="1") == "ok"
    assert (bench.state("a"), bench.state("b")) == (JobState.COMPLETED, JobState.SCHEDULED)
    bench.check()
    bench.close()


def test_full_redis_takes_no_new_jobs_but_closes_those_that_run(own_valkey: EmbeddedValkey) -> None:
    client = redis.Redis.from_url(own_valkey.url, decode_responses=True)
    bench = Bench(Store(own_valkey.url, "own"), client)
    bench.submit("a")
    bench.submit("b")
    first, second = bench.claim(2)
    stage = calls.stage(NewBatch(id="b1"), 1, [(0, bench.new("b1.0"))])[0]
    bench.run(stage)
    client.config_set("maxmemory", "1")

    for refused in (calls.submit(bench.new("c")), calls.commit("b1"), stage):
        with pytest.raises(StoreFull):
            bench.run(refused)
    assert bench.finish(first, body="1") == "ok"
    assert bench.finish(second, Outcome.RETRIED, "{}", delay_ms=1) == "ok"
    assert bench.run(calls.abort("b1"))

    client.config_set("maxmemory", "0")
    assert bench.submit("c").created
    bench.check()
    bench.close()


@pytest.mark.parametrize(
    ("url", "label"),
    [
        ("redis://user:secret@host:7000/3", "redis://user:***@host:7000/3"),
        ("redis://:secret@host", "redis://:***@host"),
        ("unix:///path/to/socket?db=2", "unix:///path/to/socket?db=2"),
    ],
)
def test_address_shows_no_password(url: str, label: str) -> None:
    assert parse_address(url).label == label


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("redis://user:secret@host:7000/3", "redis://host:7000/3"),
        ("redis://host?password=secret&db=1", "redis://host?db=1"),
        ("unix://:secret@/path/to/socket?db=2", "unix:///path/to/socket?db=2"),
        ("redis://host/1", "redis://host/1"),
    ],
)
def test_address_without_password_has_none(url: str, public: str) -> None:
    assert without_password(url) == public
    assert parse_address(public).greeting in ((), (("SELECT", parse_address(url).greeting[-1][1]),))


def test_address_says_hello_with_user_and_database() -> None:
    address = parse_address("redis://user:secret@host:7000/3")

    assert (address.host, address.port, address.greeting) == (
        "host",
        7000,
        (("AUTH", "user", "secret"), ("SELECT", "3")),
    )


@pytest.mark.parametrize("url", ["http://host", "host:6379", "redis://host:port"])
def test_wrong_address_says_what_to_write(url: str) -> None:
    with pytest.raises(ConfigurationError, match="redis://host:6379/0"):
        parse_address(url)


@pytest.mark.parametrize("namespace", ["", "a b", "a{b}", "x" * 65])
def test_wrong_namespace_is_refused(namespace: str) -> None:
    with pytest.raises(ConfigurationError, match="namespace"):
        Store("redis://host", namespace)


def test_wrong_password_is_told(own_valkey: EmbeddedValkey) -> None:
    client = redis.Redis.from_url(own_valkey.url)
    client.config_set("requirepass", "right")
    client.close()
    path = own_valkey.url

    def ask(password: str) -> str:
        store = Store(path.replace("unix://", f"unix://:{password}@"), "own")
        try:
            return str(store.run(calls.clock()) > 0)
        except JobsvcError as error:
            return str(error)
        finally:
            store.close()

    assert ask("right") == "True"
    assert "WRONGPASS" in ask("wrong")
    assert "wrong@" not in ask("wrong")


def test_every_kind_of_answer_has_its_error() -> None:
    from jobsvc.store.replies import to_error

    kinds: dict[str, Callable[[], type[JobsvcError]]] = {
        "LOADING Redis is loading": lambda: StoreUnavailable,
        "READONLY You can't write": lambda: StoreUnavailable,
        "OOM command not allowed": lambda: StoreFull,
        "NOPERM this user has no permissions": lambda: StoreUnavailable,
        "ERR Protocol error: unauthenticated bulk length": lambda: StoreUnavailable,
        "WRONGTYPE Operation": lambda: JobsvcError,
    }
    for text, kind in kinds.items():
        assert type(to_error(text, "label")) is kind(), text
