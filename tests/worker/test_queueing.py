"""Who gets which job, and when."""

from __future__ import annotations

import os
import signal
import time

from jobsvc.model.job import Priority
from jobsvc.model.lifecycle import JobState
from jobsvc.store import calls
from tests.waiting import until
from tests.worker.rig import Rig


def starts(rig: Rig, ids: list[str]) -> list[int]:
    return [rig.job(job_id).start_ms for job_id in ids]


def test_priorities_order_what_waits_for_a_busy_worker(rig: Rig) -> None:
    rig.worker(threads=1)
    rig.submit(["note", rig.path("runs")], ["await", rig.path("gate")])
    until(lambda: rig.notes("runs"))
    order = [Priority.LOW, Priority.URGENT, Priority.MEDIUM, Priority.HIGH] * 3
    ids = [
        rig.submit(["note", rig.path("order")], id=f"{p.name}-{n}", priority=p) for n, p in enumerate(order)
    ]

    rig.open_gate("gate")

    for job_id in ids:
        rig.wait(job_id)
    ran = [words[1].partition("-")[0] for words in rig.notes("order")]
    assert ran == ["URGENT"] * 3 + ["HIGH"] * 3 + ["MEDIUM"] * 3 + ["LOW"] * 3


def test_as_many_jobs_as_there_are_slots_start_together(rig: Rig) -> None:
    for _ in range(2):
        rig.worker(threads=8)
    for _ in range(16):  # let every slot have its warm child
        rig.submit(["sleep", 0.2])
    until(lambda: rig.store.run(calls.counts(["test"]))[1][0].completed == 16)

    ids = [rig.submit(["await", rig.path("gate")]) for _ in range(16)]
    extra = [rig.submit(["ok"]) for _ in range(3)]
    until(lambda: all(rig.job(job_id).state is JobState.PROCESSING for job_id in ids))

    # nobody holds more than it can run
    assert [rig.job(job_id).state for job_id in extra] == [JobState.QUEUED] * 3
    first = starts(rig, ids)
    assert max(first) - min(first) < 10_000
    rig.open_gate("gate")
    for job_id in extra:
        rig.wait(job_id)


def test_delayed_job_starts_when_it_is_due(shared: Rig) -> None:
    late = []
    for delay_ms in (30, 150, 400, 700):
        job = shared.wait(shared.submit(["ok"], delay_ms=delay_ms))
        late.append(job.start_ms - job.due_ms)

    assert min(late) >= 0
    assert sorted(late)[1] < 100  # half of them on time, however noisy the machine is
    assert max(late) < 10_000


def test_jobs_due_at_one_instant_start_together(shared: Rig) -> None:
    at = shared.store.run(calls.clock()) + 500
    ids = [shared.submit(["ok"], not_before_ms=at) for _ in range(40)]

    jobs = [shared.wait(job_id) for job_id in ids]

    assert all(job.start_ms >= at for job in jobs)
    assert max(job.start_ms for job in jobs) - at < 3_000


def test_earlier_job_wakes_a_worker_that_waits_for_a_later_one(shared: Rig) -> None:
    later = shared.submit(["ok"], delay_ms=60_000)
    sooner = shared.submit(["ok"], delay_ms=100)

    job = shared.wait(sooner)

    assert job.start_ms - job.due_ms < 10_000
    assert shared.cancel(later) == ["cancelled"]


def test_busy_worker_swallows_no_marker(rig: Rig) -> None:
    """Each job that is submitted while one worker is busy starts at once on the idle one."""
    busy = rig.worker(threads=1)
    rig.submit(["note", rig.path("runs")], ["await", rig.path("gate")])
    until(lambda: rig.notes("runs"))
    rig.worker(threads=1)

    late = []
    for _ in range(30):
        job = rig.wait(rig.submit(["ok"]))
        assert str(busy.pid) not in job.worker_id
        late.append(job.start_ms - job.create_ms)

    assert sorted(late)[15] < 100
    assert max(late) < 10_000
    rig.open_gate("gate")


def test_worker_that_was_killed_while_it_waited_keeps_no_marker(rig: Rig) -> None:
    doomed = rig.worker(threads=1)
    rig.worker(threads=1)
    os.kill(doomed.pid, signal.SIGKILL)
    doomed.popen.wait()

    for _ in range(5):
        job = rig.wait(rig.submit(["ok"]))
        assert job.start_ms - job.create_ms < 10_000


def test_long_job_holds_no_others(rig: Rig) -> None:
    """A worker with one slot takes short jobs along, meets a long one, and gives the rest to the other worker."""
    rig.worker(threads=1)
    for _ in range(200):
        rig.submit(["ok"], job_type="test.do_in_thread")
    rig.submit(["note", rig.path("long")], ["await", rig.path("gate")], job_type="test.do_in_thread")
    rest = [rig.submit(["ok", number], job_type="test.do_in_thread") for number in range(40)]
    until(lambda: rig.notes("long"))

    rig.worker(threads=1)

    assert [rig.result(job_id) for job_id in rest] == list(range(40))
    assert {rig.job(job_id).attempt for job_id in rest} == {1}
    counts = rig.store.run(calls.counts(["test"]))[1][0]
    assert (counts.completed, counts.processing) == (
        240,
        1,
    )  # also those that ended just before the long one began
    rig.open_gate("gate")


def test_queues_of_one_worker_take_turns(rig: Rig) -> None:
    rig.worker(threads=1, queues="a,b")
    rig.submit(["note", rig.path("runs")], ["await", rig.path("gate")], queue="a")
    until(lambda: rig.notes("runs"))
    for number in range(6):
        for queue in ("a", "b"):
            rig.submit(["note", rig.path("order"), queue], queue=queue, id=f"{queue}{number}")

    rig.open_gate("gate")
    until(lambda: len(rig.notes("order")) == 12)

    order = [words[0] for words in rig.notes("order")]
    assert order[:8].count("a") in range(2, 7)


def test_queue_that_is_not_served_waits(rig: Rig) -> None:
    rig.worker(threads=1, queues="a")
    other = rig.submit(["ok"], queue="b")

    assert rig.run(["ok", 1], queue="a") == 1

    assert rig.job(other).state is JobState.QUEUED


def test_idle_worker_is_quiet(rig: Rig) -> None:
    """No polling: an idle worker asks Redis for its sweeps and leases, and little else."""
    rig.worker(threads=8)
    rig.run(["ok"])

    before = rig.redis.info("stats")["total_commands_processed"]
    began = time.monotonic()
    until(lambda: time.monotonic() - began > 1.5, every_s=0.1)

    spent = rig.redis.info("stats")["total_commands_processed"] - before
    assert spent < 400  # scripts count every command in them: a sweep is a dozen
