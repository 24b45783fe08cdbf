"""Queues through the client: settings, pausing, and what is refused before any call."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest

from jobsvc_sdk import Client, Conflict, NotFound, ParamError, QueueFull
from jobsvc_sdk._queue_words import QueueInfo, queue_info, update_request
from tests.sdk.test_jobs import do


def name() -> str:
    return f"q-{uuid.uuid4().hex[:8]}"


def test_settings_are_changed_and_read(live: Client) -> None:
    queue = live.queue(name())

    first = queue.update(
        max_concurrency=3, rate="20/min", burst=2, timeout=timedelta(minutes=2), keep_failed_for=86_400
    )
    second = queue.update(max_concurrency=None, priority="high", max_attempts=5, backoff=0.5)

    assert (first.max_concurrency, first.rate, first.burst, first.timeout) == (
        3,
        "20/min",
        2,
        timedelta(minutes=2),
    )
    assert first.keep_for == {"failed": timedelta(days=1)}
    assert second == queue.settings()
    assert (second.max_concurrency, second.rate, second.priority) == (None, "20/min", "high")
    assert (second.max_attempts, second.backoff) == (5, timedelta(seconds=0.5))
    with pytest.raises(Conflict, match="read it again"):
        queue.update(etag=first.etag, max_waiting=3)


def test_pause_resume_and_drain(live: Client) -> None:
    queue = live.queue(name())
    queue.update(max_waiting=2)
    do(live, ["ok"], queue=queue.name, delay=3600)

    assert queue.pause("deploy").pause_reason == "deploy"
    [row] = [row for row in live.queues() if row.name == queue.name]
    assert row.paused
    assert queue.drain(timeout=5) == 0
    assert not queue.resume().paused


def test_full_queue_is_an_error_of_its_own(live: Client) -> None:
    queue = live.queue(name())
    queue.update(max_waiting=1)
    job = do(live, ["ok"], queue=queue.name, delay=3600)

    with pytest.raises(QueueFull, match="max_waiting"):
        do(live, ["ok"], queue=queue.name)
    with pytest.raises(QueueFull):
        live.map("test.do", [{"steps": []}], queue=queue.name)
    job.cancel()


def test_unknown_queue_is_not_found(live: Client) -> None:
    with pytest.raises(NotFound, match="no queue"):
        live.queue("never-heard-of").settings()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ({}, "name at least one setting"),
        ({"max_concurency": 3}, "no setting of a queue"),
        ({"max_concurrency": -1}, "whole number"),
        ({"max_concurrency": True}, "whole number"),
        ({"rate": "fast"}, "20/min"),
        ({"burst": 3}, "goes with rate"),
        ({"timeout": -1}, "more than 0"),
        ({"priority": "highest"}, "low, medium, high, urgent"),
    ],
)
def test_wrong_words_are_refused_before_any_call(words: dict[str, Any], problem: str) -> None:
    with pytest.raises(ParamError, match=problem):
        update_request("q", words)


def test_rate_is_shown_as_it_is_written() -> None:
    for text in ("20/min", "10/s", "5/30s", "1/day", "2.5/h"):
        assert queue_info(update_request("q", {"rate": text}).queue).rate == text
    assert queue_info(update_request("q", {"rate": None}).queue) == QueueInfo("q", keep_for={}, keep_count={})


def test_workers_are_listed_with_what_they_say_of_themselves(live: Client) -> None:
    [worker] = live.workers()

    assert worker.slots >= 1
    assert "test" in worker.queues
    assert worker.memory_bytes > 2**20
    assert worker.start_time is not None
    assert worker.id in repr(live.workers())
    assert "MiB" in live.workers()._repr_html_()


def test_unknown_worker_cannot_be_drained(live: Client) -> None:
    with pytest.raises(NotFound, match="no live worker"):
        live.drain_worker("nobody")
