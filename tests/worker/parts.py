"""Parts of a worker in this process, over the session's Valkey."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dramatiq

from jobsvc.broker import JobBroker
from jobsvc.model.job import NewJob
from jobsvc.store import calls
from jobsvc.store.store import Store
from jobsvc.worker.engine import Engine
from jobsvc.worker.execution import Handlers
from tests.store.bench import Bench
from tests.store.proxy import Proxy


def proxied_store(bench: Bench, proxy: Proxy) -> Store:
    return Store(proxy.url, bench.keys.tag.strip("{}").partition(":")[0])


@contextmanager
def engine(store: Store, slots: int = 2, **functions: Callable[[str], object]) -> Iterator[Engine]:
    broker = JobBroker(store)
    for name, function in functions.items():
        dramatiq.actor(function, actor_name=name, queue_name="q", broker=broker)
    made = Engine(
        store,
        worker_id="w",
        handlers=Handlers(broker),
        fork_server=None,
        queues=["q"],
        slots=slots,
        lease_ms=10_000,
        result_limit_bytes=10_000,
    )
    made.start()
    try:
        yield made
    finally:
        made.stop(2)


def submit(bench: Bench, job_type: str, count: int) -> list[str]:
    ids = [f"{job_type}-{number}" for number in range(count)]
    for job_id in ids:
        bench.run(
            calls.submit(NewJob(id=job_id, type=job_type, queue="q", arguments=f'{{"name":"{job_id}"}}'))
        )
    return ids
