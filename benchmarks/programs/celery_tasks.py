"""Celery with its Redis transport and its Redis results, at their defaults.

Runs in the peers' environment. ``python -m celery_tasks N`` queues N jobs.
"""

import os
import sys

from celery import Celery  # type: ignore[import-not-found]  # in the peers' environment

PAYLOAD = "x" * 200

app = Celery("celery_tasks", broker=os.environ["BENCH_REDIS_URL"], backend=os.environ["BENCH_RESULTS_URL"])
app.conf.broker_connection_retry_on_startup = True


@app.task(name="celery_tasks.noop")
def noop(payload: str) -> dict[str, int]:
    """Do nothing and return something."""
    return {"ok": 1}


if __name__ == "__main__":
    for _ in range(int(sys.argv[1])):
        noop.delay(PAYLOAD)
