"""Calls about what can be run, and by whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jobsvc.model.catalog import JobType, WorkerInfo
from jobsvc.store import records
from jobsvc.store.calls.call import Call, nothing
from jobsvc.store.calls.running import CLAIM_LANES
from jobsvc.store.keys import Keys

DRAIN_KEPT_S = 86_400

LIVE_WORKER_MS = 15_000
"""A worker whose last heartbeat is older than this counts as gone."""


def publish_types(keys: Keys, types: Iterable[JobType]) -> Call[None]:
    """Publish job types; those of the same name are replaced."""
    words = [word for job_type in types for word in (job_type.name, records.dump_type(job_type))]
    return Call(None, ("HSET", keys.types, *words), nothing)


def announce_catalog(keys: Keys) -> Call[None]:
    """Tell servers that job types or workers have changed."""
    return Call(None, ("PUBLISH", keys.catalog, "changed"), nothing)


def read_types(keys: Keys) -> Call[dict[str, JobType]]:
    """Read all published job types, by name."""

    def parse(reply: Sequence[str]) -> dict[str, JobType]:
        return {name: records.load_type(text) for name, text in sorted(records.pairs(reply).items())}

    return Call(None, ("HGETALL", keys.types), parse)


def worker_heartbeats(keys: Keys) -> Call[dict[str, int]]:
    """Last heartbeats of all workers, ms by worker id."""
    return Call(
        None,
        ("ZRANGE", keys.workers, 0, -1, "WITHSCORES"),
        lambda reply: {worker: int(float(score)) for worker, score in records.pairs(reply).items()},
    )


def read_workers(keys: Keys, heartbeats: dict[str, int]) -> Call[list[WorkerInfo]]:
    """What the given workers say of themselves; those that are long gone are left out."""

    def parse(reply: Sequence[str | None]) -> list[WorkerInfo]:
        found = zip(heartbeats.items(), reply, strict=True)
        return [records.load_worker(text, beat) for (_, beat), text in found if text]

    if not heartbeats:
        return Call(None, ("PING",), lambda _: [])  # to ask for no keys is an error
    return Call(None, ("MGET", *(keys.worker(worker_id) for worker_id in heartbeats)), parse)


def drain_worker(keys: Keys, worker_id: str, reason: str) -> list[Call[None]]:
    """Tell a worker to end: now if it hears, else with its next heartbeat."""
    return [
        Call(None, ("SET", keys.drain(worker_id), reason, "EX", DRAIN_KEPT_S), nothing),
        Call(None, ("PUBLISH", keys.control, f"drain {worker_id}"), nothing),
    ]


def forget_worker(keys: Keys, worker_id: str) -> list[Call[None]]:
    """A worker says goodbye."""
    lanes = (keys.claim(worker_id, lane) for lane in CLAIM_LANES)
    own = (keys.worker(worker_id), keys.drain(worker_id), *lanes)
    return [
        Call(None, ("ZREM", keys.workers, worker_id), nothing),
        Call(None, ("DEL", *own), nothing),
    ]


def forget_old_workers(keys: Keys, *, before_ms: int) -> Call[None]:
    """Drop workers that have not been heard of since an instant."""
    return Call(None, ("ZREMRANGEBYSCORE", keys.workers, "-inf", f"({before_ms}"), nothing)
