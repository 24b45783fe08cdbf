"""Memory of attempts: limited by job type, and children that are replaced."""

from __future__ import annotations

import os

import pytest

from jobsvc import handler
from jobsvc.model.errors import ConfigurationError
from jobsvc.model.lifecycle import JobState
from jobsvc.worker.memory import bytes_of, text_of
from tests.worker.rig import Rig, alive, family, until_gone


@pytest.fixture
def hogs(rig: Rig) -> Rig:
    rig.worker(imports="tests.worker.hogging", threads=2)
    return rig


def run(rig: Rig, job_type: str, **arguments: object) -> object:
    return rig.result(rig.submit(job_type=job_type, arguments=arguments or {"mib": 0}))


@pytest.mark.parametrize("in_child", [False, True])
def test_hog_alone_is_stopped_and_its_slot_is_free_again(hogs: Rig, in_child: bool) -> None:
    neighbour = hogs.submit(job_type="test.hog", arguments={"mib": 110})
    hogs.wait(neighbour, JobState.PROCESSING)
    before = set(family(hogs.workers[0].pid))

    job = hogs.wait(hogs.submit(job_type="test.hog", arguments={"mib": 600, "in_child": in_child}))

    assert job.state is JobState.FAILED
    assert job.error is not None
    assert (job.error.code, job.error.type) == ("MEMORY_LIMIT", "jobsvc.MemoryLimitExceeded")
    assert "its limit is 200 MiB" in job.error.message
    assert hogs.job(neighbour).state is JobState.PROCESSING
    assert run(hogs, "test.pid")
    new = set(family(hogs.workers[0].pid)) - before
    assert len(new) <= 1  # the hog's replacement; what it had started is gone
    hogs.cancel(neighbour)
    hogs.wait(neighbour)


def test_job_within_its_limit_is_left_alone(hogs: Rig) -> None:
    assert run(hogs, "test.hog", mib=50)


def test_child_is_replaced_after_so_many_jobs(rig: Rig) -> None:
    rig.worker(imports="tests.worker.hogging", threads=1, recycle_after=3)

    pids = [run(rig, "test.pid") for _ in range(7)]

    assert pids[0] == pids[1] == pids[2]
    assert pids[3] == pids[4] == pids[5]
    assert len(set(pids)) == 3
    until_gone([int(str(pids[0]))])


def test_child_that_has_grown_is_replaced(rig: Rig) -> None:
    rig.worker(imports="tests.worker.hogging", threads=1, recycle_above="300MiB")

    first, second = run(rig, "test.pid", mib=50), run(rig, "test.pid", mib=400)
    third = run(rig, "test.pid", mib=1)

    assert first == second != third
    assert not alive(int(str(second)))


@pytest.mark.parametrize(
    ("size", "found"),
    [("512MiB", 512 * 2**20), ("2 GiB", 2 * 2**30), ("1.5GB", 1_500_000_000), (1_000, 1_000), ("64", 64)],
)
def test_sizes_are_read(size: str | int, found: int) -> None:
    assert bytes_of(size) == found


def test_sizes_are_written() -> None:
    assert (text_of(200 * 2**20), text_of(3 * 2**29)) == ("200 MiB", "1.5 GiB")


@pytest.mark.parametrize(
    ("limit", "isolation", "problem"),
    [
        ("much", "process", "write a size such as 512MiB"),
        (True, "process", "write a size"),
        ("1MiB", "process", "at least 32 MiB"),
        ("512MiB", "thread", 'only isolation="process" can'),
    ],
)
def test_wrong_limits_are_refused(limit: object, isolation: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        handler(f"test.never{os.getpid()}", memory_limit=limit, isolation=isolation)(test_sizes_are_written)  # type: ignore[arg-type]
