"""Which job is next."""

from __future__ import annotations

from jobsvc.model.job import HEAD_START_MS, Priority
from jobsvc.model.lifecycle import Outcome
from jobsvc.store import calls
from tests.store.bench import Bench


def ids(bench: Bench, want: int = 100, **options: object) -> list[str]:
    return [claim.job_id for claim in bench.claim(want, **options)]


def test_jobs_of_one_priority_run_in_their_order(bench: Bench) -> None:
    names = [f"j{number}" for number in range(50)]
    bench.store.run_many([calls.submit(bench.new(name)) for name in names])

    assert ids(bench) == names


def test_higher_priorities_run_first(bench: Bench) -> None:
    for priority in (Priority.LOW, Priority.URGENT, Priority.MEDIUM, Priority.HIGH):
        bench.submit(priority.name, priority=priority)

    assert ids(bench) == ["URGENT", "HIGH", "MEDIUM", "LOW"]


def test_job_that_has_waited_long_comes_before_new_urgent_ones(bench: Bench) -> None:
    bench.submit("old", priority=Priority.LOW, delay_ms=1_000_000)
    bench.submit("older than the head start", priority=Priority.LOW, delay_ms=1_000_000)
    bench.submit("urgent", priority=Priority.URGENT)
    head_start = HEAD_START_MS[Priority.URGENT]
    bench.make_due("old", at_ms=bench.now_ms() - head_start + 60_000)
    bench.make_due("older than the head start", at_ms=bench.now_ms() - head_start - 60_000)

    assert ids(bench) == ["older than the head start", "urgent", "old"]


def test_delayed_job_takes_its_place_by_the_time_it_was_due(bench: Bench) -> None:
    now = bench.now_ms()
    bench.submit("second", delay_ms=50_000)
    bench.submit("first", delay_ms=60_000)
    bench.submit("third")
    bench.make_due("second", at_ms=now - 1_000)
    bench.make_due("first", at_ms=now - 2_000)

    assert ids(bench) == ["first", "second", "third"]


def test_released_job_goes_back_to_the_front(bench: Bench) -> None:
    for name in "abc":
        bench.submit(name)
    claim = bench.claim_one()

    bench.finish(claim, Outcome.RELEASED)

    assert ids(bench) == ["a", "b", "c"]


def test_batch_runs_in_the_order_of_its_items(bench: Bench) -> None:
    bench.submit("before")
    bench.batch("b", bench.items("b", 1_100))

    assert ids(bench, 2_000) == ["before", *(f"b.{index}" for index in range(1_100))]


def test_priorities_order_the_jobs_of_a_batch(bench: Bench) -> None:
    jobs = [bench.new(f"b.{index}", priority=priority) for index, priority in enumerate(Priority)]

    bench.batch("b", jobs)

    assert ids(bench) == ["b.3", "b.2", "b.1", "b.0"]


def test_queues_are_looked_at_in_the_given_order(bench: Bench) -> None:
    for queue in ("x", "y", "z"):
        bench.submit(f"{queue}1", queue=queue)
        bench.submit(f"{queue}2", queue=queue)

    assert ids(bench, 3, queues=("y", "x")) == ["y1", "y2", "x1"]
    assert ids(bench, 3, queues=("x", "y")) == ["x2"]
    assert bench.queue_keys("z")["ready"] == 2
