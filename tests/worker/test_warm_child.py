"""The child process of a slot that died while nothing ran in it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from jobsvc.model.job import Progress
from jobsvc.worker.children import ForkServer
from jobsvc.worker.execution import Task
from jobsvc.worker.isolation import ProcessRunner
from tests.waiting import until


class Deaf:
    """Hears nothing."""

    def on_progress(self, task: Task, progress: Progress) -> None: ...

    def on_log(self, task: Task, level: str, text: str, time_ms: int) -> None: ...


def task(number: int) -> Task:
    return Task(
        job_id=f"j{number}",
        token="1",
        type="test.pid",
        queue="q",
        attempt=1,
        max_attempts=1,
        batch_id="",
        arguments="{}",
        result_limit_bytes=1_000,
    )


@pytest.fixture
def runner() -> Iterator[ProcessRunner]:
    runner = ProcessRunner(ForkServer(["tests.worker.pid_handlers"]))
    yield runner
    runner.close()


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_child_is_used_again(runner: ProcessRunner) -> None:
    first, second = (runner.run(task(number), Deaf()).result for number in (1, 2))

    assert first is not None
    assert first == second != str(os.getpid())


def test_child_that_died_while_idle_is_replaced_and_costs_no_attempt(runner: ProcessRunner) -> None:
    first = runner.run(task(1), Deaf()).result
    assert first is not None

    os.kill(int(first), signal.SIGKILL)
    until(lambda: gone(int(first)))
    ended = runner.run(task(2), Deaf())

    assert ended.error is None
    assert ended.result not in (None, first)
