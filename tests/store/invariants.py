"""What must be true of the keys at every moment: one place per job, and nothing that disagrees."""

from __future__ import annotations

from typing import Any

PLACES = {
    "queued": "ready",
    "scheduled": "scheduled",
    "processing": "leases",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}
PARTS = ("arguments", "result", "progress", "spec", "cancel", "attempts", "logs")
LIVE = ("blocked", "scheduled", "queued", "processing")
BATCH_PARTS = ("staged", "named", "failures")


def check(redis: Any, tag: str) -> None:
    """Compare records, places, counts and parts of one shard with each other.

    Raises:
        AssertionError: Something disagrees; the message has all of it.
    """
    keys = {key.removeprefix(tag + ":") for key in redis.scan_iter(f"{tag}:*", count=1000)}
    jobs = {key.removeprefix("job:"): redis.hgetall(f"{tag}:{key}") for key in keys if key.startswith("job:")}
    batches = {
        key.removeprefix("batch:"): redis.hgetall(f"{tag}:{key}") for key in keys if key.startswith("batch:")
    }
    problems = [
        *_places(redis, tag, jobs, batches),
        *_counts(jobs, batches),
        *_owners(keys, jobs, batches),
    ]
    assert not problems, "\n".join(problems)


def _staged(job: dict[str, str], batches: dict[str, dict[str, str]]) -> bool:
    return "staged" in batches.get(job.get("batch", ""), {})


def _places(
    redis: Any, tag: str, jobs: dict[str, dict[str, str]], batches: dict[str, dict[str, str]]
) -> list[str]:
    found: dict[str, list[tuple[str, str]]] = {}
    for queue in redis.smembers(f"{tag}:queues"):
        for place in PLACES.values():
            for job_id in redis.zrange(f"{tag}:queue:{queue}:{place}", 0, -1):
                found.setdefault(job_id, []).append((queue, place))
    problems = []
    for queue in redis.smembers(f"{tag}:queues"):
        for job_id in redis.zrange(f"{tag}:queue:{queue}:deadlines", 0, -1):
            job = jobs.get(job_id, {})
            if job.get("state") not in ("queued", "scheduled") or "expire_ms" not in job:
                problems.append(f"{job_id} has a start deadline in {queue} and does not wait")
    problems += [
        f"{job_id} is in {places} and has no record" for job_id, places in found.items() if job_id not in jobs
    ]
    for job_id, job in jobs.items():
        wanted = [] if _staged(job, batches) else [(job["queue"], PLACES[job["state"]])]
        if found.get(job_id, []) != wanted:
            problems.append(f"{job_id} is in {found.get(job_id, [])} and not in {wanted}")
        if job["state"] == "processing" and "token" not in job:
            problems.append(f"{job_id} is processing without a token")
    return problems


def _counts(jobs: dict[str, dict[str, str]], batches: dict[str, dict[str, str]]) -> list[str]:
    problems = []
    for batch_id, batch in batches.items():
        if "staged" in batch:
            continue
        states = [job["state"] for job in jobs.values() if job.get("batch") == batch_id]
        for state in PLACES:
            # ended jobs may have been purged while the batch still counts them
            have, count = states.count(state), int(batch.get(state, 0))
            if have != count if state in LIVE else have > count:
                problems.append(f"{batch_id} says {count} {state} and has {have}")
        exact = {"open": sum(states.count(state) for state in LIVE), "kept": len(states)}
        problems += [
            f"{batch_id}.{name} is {batch[name]} and must be {value}"
            for name, value in exact.items()
            if int(batch[name]) != value
        ]
        if int(batch["total"]) != sum(int(batch.get(state, 0)) for state in PLACES):
            problems.append(f"{batch_id} has counts that do not add up: {batch}")
        if ("end_ms" in batch) != (exact["open"] == 0):
            problems.append(f"{batch_id} has {exact['open']} open jobs and end_ms {batch.get('end_ms')}")
    return problems


def _owners(keys: set[str], jobs: dict[str, dict[str, str]], batches: dict[str, dict[str, str]]) -> list[str]:
    problems = [f"{job_id} has no arguments" for job_id in jobs if f"arguments:{job_id}" not in keys]
    for key in keys:
        kind, _, owner = key.partition(":")
        if kind in PARTS and owner not in jobs:
            problems.append(f"{key} has no owner")
        if kind.startswith("batch-") and owner.partition("/")[0] not in batches:
            problems.append(f"{key} has no owner")
    return problems
