"""Calls about dead letters, and about removing jobs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobsvc.model.lifecycle import JobState
from jobsvc.store import records
from jobsvc.store.calls.call import Call, strings
from jobsvc.store.calls.reading import PLACES
from jobsvc.store.calls.upkeep import REQUEST_MEMORY_MS
from jobsvc.store.keys import Keys
from jobsvc.store.scripts import load


def retry(
    job_ids: Sequence[str], *, reset: bool = False, request_id: str = "", most: int = 0
) -> Call[list[str]]:
    """Queue failed jobs again, some hundreds at a time. Answers per job ``requeued``, ``skipped`` or ``missing``.

    Args:
        reset: Count their attempts from the beginning; otherwise each gets one more.
        request_id: Names what this is a part of: it queues no job twice, however often it is sent, and a job that it
            has queued is answered ``requeued`` again. Empty remembers nothing.
        most: Of all jobs of the request; the others are skipped. 0 is no limit.
    """
    words = ("1" if reset else "", request_id, most, REQUEST_MEMORY_MS, *job_ids)
    return Call(load("retry"), words, strings)


def retried_by(keys: Keys, request_id: str) -> Call[int]:
    """How many jobs a request has queued again so far."""
    return Call(None, ("GET", keys.part(request_id, "retrying")), lambda reply: int(reply or 0))


def remove(job_ids: Sequence[str], state: JobState, *, min_age_ms: int = 0) -> Call[int]:
    """Remove jobs that are in a state, some hundreds at a time; answers how many. Those that have moved on stay.

    Args:
        state: Any but processing.
        min_age_ms: Since they ended, or since they were submitted if they have not.
    """
    return Call(load("remove"), (state.value, min_age_ms, REQUEST_MEMORY_MS, *job_ids), sum)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed, as far as a filter asks.

    Attributes:
        error_type: Qualified name of the exception type; may be empty.
        error_code: The code that the handler gave; may be empty.
    """

    job_type: str
    error_type: str
    error_code: str


def failures(job_ids: Sequence[str]) -> Call[list[Failure | None]]:
    """Read what failed jobs failed with; ``None`` for those that have not failed, or not any more."""
    return Call(load("failures"), tuple(job_ids), lambda reply: [row and _failure(*row) for row in reply])


def _failure(job_type: str, attempt: str) -> Failure:
    error = records.load_attempt(attempt).error if attempt else None
    return Failure(job_type, error.type if error else "", error.code if error else "")


def oldest(
    keys: Keys, queue: str, state: JobState, *, after: float, until: float, skip: int, limit: int
) -> Call[list[tuple[str, float]]]:
    """Ids of a queue's jobs in one state with their scores, lowest first, out of a range of scores."""
    words = (
        "ZRANGE", keys.queue(queue, PLACES[state]), repr(after), repr(until), "BYSCORE", "LIMIT", skip, limit,
        "WITHSCORES",
    )  # fmt: skip

    def parse(reply: Sequence[str]) -> list[tuple[str, float]]:
        return [(job_id, float(score)) for job_id, score in zip(reply[::2], reply[1::2], strict=True)]

    return Call(None, words, parse)


def remembered_answer(keys: Keys, request_id: str) -> Call[dict[str, Any] | None]:
    """What a request that acted on dead letters was answered before."""
    words = ("GET", keys.part(request_id, "retried"))
    return Call(None, words, lambda reply: json.loads(reply) if reply else None)


def remember_answer(keys: Keys, request_id: str, answer: dict[str, Any]) -> Call[None]:
    """Keep the answer to a request for as long as request ids are remembered."""
    words = (
        "SET",
        keys.part(request_id, "retried"),
        json.dumps(answer),
        "PX",
        REQUEST_MEMORY_MS,
    )
    return Call(None, words, lambda _: None)
