"""A handler that does what a test tells it to: ``test.do`` runs steps, each a word and what belongs to it.

``client.submit("test.do", {"steps": [["log", "hello"], ["sleep", 0.5], ["ok", 42]]})``; the result is the value of the
last step that has one. ``test.do_in_thread`` is the same in a thread of its worker, ``test.do_async`` as a coroutine.
"""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobsvc import Cancelled, Fail, Retry, current_job, handler, track

LOOK_EVERY_S = 0.01


def _ok(value: Any = None) -> Any:
    """Be content, with this result."""
    return value


def _fail(message: str = "told to fail", until_attempt: int = 1_000) -> None:
    """Raise, in attempts before this one."""
    if current_job().attempt < until_attempt:
        raise ValueError(message)


def _fail_unless(path: str) -> str:
    """Raise as long as a file is not there."""
    if not Path(path).exists():
        raise ValueError("not there")
    return "there"


def _fail_for_good(message: str = "told to give up", code: str = "GAVE_UP") -> None:
    raise Fail(message, code=code)


def _retry(after_s: float, until_attempt: int = 1_000) -> None:
    """Ask to be tried again, in attempts before this one."""
    if current_job().attempt < until_attempt:
        raise Retry(after_s, "not yet")


def _raise_surrogate() -> None:
    """Raise with a text that UTF-8 cannot carry."""
    raise ValueError("half a pair: \ud83d")


def _raise_mute() -> None:
    """Raise something that cannot even say what it is."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    raise Mute


def _sleep(seconds: float) -> None:
    """Sleep with checkpoints."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        current_job().check()
        time.sleep(LOOK_EVERY_S)


def _block(seconds: float) -> None:
    """Sleep in one call, without checkpoints."""
    time.sleep(seconds)


def _spin() -> None:
    """Loop in C for ever, holding the interpreter's lock: no thread runs, no signal is heard."""
    sum(itertools.repeat(0, 10**15))


def _stubborn(seconds: float) -> None:
    """Work on whatever anybody says, for that long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            _sleep(0.05)
        except (Cancelled, BaseException):
            continue


def _until_cancelled() -> None:
    """Wait until somebody says stop, and go on."""
    while not current_job().cancelled:
        time.sleep(LOOK_EVERY_S)


def _block_until_attempt(attempt: int) -> None:
    """Hang, in attempts before this one."""
    if current_job().attempt < attempt:
        time.sleep(600)


def _leave() -> None:
    sys.exit("told to leave")


def _crash() -> None:
    """Violate the memory."""
    ctypes.string_at(0)


def _exit(status: int) -> None:
    os._exit(status)


def _signal(name: str) -> None:
    os.kill(os.getpid(), signal.Signals[name])
    signal.pause()


def _progress(seconds: float) -> None:
    """Report ten times a second, from 0 to 100 percent."""
    job, started_at = current_job(), time.monotonic()
    while (spent := time.monotonic() - started_at) < seconds:
        job.progress(percent=100 * spent / seconds, step="working")
        time.sleep(0.1)
    job.progress(percent=100)


def _report(values: dict[str, Any]) -> None:
    """Report progress once."""
    current_job().progress(**values)


def _report_often(times: int) -> None:
    """Report as fast as possible."""
    for done in range(1, times + 1):
        current_job().progress(completed=done, total=times, message=f"number {done}")


def _track(count: int, each_s: float = 0.0) -> int:
    done = 0
    for _ in track(range(count), unit="items", step="tracking"):
        time.sleep(each_s)
        done += 1
    return done


def _log(text: str, level: Any = "info") -> None:
    current_job().log(text, level)


def _logs(count: int) -> None:
    """Write that many lines as fast as possible: "line 1", "line 2" ..."""
    for number in range(1, count + 1):
        current_job().log(f"line {number}")


def _haunt() -> None:
    """Leave a thread behind that speaks, and looks whether to stop, after the job has ended."""
    job = current_job()

    def speak() -> None:
        while True:
            job.progress(message="from the grave")
            job.log("from the grave")

    for _ in range(3):
        threading.Thread(target=speak, daemon=True).start()


def _look_in_threads(seconds: float) -> None:
    """Look whether to stop from many threads at once."""
    job, deadline = current_job(), time.monotonic() + seconds

    def look() -> None:
        while time.monotonic() < deadline and not job.cancelled:
            pass

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    job.check()


def _note(path: str, text: str = "ran") -> None:
    """Append a line to a file: what, which job, which attempt, which process."""
    with Path(path).open("a") as file:
        file.write(f"{text} {current_job().id} {current_job().attempt} {os.getpid()}\n")


def _stamp(path: str, text: str) -> None:
    """Append a line to a file: what, and when, in nanoseconds of the clock that all processes share."""
    with Path(path).open("a") as file:
        file.write(f"{text} {time.monotonic_ns()}\n")


def _await(path: str) -> None:
    """Wait until a file is there, with checkpoints."""
    while not Path(path).exists():
        current_job().check()
        time.sleep(LOOK_EVERY_S)


def _await_gate_of_attempt(path: str) -> None:
    """Wait, without checkpoints, for a file whose name ends with the number of the attempt."""
    _await_deaf(f"{path}.{current_job().attempt}")


def _kill_worker() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _await_deaf(path: str) -> None:
    """Wait until a file is there, without checkpoints."""
    while not Path(path).exists():
        time.sleep(LOOK_EVERY_S)


def _spawn(path: str) -> None:
    """Fork a process that lives long, and note its id in a file."""
    pid = os.fork()
    if pid == 0:
        time.sleep(600)
        os._exit(0)
    Path(path).write_text(str(pid))


def _pool(numbers: list[int]) -> list[int]:
    """Work in processes of one's own."""
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(abs, numbers)


