"""What workers say of themselves, and how one is sent away."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request

import psutil
import pytest

from jobsvc.embedded import EmbeddedValkey
from jobsvc.model.catalog import WorkerInfo
from jobsvc.model.lifecycle import JobState
from jobsvc.store import calls
from jobsvc.supervisor import DRAINED
from jobsvc.worker.memory import family, family_bytes, resident_bytes
from tests.waiting import until
from tests.worker.rig import Rig, alive
from tests.worker.rig import family as family_of


def said(rig: Rig) -> list[WorkerInfo]:
    beats = rig.store.run(calls.worker_heartbeats(rig.store.keys))
    return rig.store.run(calls.read_workers(rig.store.keys, beats))


def get(address: str, path: str) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_worker_says_what_it_runs_and_how_large_it_is(rig: Rig) -> None:
    process = rig.worker(threads=2, lease="1s")
    job_id = rig.submit(["await", rig.path("gate")])

    until(lambda: [worker.running for worker in said(rig)] == [(job_id,)])

    [worker] = said(rig)
    assert (worker.pid, worker.slots, worker.busy, worker.draining) == (process.pid, 2, 1, False)
    real = sum(psutil.Process(pid).memory_info().rss for pid in [process.pid, *family_of(process.pid)])
    assert real / 3 < worker.memory_bytes < real * 3
    rig.open_gate("gate")
    rig.wait(job_id)


def test_memory_of_a_family_is_that_of_its_processes() -> None:
    own = psutil.Process(os.getpid()).memory_info().rss

    assert os.getpid() in family(os.getpid())
    assert own / 2 < resident_bytes(os.getpid()) < own * 2
    assert family_bytes(os.getpid()) >= resident_bytes(os.getpid())
    assert resident_bytes(2**22 + 1) == 0


@pytest.mark.parametrize("hears", [True, False])
def test_drained_worker_finishes_what_it_runs_and_ends(rig: Rig, hears: bool) -> None:
    process = rig.worker(threads=1, lease="1s")
    running = rig.submit(["await", rig.path("gate")])
    rig.wait(running, JobState.PROCESSING)
    waiting = rig.submit(["ok"])
    [worker] = said(rig)

    told = calls.drain_worker(rig.store.keys, worker.id, "maintenance")
    rig.store.run_many(told if hears else told[:1])  # with the next heartbeat, when the message is missed
    rig.submit(["ok"], queue="nobody-serves-this")
    until(lambda: "drained" in process.log)
    rig.open_gate("gate")

    assert rig.wait(running).state is JobState.COMPLETED
    assert process.popen.wait(20) == DRAINED
    assert rig.job(waiting).state is JobState.QUEUED
    assert said(rig) == []


def test_drained_worker_hands_back_what_does_not_end_in_time(rig: Rig) -> None:
    process = rig.worker(threads=1, lease="1s", stop_grace="200ms")
    job_id = rig.submit(["await", rig.path("gate")])
    rig.wait(job_id, JobState.PROCESSING)
    [worker] = said(rig)

    rig.store.run_many(calls.drain_worker(rig.store.keys, worker.id, ""))

    assert process.popen.wait(20) == DRAINED
    job = rig.job(job_id)
    assert (job.state, job.attempt, job.lost_attempts, job.attempts) == (JobState.QUEUED, 0, 0, ())


def test_rolling_restart_burns_no_attempt_and_loses_nothing(rig: Rig) -> None:
    first = rig.worker(threads=3, stop_grace="300ms")
    ids = [rig.submit(["sleep", 0.1 if number % 5 else 0.8]) for number in range(60)]

    for _ in range(2):
        new = rig.worker(threads=3, stop_grace="300ms")
        first.popen.send_signal(signal.SIGTERM)
        assert first.popen.wait(20) == 0
        first = new
    jobs = [rig.wait(job_id) for job_id in ids]

    assert {job.state for job in jobs} == {JobState.COMPLETED}
    assert {(job.attempt, job.lost_attempts) for job in jobs} == {(1, 0)}


def test_health_says_whether_the_worker_lives_and_is_ready(rig: Rig) -> None:
    process = rig.worker(health="127.0.0.1:0")
    until(lambda: "health is served" in process.log)
    address = process.log.partition("health is served")[2].split("address=")[1].split()[0]

    assert get(address, "/live")[0] == 200
    status, facts = get(address, "/ready")
    assert (status, facts["ok"], facts["stopping"], facts["running"]) == (200, True, False, 0)
    assert get(address, "/")[0] == 404


def test_worker_without_redis_lives_and_is_not_ready(
    own: EmbeddedValkey, redis_url: tuple[str, str], rig: Rig
) -> None:
    process = rig.worker(redis_url=own.url, health="127.0.0.1:0", lease="1s")
    until(lambda: "health is served" in process.log)
    address = process.log.partition("health is served")[2].split("address=")[1].split()[0]
    assert get(address, "/ready")[0] == 200

    own.kill()

    until(lambda: get(address, "/ready")[0] == 503)
    assert get(address, "/live")[0] == 200
    assert alive(process.pid)


def test_health_address_that_is_taken_is_refused_at_the_start(rig: Rig) -> None:
    process = rig.worker(health="127.0.0.1:0")
    until(lambda: "health is served" in process.log)
    taken = process.log.partition("health is served")[2].split("address=")[1].split()[0]

    with pytest.raises(AssertionError, match="setting health: cannot listen"):
        rig.worker(health=taken)
