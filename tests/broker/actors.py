"""Plain Dramatiq actors, as they were before jobsvc, and one that uses everything."""

from __future__ import annotations

from typing import Any

import dramatiq

from jobsvc.broker import current_broker

current_broker()  # a broker that does not connect yet, unless somebody has set one


@dramatiq.actor(queue_name="plain")
def add(a, b=2):  # type: ignore[no-untyped-def]  # as many real actors are
    return a + b


@dramatiq.actor(queue_name="plain")
def everything(
    first: int, /, second: str, *rest: float, flag: bool = False, **options: Any
) -> dict[str, Any]:
    return {"first": first, "second": second, "rest": list(rest), "flag": flag, "options": options}


@dramatiq.actor(queue_name="plain", max_retries=1, min_backoff=1, max_backoff=2)
def breaks() -> None:
    raise RuntimeError("broken")


@dramatiq.actor(queue_name="plain", max_retries=5, min_backoff=1, throws=(KeyError, ValueError))
def throws() -> None:
    raise KeyError("expected")


@dramatiq.actor(queue_name="plain", max_retries=5, min_backoff=1, throws=LookupError)
def throws_derived() -> None:
    raise KeyError("a LookupError")


def _only_twice(retries_so_far: int, exception: BaseException) -> bool:
    return retries_so_far < 2 and isinstance(exception, ValueError)


@dramatiq.actor(queue_name="plain", max_retries=0, min_backoff=1, retry_when=_only_twice)
def picky(kind: str) -> None:
    raise {"value": ValueError, "key": KeyError}[kind]("x")


@dramatiq.actor(queue_name="plain", max_retries=None, min_backoff=1, max_backoff=1)
def tireless(path: str, times: int) -> int:
    from pathlib import Path

    runs = Path(path)
    runs.write_text(runs.read_text() + "x" if runs.exists() else "x")
    if len(runs.read_text()) < times:
        raise RuntimeError("again")
    return times


@dramatiq.actor(queue_name="plain", max_retries=1)
def asks() -> None:
    raise dramatiq.errors.Retry("in a moment", delay=123_000)


@dramatiq.actor(queue_name="plain", time_limit=300, max_retries=0, priority=-5)
def slow() -> None:
    import time

    while True:
        time.sleep(0.01)


@dramatiq.actor(queue_name="plain", actor_name="plain.sender")
def sender(numbers: list[int]) -> list[str]:
    return [add.send(number).message_id for number in numbers]
