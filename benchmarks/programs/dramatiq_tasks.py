"""Stock Dramatiq: its Redis broker as it comes, which keeps neither states nor results.

Runs in the peers' environment. ``python dramatiq_tasks.py N`` queues N jobs.
"""

import os
import sys

import dramatiq
from dramatiq.brokers.redis import RedisBroker

PAYLOAD = "x" * 200

dramatiq.set_broker(RedisBroker(url=os.environ["BENCH_REDIS_URL"]))


@dramatiq.actor
def noop(payload: str) -> None:
    """Do nothing."""


if __name__ == "__main__":
    for _ in range(int(sys.argv[1])):
        noop.send(PAYLOAD)
