"""Redis away, restarted, silent, or losing answers, while jobs run."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from jobsvc.embedded import EmbeddedValkey
from jobsvc.model.lifecycle import JobState
from jobsvc.store import scripts
from tests.store.proxy import proxied
from tests.waiting import until
from tests.worker.rig import Rig


@pytest.fixture
def own_rig(own: EmbeddedValkey, tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path, own.url, "own")
    yield made
    made.close()


def kill(server: EmbeddedValkey) -> None:
    """Kill it with -9, after what it has acknowledged is on the disk: a slow disk makes it wait with writing."""
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("WAITAOF", 1, 0, 10_000)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    until(lambda: server.poll() is not None)


def test_jobs_that_run_while_redis_is_away_end_once(own_rig: Rig, own: EmbeddedValkey) -> None:
    rig = own_rig
    worker = rig.worker(threads=4, lease="2s")
    kinds = ["test.do", "test.do_in_thread"]
    running = [
        rig.submit(
            ["note", rig.path("runs")],
            ["await", rig.path("gate")],
            ["log", "before the end"],
            ["report", {"percent": 99}],
            ["ok", number],
            job_type=kinds[number % 2],
            max_attempts=1,
        )
        for number in range(4)
    ]
    waiting = [rig.submit(["ok", number], max_attempts=1) for number in range(10)]
    delayed = rig.submit(["ok"], delay_ms=1_000)
    until(lambda: len(rig.notes("runs")) == 4)

    kill(own)
    rig.open_gate("gate")  # they end while nobody can be told
    began = time.monotonic()
    until(lambda: "trying again until it does" in worker.log)
    until(lambda: time.monotonic() - began > 3.5, every_s=0.1)  # longer than the lease
    own.start()

    assert [rig.result(job_id) for job_id in running] == [0, 1, 2, 3]
    assert [rig.result(job_id) for job_id in waiting] == list(range(10))
    rig.result(delayed)
    for job_id in running:
        job = rig.job(job_id)
        assert (job.attempt, job.lost_attempts) == (1, 0)
        assert [line["text"] for line in rig.lines(job_id)] == ["before the end"]
        assert job.progress is not None
        assert job.progress.percent == 99
    assert len(rig.notes("runs")) == 4
    assert rig.run(["ok", "after"]) == "after"
    assert "Redis answers again" in worker.log
    assert "Traceback" not in worker.log


def test_cancel_after_an_outage_reaches_the_job(own_rig: Rig, own: EmbeddedValkey) -> None:
    rig = own_rig
    rig.worker(threads=1, lease="3s")
    job_id = rig.submit(["note", rig.path("runs")], ["sleep", 60])
    until(lambda: rig.notes("runs"))

    kill(own)
    own.start()
    rig.cancel(job_id)

    assert rig.wait(job_id).state is JobState.CANCELLED


def test_limits_hold_while_redis_is_silent(own_rig: Rig) -> None:
    """The connection does not break, nothing comes: the worker must not wait for it with what it can do alone."""
    rig = own_rig
    with proxied(rig.url) as proxy:
        rig.worker(threads=1, redis_url=proxy.url, lease="60s")
        job_id = rig.submit(["note", rig.path("runs")], ["spin"], timeout_ms=1_500, max_attempts=1)
        until(lambda: rig.notes("runs"))
        pid = int(rig.notes("runs")[0][3])

        proxy.silent.set()
        began = time.monotonic()
        until(lambda: not Path(f"/proc/{pid}").exists() or rig_zombie(pid))
        spent = time.monotonic() - began

        assert spent < 4
        proxy.silent.clear()
        assert rig.wait(job_id, timeout_s=30).state is JobState.FAILED


def rig_zombie(pid: int) -> bool:
    from tests.worker.rig import alive

    return not alive(pid)


@pytest.mark.parametrize("job_type", ["test.do", "test.do_in_thread"])
def test_worker_behind_a_line_that_loses_answers_runs_every_job_once(own_rig: Rig, job_type: str) -> None:
    rig, seed = own_rig, random.Random(5)
    done = threading.Event()
    with proxied(rig.url) as proxy:

        def lose() -> None:
            while not done.wait(seed.uniform(0.002, 0.03)):
                name = seed.choice(["exchange", "exchange", "log", "renew", "progress"])
                proxy.lose_answers(scripts.load(name).digest, times=seed.choice([1, 2, 3]))

        rig.worker(threads=4, redis_url=proxy.url, lease="10s")
        thread = threading.Thread(target=lose)
        thread.start()
        steps = (["note", rig.path("runs")], ["logs", 3], ["report", {"percent": 7}], ["sleep", 0.01])
        ids = [rig.submit(*steps, ["ok", n], job_type=job_type, max_attempts=1) for n in range(120)]
        results = [rig.result(job_id, timeout_s=60) for job_id in ids]
        done.set()
        thread.join()

        assert results == list(range(120))
        assert proxy.lost > 20
        assert len(rig.notes("runs")) == 120
        for job_id in ids:
            job = rig.job(job_id)
            assert (job.attempt, job.lost_attempts) == (1, 0)
            assert job.progress is not None
            assert [line["text"] for line in rig.lines(job_id)] == ["line 1", "line 2", "line 3"]
