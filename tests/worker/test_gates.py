"""What holds jobs of a queue back holds over all workers, at every moment, and ends at once."""

from __future__ import annotations

import json
import time
from typing import Any

from jobsvc.model.lifecycle import JobState
from jobsvc.model.queue import QueueSettings, RateLimit
from jobsvc.store import calls
from tests.waiting import until
from tests.worker.rig import Rig


def configure(rig: Rig, **values: Any) -> None:
    rig.store.run(calls.configure("test", QueueSettings(**values), list(values), how="update"))


def processing(rig: Rig) -> int:
    return rig.store.run(calls.counts(["test"]))[1][0].processing


def settings(rig: Rig, queue: str) -> QueueSettings:
    return rig.store.run(calls.read_queue_settings(rig.store.keys, queue)).settings


def most_at_once(notes: list[list[str]]) -> int:
    """The most jobs that ran at one time, from what they noted: ``start`` or ``end`` and the time in ns."""
    moves = sorted((int(ns), 1 if what == "start" else -1) for what, ns in notes)
    running = most = 0
    for _, change in moves:
        running += change
        most = max(most, running)
    return most


def test_concurrency_holds_over_two_workers_and_is_used(rig: Rig) -> None:
    configure(rig, max_concurrency=3)
    rig.worker(threads=4)
    rig.worker(threads=4)

    path = rig.path("notes")
    ids = [rig.submit(["stamp", path, "start"], ["sleep", 0.03], ["stamp", path, "end"]) for _ in range(60)]
    for job_id in ids:
        rig.wait(job_id)

    assert most_at_once(rig.notes("notes")) == 3


def test_raised_limit_is_used_by_workers_that_wait(rig: Rig) -> None:
    configure(rig, max_concurrency=1)
    rig.worker(threads=4)
    ids = [rig.submit(["await", rig.path("gate")]) for _ in range(4)]
    until(lambda: processing(rig) == 1)

    configure(rig, max_concurrency=3)

    until(lambda: processing(rig) == 3)
    rig.open_gate("gate")
    for job_id in ids:
        rig.wait(job_id)


def test_limit_per_worker_leaves_the_rest_to_others(rig: Rig) -> None:
    configure(rig, max_concurrency_per_worker=2)
    rig.worker(threads=4)
    ids = [rig.submit(["await", rig.path("gate")]) for _ in range(5)]
    until(lambda: processing(rig) == 2)
    other = rig.submit(["ok"], queue="other")  # the worker still serves what else it can

    rig.worker(threads=4, queues="test,other")

    until(lambda: processing(rig) == 4)
    assert rig.wait(other).state is JobState.COMPLETED
    assert processing(rig) == 4
    rig.open_gate("gate")
    for job_id in ids:
        rig.wait(job_id)


def test_worker_that_was_full_takes_the_next_job_at_once(rig: Rig) -> None:
    """While it is full it does not listen to the queue; when a job ends it must hear again."""
    configure(rig, max_concurrency_per_worker=1)
    rig.worker(threads=3)
    rig.run(["ok"])
    first = rig.submit(["await", rig.path("gate")])
    rig.wait(first, JobState.PROCESSING)
    second = rig.submit(["ok"])
    rig.open_gate("gate")
    rig.wait(second)
    rig.wait(first)

    began = time.monotonic()
    for _ in range(5):
        rig.run(["ok"])

    assert time.monotonic() - began < 4  # a worker that hears nothing looks every five seconds


def test_paused_queue_starts_nothing_and_goes_on_at_once(rig: Rig) -> None:
    rig.worker(threads=2)
    running = rig.submit(["await", rig.path("gate")])
    rig.wait(running, JobState.PROCESSING)
    rig.store.run(calls.pause("test", "because"))

    held = [rig.submit(["ok"]) for _ in range(3)]
    rig.open_gate("gate")
    rig.wait(running)
    other = rig.submit(["ok"], queue="test", delay_ms=50)
    until(lambda: rig.job(other).state is JobState.QUEUED)

    assert {rig.job(job_id).state for job_id in held} == {JobState.QUEUED}
    began = time.monotonic()
    rig.store.run(calls.resume("test"))
    for job_id in [*held, other]:
        rig.wait(job_id)
    assert time.monotonic() - began < 4


def test_rate_limit_holds_over_two_workers_without_anybody_asking_again_and_again(rig: Rig) -> None:
    configure(rig, rate=RateLimit(20, 1_000, 2))
    rig.worker(threads=4)
    rig.worker(threads=4)
    before = rig.redis.info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)

    path = rig.path("notes")
    ids = [rig.submit(["stamp", path, "start"]) for _ in range(22)]
    for job_id in ids:
        rig.wait(job_id)

    starts = sorted(int(ns) for _, ns in rig.notes("notes"))
    assert (starts[-1] - starts[0]) / 1e9 >= 0.9  # twenty of them at twenty a second
    asked = rig.redis.info("commandstats")["cmdstat_evalsha"]["calls"] - before
    assert (
        asked < 3_000
    )  # other tests may use this Valkey; a worker that spins asks thousands of times a second


def test_declared_queues_are_there_when_the_worker_is_ready(rig: Rig) -> None:
    rig.worker(
        imports="tests.worker.declaring",
        queue=json.dumps({"pdf": {"max_concurrency": 7}, "mail": {"rate": "100/min", "burst": 5}}),
    )

    assert settings(rig, "pdf") == QueueSettings(max_concurrency=7, timeout_ms=120_000)
    assert settings(rig, "mail").rate == RateLimit(100, 60_000, 5)
