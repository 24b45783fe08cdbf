"""What handlers said waits for Redis, in order and once."""

from __future__ import annotations

import threading

import pytest

from jobsvc.model.errors import JobsvcError, StoreUnavailable
from jobsvc.model.job import Progress
from jobsvc.store import calls, scripts
from jobsvc.worker.execution import Task
from jobsvc.worker.outbox import Outbox
from tests.store.bench import Bench
from tests.store.proxy import Proxy
from tests.worker.parts import proxied_store


def claimed(bench: Bench) -> Task:
    bench.submit("a")
    claim = bench.claim_one()
    return Task("a", claim.token, "test.do", "q", 1, 1, "", "{}", 1_000)


def test_lines_are_kept_while_redis_is_away(
    bench: Bench, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = claimed(bench)
    key = (given.job_id, given.token)
    store = proxied_store(bench, proxy)
    outbox = Outbox(store)
    outbox.on_log(given, "info", "one", 1)
    outbox.on_progress(given, Progress(percent=1))
    outbox.on_stop(key, "deliver")

    def away(call: object) -> object:
        raise StoreUnavailable("away")

    monkeypatch.setattr(store, "run", away)
    for write in (outbox.write_all, outbox.write_stops, lambda: outbox.write(key)):
        with pytest.raises(StoreUnavailable):
            write()
    outbox.on_log(given, "info", "two", 2)
    monkeypatch.undo()

    assert outbox.write_all() == [(key, "ok")]
    assert ['"text": "one"' in text or '"text": "two"' in text for text in lines(bench)] == [True, True]
    assert outbox.write_all() == []
    store.close()


def lines(bench: Bench) -> list[str]:
    return bench.run(calls.read_logs(bench.keys, "a"))


def test_lines_whose_answer_was_lost_are_not_doubled(bench: Bench, proxy: Proxy) -> None:
    given = claimed(bench)
    store = proxied_store(bench, proxy)
    outbox = Outbox(store)
    bench.redis.script_load(scripts.load("log").body)
    for number in range(5):
        proxy.lose_answers(scripts.load("log").digest, times=2)  # also that of the second try
        outbox.on_log(given, "info", str(number), number)
        with pytest.raises(StoreUnavailable):
            outbox.write_all()
    outbox.write_all()

    assert [f'"text": "{number}"' in text for number, text in enumerate(lines(bench))] == [True] * 5
    assert bench.run(calls.count_log_lines(bench.keys, "a")) == 5
    store.close()


def test_lines_from_many_threads_all_arrive(bench: Bench) -> None:
    given = claimed(bench)
    outbox = Outbox(bench.store)
    writing = threading.Event()

    def write() -> None:
        while not writing.is_set():
            outbox.write_all()
        bench.store.close()

    def say(name: int) -> None:
        for number in range(100):
            outbox.on_log(given, "info", f"{name}-{number}", number)

    writer = threading.Thread(target=write)
    speakers = [threading.Thread(target=say, args=(name,)) for name in range(8)]
    for thread in (writer, *speakers):
        thread.start()
    for thread in speakers:
        thread.join()
    writing.set()
    writer.join()
    outbox.write((given.job_id, given.token))

    assert len(lines(bench)) == 800
    assert bench.run(calls.count_log_lines(bench.keys, "a")) == 800


def test_lines_beyond_what_is_kept_are_dropped_while_redis_is_away(bench: Bench) -> None:
    given = claimed(bench)
    outbox = Outbox(bench.store)
    for number in range(5_000):
        outbox.on_log(given, "info", str(number), number)

    assert sum(map(len, outbox._lines.values())) < 2 * calls.MAX_LOG_LINES
    outbox.write_all()

    assert len(lines(bench)) == calls.MAX_LOG_LINES
    assert '"text": "4999"' in lines(bench)[-1]
    assert bench.run(calls.count_log_lines(bench.keys, "a")) == 5_000


def test_lines_that_redis_will_never_take_do_not_keep_an_end_from_being_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = claimed(bench)
    outbox = Outbox(bench.store)
    outbox.on_log(given, "info", "x", 1)

    def refuse(call: object) -> object:
        raise JobsvcError("WRONGTYPE")

    with monkeypatch.context() as patched:
        patched.setattr(bench.store, "run", refuse)
        outbox.write((given.job_id, given.token))  # says so, and goes on
