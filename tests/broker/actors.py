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


@dramatiq.actor(queue_name="plain", time_limit=300, max_retries=0, priority=-5)
def slow() -> None:
    import time

    while True:
        time.sleep(0.01)


@dramatiq.actor(queue_name="plain", actor_name="plain.sender")
def sender(numbers: list[int]) -> list[str]:
    return [add.send(number).message_id for number in numbers]
