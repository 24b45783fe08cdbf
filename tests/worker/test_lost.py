"""Workers that die, hang or stop in good order, and what becomes of their jobs."""

from __future__ import annotations

import ctypes
import itertools
import os
import platform
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from jobsvc.model.lifecycle import JobState, Outcome
from jobsvc.store import calls
from tests.stack import ROOT, Process, clean_environment
from tests.waiting import until
from tests.worker.rig import Rig, alive, family, freeze, until_gone

LEASE_S = 1


@pytest.mark.parametrize("job_type", ["test.do", "test.do_in_thread"])
def test_job_of_a_killed_worker_runs_again(rig: Rig, job_type: str) -> None:
    first = rig.worker(threads=1, lease=f"{LEASE_S}s")
    job_id = rig.submit(["note", rig.path("runs")], ["await", rig.path("gate")], ["about"], job_type=job_type)
    until(lambda: rig.notes("runs"))
    processes = family(first.pid)

    first.kill()
    rig.open_gate("gate")
    rig.worker(threads=1, lease=f"{LEASE_S}s")

    job = rig.wait(job_id, timeout_s=15)
    assert (job.state, job.attempt, job.lost_attempts) == (JobState.COMPLETED, 2, 1)
    assert [(attempt.outcome, attempt.number) for attempt in job.attempts] == [(Outcome.LOST, 1)]
    assert len(rig.notes("runs")) == 2
    until_gone(processes)


def test_job_of_a_killed_worker_runs_again_within_15_s_by_default(rig: Rig) -> None:
    for _ in range(2):
        rig.worker(threads=1)
    job_id = rig.submit(["note", rig.path("runs")], ["block_until_attempt", 2], ["ok", 7])
    until(lambda: rig.notes("runs"))
    holder = next(worker for worker in rig.workers if str(worker.pid) in rig.job(job_id).worker_id)
    killed_ms = rig.store.run(calls.clock())

    holder.kill()

    assert rig.result(job_id, timeout_s=30) == 7
    job = rig.job(job_id)
    assert (job.attempt, job.lost_attempts) == (2, 1)
    assert job.start_ms - killed_ms < 15_000


def test_killed_worker_leaves_no_process_behind(rig: Rig) -> None:
    """Not even one that is stuck in C, holding its interpreter."""
    worker = rig.worker(threads=4)
    for step in (["spin"], ["block", 600], ["await_deaf", rig.path("never")]):
        rig.submit(["note", rig.path("runs")], step)
    until(lambda: len(rig.notes("runs")) == 3)
    processes = family(worker.pid)
    assert len(processes) >= 4
    assert all(alive(pid) for pid in processes)

    worker.kill()

    until_gone(processes)
    rig.worker(threads=1)  # takes back what was left behind, so that everything ends in one place
    for job_id in ("job2", "job3", "job4"):
        rig.cancel(job_id)


@pytest.mark.parametrize("job_type", ["test.do", "test.do_in_thread"])
def test_worker_that_wakes_up_after_its_lease_is_refused(rig: Rig, job_type: str) -> None:
    frozen = rig.worker(threads=1, lease=f"{LEASE_S}s")
    job_id = rig.submit(
        ["note", rig.path("runs")], ["await_gate_of_attempt", rig.path("gate")], ["about"], job_type=job_type
    )
    until(lambda: rig.notes("runs"))
    rig.worker(threads=1, lease=f"{LEASE_S}s")

    freeze(frozen)
    rig.open_gate("gate.1")  # the child may end while its worker is frozen: the end is told too late
    until(lambda: len(rig.notes("runs")) == 2)
    frozen.resume()
    until(lambda: "lost" in frozen.log)
    assert rig.job(job_id).state is JobState.PROCESSING
    rig.open_gate("gate.2")

    about = rig.result(job_id)
    job = rig.job(job_id)
    assert about["attempt"] == 2
    assert (job.lost_attempts, job.attempt) == (1, 2)
    assert rig.run(["ok", 1]) == 1


def test_job_that_kills_its_workers_stops_at_last(rig: Rig) -> None:
    job_id = rig.submit(
        ["note", rig.path("runs")], ["kill_worker"], job_type="test.do_in_thread", max_lost_attempts=1
    )
    for count in (1, 2):
        worker = rig.worker(threads=1, lease=f"{LEASE_S}s")
        assert worker.popen.wait(20) == -signal.SIGKILL
        assert len(rig.notes("runs")) == count
    rig.worker(threads=1, lease=f"{LEASE_S}s")

    job = rig.wait(job_id)

    assert (job.state, job.lost_attempts, len(rig.notes("runs"))) == (JobState.FAILED, 2, 2)
    assert job.error is not None
    assert job.error.category == "worker_lost"


def test_fork_server_that_dies_is_replaced(rig: Rig) -> None:
    worker = rig.worker(threads=2)
    assert rig.run(["ok", 1]) == 1
    for pid in family(worker.pid):
        os.kill(pid, signal.SIGKILL)

    ids = [rig.submit(["ok", number]) for number in range(4)]

    assert [rig.result(job_id, timeout_s=40) for job_id in ids] == [0, 1, 2, 3]


# -- stopping in good order ------------------------------------------------------------------------------------------

