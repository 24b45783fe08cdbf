"""Handlers with retry policies: they raise what a job tells them to."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from jobsvc import ApplicationError, Fail, Retry, RetryPolicy, Snooze, current_job, handler

POLICY = RetryPolicy(
    max_attempts=6,
    delays=[0, 0.05, 600],
    rules={"INVALID_CREDENTIALS": False, "RATE_LIMITED": 300, "NETWORK_ERROR": True, "TIMEOUT": False},
    give_up_on=(LookupError,),
)


class Throttled(Exception):
    """An exception of a library, which knows a code and nothing of jobsvc."""

    code = "RATE_LIMITED"


class Numbered(Exception):
    """One whose code is none of ours."""

    code = 429


class Terse(Retry):
    """One of ours that does not call its base class."""

    def __init__(self) -> None:
        Exception.__init__(self, "terse")


class Rude(Exception):
    """One that does not even say its code."""

    @property
    def code(self) -> str:
        raise RuntimeError("no")


def _raise(what: str) -> None:
    known: dict[str, BaseException] = {
        "throttled": Throttled("slow down"),
        "numbered": Numbered("slow down"),
        "rude": Rude("hm"),
        "terse": Terse(),
        "key": KeyError("x"),
        "value": ValueError("x"),
        "connection": ConnectionError("x"),
        "unicode": UnicodeDecodeError("utf-8", b"", 0, 1, "x"),
        "fail": Fail("never", code="NETWORK_ERROR", details={"field": "user", "tried": [1, 2]}),
        "retry": Retry(after=200, code="RATE_LIMITED"),
        "retry-by-policy": Retry(code="RATE_LIMITED"),
        "details": ApplicationError("x", details=object()),
        "large": ApplicationError("x", details="x" * 10_000),
    }
    raise known.get(what) or ApplicationError("told to", code=what)


@handler("retries.policy", queue="retries", retry=POLICY)
def policy(what: str) -> None:
    """Raise under a policy."""
    _raise(what)


@handler("retries.slow", queue="retries", timeout=0.2, retry={"rules": {"TIMEOUT": False}})
def slow(what: str) -> None:
    """Use up the time."""
    while True:
        current_job().check()


@handler(
    "retries.only",
    queue="retries",
    isolation="thread",
    retry={"retry_on": (OSError, ValueError), "backoff": 600},
)
def only(what: str) -> None:
    """Raise, where only some exceptions are worth another attempt."""
    _raise(what)


@handler("retries.snooze", queue="retries", max_attempts=1)
def snooze(path: str) -> int:
    """Be called later as long as a file is not there."""
    if not Path(path).exists():
        raise Snooze(0.05, "waiting for the file")
    return current_job().attempt


@handler("retries.snooze_in_thread", queue="retries", isolation="thread")
async def snooze_in_thread(path: str) -> int:
    """The same as a coroutine, in a thread of the worker."""
    if not Path(path).exists():
        raise Snooze(0.05)
    return current_job().attempt


@handler("retries.poison", queue="retries", isolation="thread", retry=RetryPolicy(max_lost_attempts=1))
def poison(runs: str) -> None:
    """Kill the worker."""
    with Path(runs).open("a") as file:
        file.write("run\n")
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()