def _environment(name: str) -> str | None:
    return os.environ.get(name)


def _result(kind: str) -> Any:
    """Return something that JSON or the limit refuses."""
    return {
        "nan": float("nan"),
        "object": object(),
        "set": {1, 2},
        "large": "x" * 300_000,
        "surrogate": "\ud83d",
        "deep": _nested(100_000),
    }[kind]


def _nested(depth: int) -> Any:
    value: Any = None
    for _ in range(depth):
        value = [value]
    return value


def _about(_: Any = None) -> dict[str, Any]:
    """Say what the handler can know of its job."""
    job = current_job()
    return {
        "id": job.id,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "batch_id": job.batch_id,
        "job_type": job.job_type,
        "pid": os.getpid(),
        "cancelled": job.cancelled,
    }


STEPS: dict[str, Callable[..., Any]] = {
    function.__name__.removeprefix("_"): function
    for function in (
        _ok,
        _fail,
        _fail_unless,
        _fail_for_good,
        _retry,
        _raise_surrogate,
        _raise_mute,
        _sleep,
        _block,
        _spin,
        _stubborn,
        _until_cancelled,
        _block_until_attempt,
        _leave,
        _crash,
        _exit,
        _signal,
        _progress,
        _report,
        _report_often,
        _track,
        _log,
        _logs,
        _haunt,
        _look_in_threads,
        _note,
        _stamp,
        _await,
        _await_deaf,
        _await_gate_of_attempt,
        _kill_worker,
        _spawn,
        _pool,
        _environment,
        _result,
        _about,
    )
}


def _run(steps: list[list[Any]]) -> Any:
    result = None
    for word, *values in steps:
        value = STEPS[word](*values)
        result = result if value is None else value
    return result


@handler("test.do", queue="test", max_attempts=3, timeout=120, backoff=0.05, max_backoff=0.2)
def do(steps: list[list[Any]]) -> Any:
    """Run steps in a process."""
    return _run(steps)


@handler("test.do_in_thread", queue="test", timeout=120, backoff=0.05, max_backoff=0.2, isolation="thread")
def do_in_thread(steps: list[list[Any]]) -> Any:
    """Run steps in a thread of the worker."""
    return _run(steps)


@handler("test.do_async", queue="test", timeout=120, backoff=0.05, max_backoff=0.2)
async def do_async(steps: list[list[Any]]) -> Any:
    """Run steps in a coroutine."""
    await asyncio.sleep(0)
    return _run(steps)
