"""Where code runs, alone: stopped at every awkward moment, a runner says so and is good for the next attempt."""

from __future__ import annotations

import gc
import itertools
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import dramatiq
import pytest

from jobsvc.broker import JobBroker
from jobsvc.model.job import ErrorCategory, Progress
from jobsvc.model.jsontext import dump
from jobsvc.store.store import Store
from jobsvc.worker.children import ChildProcess, ForkServer
from jobsvc.worker.execution import Ended, Handlers, Task
from jobsvc.worker.isolation import ProcessRunner, Runner, ThreadRunner, Why
from tests.waiting import until
from tests.worker.rig import alive

_tokens = itertools.count(1)


class Ear:
    """Hears what handlers say."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.reports: list[Progress] = []

    def on_progress(self, task: Task, progress: Progress) -> None:
        self.reports.append(progress)

    def on_log(self, task: Task, level: str, text: str, time_ms: int) -> None:
        self.lines.append(text)


def task(*steps: list[Any], job_type: str = "test.do") -> Task:
    return Task(
        job_id=f"j{next(_tokens)}",
        token=str(next(_tokens)),
        type=job_type,
        queue="q",
        attempt=1,
        max_attempts=1,
        batch_id="",
        arguments=dump({"steps": list(steps)}),
        result_limit_bytes=300_000,
    )


class Attempt:
    """An attempt in a thread of its own, as a slot would run it."""

    def __init__(self, runner: Runner, given: Task) -> None:
        self.ear = Ear()
        self.ended: Ended | None = None
        self.task = given
        self._runner = runner
        runner.expect(given)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.ended = self._runner.run(self.task, self.ear)

    def end(self) -> Ended:
        self._thread.join(20)
        assert self.ended is not None
        return self.ended


def category(ended: Ended) -> str:
    return "completed" if ended.error is None else ended.error.category.value


class SlowServer:
    """A fork server whose children take as long as the test wants to get ready.

    Args:
        server: The real one.
    """

    def __init__(self, server: ForkServer) -> None:
        self.recycle = server.recycle
        self._server = server
        self.started: list[ChildProcess] = []
        self.gate = threading.Event()
        self.gate.set()
        self.asked = threading.Event()
        self.broken = False

    def start(self) -> ChildProcess:
        self.asked.set()
        assert self.gate.wait(20)
        if self.broken:
            raise OSError("no more processes")
        self.started.append(self._server.start())
        return self.started[-1]


@pytest.fixture(scope="module")
def fork_server() -> ForkServer:
    return ForkServer(["tests.handlers"])


@pytest.fixture
def server(fork_server: ForkServer) -> SlowServer:
    return SlowServer(fork_server)


@pytest.fixture
def runner(server: SlowServer) -> Iterator[ProcessRunner]:
    made = ProcessRunner(server)  # type: ignore[arg-type]
    yield made
    server.gate.set()
    made.close()


def next_is_fine(runner: Runner) -> None:
    """Whatever was before, the next attempts run."""
    for number in range(3):
        follower = task(["ok", number])
        runner.expect(follower)
        assert runner.run(follower, Ear()).result == str(number)


@pytest.mark.parametrize("why", ["cancel", "timeout"])
def test_kill_while_the_child_starts_is_not_forgotten(
    runner: ProcessRunner, server: SlowServer, why: Why
) -> None:
    server.gate.clear()
    attempt = Attempt(runner, task(["block", 600]))
    assert server.asked.wait(20)

    assert runner.kill(attempt.task, why)
    server.gate.set()

    assert category(attempt.end()) == {"cancel": "cancelled", "timeout": "timeout"}[why]
    assert runner.started_at == 0
    next_is_fine(runner)


def test_request_to_stop_while_the_child_starts_is_not_forgotten(
    runner: ProcessRunner, server: SlowServer
) -> None:
    server.gate.clear()
    attempt = Attempt(runner, task(["log", "ran"], ["block", 600]))
    assert server.asked.wait(20)

    runner.ask_to_stop(attempt.task, "cancel")
    server.gate.set()

    assert category(attempt.end()) == "cancelled"
    assert attempt.ear.lines == []
    next_is_fine(runner)


def test_request_to_stop_before_the_attempt_begins_keeps_it_from_running(runner: ProcessRunner) -> None:
    given = task(["log", "ran"])
    runner.expect(given)
    runner.ask_to_stop(given, "cancel")
    ear = Ear()

    assert category(runner.run(given, ear)) == "cancelled"
    assert ear.lines == []
    next_is_fine(runner)


def test_kill_before_the_attempt_begins_keeps_it_from_running(runner: ProcessRunner) -> None:
    next_is_fine(runner)
    given = task(["log", "ran"])
    runner.expect(given)
    assert runner.kill(given, "cancel")
    ear = Ear()

    assert category(runner.run(given, ear)) == "cancelled"
    assert ear.lines == []
    next_is_fine(runner)


def test_stop_between_two_attempts_hits_neither(runner: ProcessRunner) -> None:
    first, second = task(["ok", 1]), task(["sleep", 0.2], ["ok", 2])
    runner.expect(first)
    assert runner.run(first, Ear()).result == "1"

    runner.ask_to_stop(first, "cancel")
    assert not runner.kill(first, "cancel")
    attempt = Attempt(runner, second)
    until(lambda: runner.started_at)
    runner.ask_to_stop(first, "cancel")
    assert not runner.kill(first, "cancel")

    assert attempt.end().result == "2"


def test_kills_at_any_moment_hit_their_own_attempt_only(runner: ProcessRunner) -> None:
    """Attempts that end just when they are killed: killed or completed, and the next one never notices."""
    outcomes = []
    for number in range(40):
        attempt = Attempt(runner, task(["block", 0.01], ["ok", number]))
        deadline = time.monotonic() + 20
        while not runner.started_at and attempt.ended is None and time.monotonic() < deadline:
            pass
        time.sleep(number * 0.0005)  # the moment itself is what varies
        runner.kill(attempt.task, "cancel")
        outcomes.append(category(attempt.end()))
        follower = task(["ok", "fine"])
        runner.expect(follower)
        assert runner.run(follower, Ear()).result == '"fine"'

    assert set(outcomes) <= {"cancelled", "completed"}
    assert "cancelled" in outcomes


def test_large_arguments_and_a_request_to_stop_do_not_mix(runner: ProcessRunner) -> None:
    """The task is larger than the pipe takes at once; the request must wait until it is through."""
    runner.warm_up()
    for number in range(20):
        given = task(["ok", "x" * 250_000], ["sleep", 20])
        attempt = Attempt(runner, given)
        if number % 2:
            until(lambda: runner.started_at, every_s=0.0001)
        until(lambda: runner.ask_to_stop(given, "cancel") or attempt.ended)  # noqa: B023

        assert category(attempt.end()) == "cancelled"
    next_is_fine(runner)


def test_child_that_cannot_be_started_is_an_error_of_ours(runner: ProcessRunner, server: SlowServer) -> None:
    server.broken = True
    given = task(["ok"])
    runner.expect(given)

    ended = runner.run(given, Ear())

    assert ended.error is not None
    assert (ended.error.category, ended.error.retryable) == (ErrorCategory.INTERNAL, True)
    assert "no process could be started for the handler: no more processes" in ended.error.message
    server.broken = False
    next_is_fine(runner)


def test_runner_that_was_given_up_starts_nothing_more(runner: ProcessRunner, server: SlowServer) -> None:
    attempt = Attempt(runner, task(["about"], ["block", 600]))
    until(lambda: runner.started_at)

    runner.give_up(5)

    assert category(attempt.end()) == "application"
    assert len(server.started) == 1
    until(lambda: not alive(server.started[0]._process.pid or 0))


def test_statuses_are_right_although_children_die_and_start_all_the_time(fork_server: ForkServer) -> None:
    """Whoever starts a child looks after all of them, and must not take the status that another thread waits for."""
    wrong: list[str] = []

    def work(status: int) -> None:
        runner = ProcessRunner(fork_server)
        for _ in range(8):
            given = task(["exit", status])
            runner.expect(given)
            error = runner.run(given, Ear()).error
            if error is None or f"with status {status}," not in error.message:
                wrong.append(str(error))
        runner.close()

    threads = [threading.Thread(target=work, args=(status,)) for status in (3, 4, 5, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


# -- threads -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def handlers() -> Handlers:
    broker = JobBroker(Store("redis://127.0.0.1:1"))

    def run(name: str) -> str:
        return FUNCTIONS[name]()

    dramatiq.actor(run, actor_name="run", queue_name="q", broker=broker)
    found = Handlers(broker)
    assert found.find("run")  # which a worker does before it runs it
    return found


FUNCTIONS: dict[str, Callable[[], str]] = {}


def calling(function: Callable[[], str]) -> Task:
    FUNCTIONS["f"] = function
    made = task(job_type="run")
    return Task(**{name: getattr(made, name) for name in Task.__slots__} | {"arguments": '{"name": "f"}'})


def busy(seconds: float) -> None:
    """Stay in Python for that long: an exception raised from outside arrives here."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pass