IMPATIENT = """
    import sys
    from jobsvc.worker import runtime
    runtime.STOP_GRACE_S = 0.5
    from jobsvc.cli import main
    sys.argv[0] = "jobsvc"
    main()
"""


@pytest.fixture
def impatient(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Process]:
    """Start workers that wait half a second, not twenty, for their jobs when they are told to stop."""
    launch = subprocess.Popen

    def popen(command: list[str], **options: object) -> subprocess.Popen[bytes]:
        assert command[:3] == [sys.executable, "-m", "jobsvc"]
        return launch([sys.executable, "-c", textwrap.dedent(IMPATIENT), *command[3:]], **options)  # type: ignore[call-overload,no-any-return]

    def start() -> Process:
        monkeypatch.setattr("tests.stack.subprocess.Popen", popen)
        try:
            return rig.worker(threads=4)
        finally:
            monkeypatch.undo()

    return start


def test_stopped_worker_lets_its_jobs_finish(rig: Rig) -> None:
    worker = rig.worker(threads=2)
    ids = [rig.submit(["note", rig.path("runs")], ["await", rig.path("gate")], ["ok", 5]) for _ in range(2)]
    waiting = rig.submit(["ok"])
    until(lambda: len(rig.notes("runs")) == 2)

    worker.popen.terminate()
    until(lambda: "stopping" in worker.log)
    rig.open_gate("gate")

    assert worker.popen.wait(20) == 0
    assert [rig.job(job_id).state for job_id in ids] == [JobState.COMPLETED] * 2
    assert (rig.job(waiting).state, rig.job(waiting).attempt) == (JobState.QUEUED, 0)
    assert rig.store.run(worker_count(rig)) == 0


def worker_count(rig: Rig) -> object:
    from jobsvc.store.calls import Call

    return Call(None, ("ZCARD", rig.store.keys.workers), int)


def test_stopped_worker_gives_back_what_does_not_finish(rig: Rig, impatient: Callable[[], Process]) -> None:
    worker = impatient()
    ids = [
        rig.submit(["note", rig.path("runs")], step, job_type=job_type)
        for step, job_type in [
            (["spin"], "test.do"),
            (["block", 600], "test.do"),
            (["stubborn", 600], "test.do"),
            (["block", 600], "test.do_in_thread"),
        ]
    ]
    until(lambda: len(rig.notes("runs")) == 4)
    processes = family(worker.pid)

    assert worker.stop() == 0

    for job_id in ids:
        job = rig.job(job_id)
        assert (job.state, job.attempt, job.lost_attempts, job.attempts) == (JobState.QUEUED, 0, 0, ())
    until_gone(processes)
    assert "Traceback" not in worker.log


def test_cancelled_job_of_a_stopped_worker_ends_cancelled(rig: Rig, impatient: Callable[[], Process]) -> None:
    worker = impatient()
    job_id = rig.submit(["note", rig.path("runs")], ["block", 600], job_type="test.do_in_thread")
    until(lambda: rig.notes("runs"))
    rig.cancel(job_id)

    worker.stop()

    assert rig.job(job_id).state is JobState.CANCELLED


def test_rolling_restart_under_load_burns_no_attempt(rig: Rig, impatient: Callable[[], Process]) -> None:
    workers = [impatient(), impatient()]
    ids = [rig.submit(["sleep", 0.03], ["ok", number], max_attempts=1) for number in range(200)]
    finished = itertools.count()
    for _ in range(2):
        rig.wait(ids[20 * next(finished)])
        workers.append(impatient())
        assert workers.pop(0).stop() == 0

    for number, job_id in enumerate(ids):
        assert rig.result(job_id, 40) == number
        job = rig.job(job_id)
        assert (job.attempt, job.lost_attempts) == (1, 0)


def test_signal_that_comes_to_another_thread_is_heard(rig: Rig) -> None:
    """Which happens when the main thread has just been continued, for example."""
    numbers = {"x86_64": 234, "aarch64": 131}
    if sys.platform != "linux" or platform.machine() not in numbers:
        pytest.skip("sends the signal as Linux does on two kinds of machines")
    worker = rig.worker(threads=1)
    threads = {int(task.name) for task in Path(f"/proc/{worker.pid}/task").iterdir()} - {worker.pid}

    tgkill = numbers[platform.machine()]
    ctypes.CDLL(None).syscall(tgkill, worker.pid, min(threads), int(signal.SIGTERM))

    assert worker.popen.wait(20) == 0


def test_worker_told_to_stop_while_it_waits_for_redis_stops(tmp_path: Path) -> None:
    worker = Process(
        tmp_path,
        "lonely",
        "worker",
        redis_url=f"unix://{tmp_path}/nothing.sock",
        imports="tests.handlers",
        threads=1,
    )
    until(lambda: "waiting for Redis" in worker.log)

    assert worker.stop() == 0


def test_worker_without_handlers_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jobsvc", "worker", "--import", "json", "--redis", "redis://127.0.0.1:1"],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
        env=clean_environment(),
    )

    assert done.returncode != 0
    assert "--import json: no handler found; decorate a function with @handler" in done.stderr
    assert "Traceback" not in done.stderr
