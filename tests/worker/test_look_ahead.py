"""Short jobs, of which a worker takes some along: each runs once, and none waits behind a long one."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import dramatiq
import pytest

from jobsvc.broker import JobBroker
from jobsvc.model.job import NewJob
from jobsvc.model.lifecycle import JobState
from jobsvc.store import calls
from jobsvc.store.store import Store
from jobsvc.worker.engine import Engine
from jobsvc.worker.execution import Handlers
from tests.waiting import until


@pytest.fixture
def store(redis_url: tuple[str, str]) -> Iterator[Store]:
    store = Store(*redis_url)
    yield store
    store.close()


def submit(store: Store, job_type: str, numbers: Sequence[int]) -> list[str]:
    ids = [f"{job_type}-{number}" for number in numbers]
    jobs = [NewJob(id=job_id, type=job_type, queue="q", arguments=f'{{"name":"{job_id}"}}') for job_id in ids]
    store.run_many([calls.submit(job) for job in jobs])
    return ids


class Short:
    """A handler that only notes which jobs it ran."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def note(self, name: str) -> None:
        self.ran.append(name)


@contextmanager
def engine(store: Store, slots: int, **functions: Callable[[str], None]) -> Iterator[Engine]:
    broker = JobBroker(store)
    for name, function in functions.items():
        dramatiq.actor(function, actor_name=name, queue_name="q", broker=broker)
    made = Engine(
        store,
        worker_id="w",
        handlers=Handlers(broker),
        fork_server=None,
        queues=["q"],
        slots=slots,
        lease_ms=10_000,
        result_limit_bytes=10_000,
    )
    made.start()
    try:
        yield made
    finally:
        made.stop(5)


def states(store: Store, ids: Sequence[str]) -> Counter[tuple[JobState, int] | None]:
    parts = [ids[at : at + 200] for at in range(0, len(ids), 200)]
    found = [job for part in parts for job in store.run(calls.read(part))]
    return Counter(None if job is None else (job.state, job.attempt) for job in found)


def test_short_jobs_run_once_each(store: Store) -> None:
    short = Short()
    ids = submit(store, "short", range(3_000))

    with engine(store, 8, short=short.note):
        until(lambda: store.run(calls.counts(["q"]))[1][0].completed == len(ids))

    assert Counter(short.ran) == Counter(ids)
    assert states(store, ids) == {(JobState.COMPLETED, 1): len(ids)}


def test_jobs_taken_along_go_back_when_long_ones_hold_the_slots(store: Store) -> None:
    short, gate = Short(), threading.Event()

    def long(name: str) -> None:
        short.note(name)
        gate.wait(20)

    first = submit(store, "short", range(300))
    blocking = submit(store, "long", range(2))
    rest = submit(store, "short", range(300, 330))
    with engine(store, 2, short=short.note, long=long) as running:
        until(lambda: set(blocking) <= set(short.ran))

        # both slots are taken: what was taken along, and not begun, can be had by others again
        running.give_back(0)

        assert running.busy == 2
        waiting = [job_id for job_id in rest if job_id not in short.ran]
        assert waiting
        assert states(store, waiting) == {(JobState.QUEUED, 0): len(waiting)}
        gate.set()
        until(lambda: store.run(calls.counts(["q"]))[1][0].completed == 332)

    assert Counter(short.ran) == Counter([*first, *blocking, *rest])


def test_end_of_a_short_job_is_told_while_a_long_one_runs_that_was_taken_along(store: Store) -> None:
    short, gate = Short(), threading.Event()

    def long(name: str) -> None:
        short.note(name)
        gate.wait(20)

    ids = submit(store, "short", range(100))
    [blocking] = submit(store, "long", [0])
    with engine(store, 1, short=short.note, long=long) as running:
        until(lambda: blocking in short.ran)

        running.give_back(0.03)

        assert states(store, ids) == {(JobState.COMPLETED, 1): len(ids)}
        gate.set()


def test_giving_back_beside_running_slots_loses_and_repeats_nothing(store: Store) -> None:
    short = Short()
    ids = submit(store, "short", range(2_000))
    done = threading.Event()

    with engine(store, 8, short=short.note) as running:

        def give_back() -> None:
            while not done.is_set():
                running.give_back(0)

        thread = threading.Thread(target=give_back)
        thread.start()
        try:
            until(lambda: store.run(calls.counts(["q"]))[1][0].completed == len(ids), 30)
        finally:
            done.set()
            thread.join()

    assert Counter(short.ran) == Counter(ids)


def test_stop_gives_back_what_was_taken_along(store: Store) -> None:
    short = Short()
    ids = submit(store, "short", range(3_000))

    with engine(store, 4, short=short.note):
        until(lambda: len(short.ran) > 200, every_s=0.001)

    waiting = [job_id for job_id in ids if job_id not in set(short.ran)]
    assert waiting
    assert states(store, waiting) == {(JobState.QUEUED, 0): len(waiting)}
    assert states(store, sorted(set(short.ran))) == {(JobState.COMPLETED, 1): len(set(short.ran))}
    assert len(set(short.ran)) == len(short.ran)