@pytest.fixture
def quick_turns() -> Iterator[None]:
    """Let threads take turns far more often than usual, and nothing run beside them that might get the exception."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(0.00001)
    gc.disable()
    yield
    gc.enable()
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("quick_turns")
def test_exception_meant_for_a_thread_never_leaves_the_attempt(handlers: Handlers) -> None:
    """It is raised at any moment around the end of the attempt: it ends that attempt, or nothing."""
    runner, moments = ThreadRunner(handlers), random.Random(1)
    outcomes = set()
    for number in range(500):
        attempt = Attempt(runner, calling(lambda: busy(0.0005) or "done"))  # type: ignore[func-returns-value]
        until(lambda: runner.started_at or attempt.ended, every_s=0)  # noqa: B023
        busy(moments.uniform(0, 0.0009))
        runner.kill(attempt.task, "cancel" if number % 2 else "timeout")
        outcomes.add(category(attempt.end()))

    assert outcomes <= {"completed", "cancelled", "timeout"}


def test_exception_that_arrives_after_the_end_is_taken_back(
    handlers: Handlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = ThreadRunner(handlers)
    given = calling(lambda: "done")
    real = handlers.run

    def run(given: Task, voice: Any) -> Ended:
        ended = real(given, voice)
        runner.kill(given, "cancel")  # by the keeper, just when the handler has returned
        return ended

    monkeypatch.setattr(handlers, "run", run)
    runner.expect(given)

    ended = runner.run(given, Ear())
    busy(0.01)  # nothing comes

    assert category(ended) in ("completed", "cancelled")


def test_thread_that_was_stopped_before_it_began_does_not_run(handlers: Handlers) -> None:
    runner = ThreadRunner(handlers)
    ran: list[int] = []
    for stop in (runner.ask_to_stop, runner.kill):
        given = calling(lambda: str(ran.append(1)))
        runner.expect(given)
        stop(given, "cancel")

        assert category(runner.run(given, Ear())) == "cancelled"

    assert ran == []
    runner.expect(given)
    assert category(runner.run(given, Ear())) == "completed"


def test_stop_of_an_older_task_does_not_reach_the_thread(handlers: Handlers) -> None:
    runner = ThreadRunner(handlers)
    old = calling(lambda: "old")
    runner.expect(old)
    runner.run(old, Ear())

    new = calling(lambda: busy(0.05) or "new")  # type: ignore[func-returns-value]
    attempt = Attempt(runner, new)
    until(lambda: runner.started_at, every_s=0)
    runner.ask_to_stop(old, "cancel")
    runner.kill(old, "cancel")

    assert attempt.end().result == '"new"'
    assert runner.why == ""
