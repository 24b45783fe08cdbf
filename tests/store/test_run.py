"""Claims, leases and reports: the life of an attempt."""

from __future__ import annotations

from typing import Any

import pytest

from jobsvc.model.catalog import WorkerInfo
from jobsvc.model.job import ErrorCategory, JobError, Progress
from jobsvc.model.lifecycle import JobState, Outcome
from jobsvc.store import calls, records
from jobsvc.store.calls import Claim, Report
from tests.store.bench import Bench

WORKER = WorkerInfo(id="w1", hostname="h", pid=1, queues=("q",), types=("test.do",), slots=1, start_ms=1)
ERROR = JobError(ErrorCategory.APPLICATION, type="builtins.ValueError", message="bad", retryable=True)


def renew(bench: Bench, *held: tuple[str, str], lease_ms: int = 10_000) -> list[str]:
    return bench.run(calls.renew(WORKER, lease_ms=lease_ms, held=held)).jobs


def test_claim_starts_an_attempt_under_a_lease(bench: Bench) -> None:
    bench.submit("a", arguments='{"x":1}', max_attempts=5, timeout_ms=70, title="T")
    now = bench.now_ms()

    claim = bench.claim_one(lease_ms=30_000)

    assert (claim.job_id, claim.type, claim.queue, claim.arguments) == ("a", "test.do", "q", '{"x":1}')
    assert (claim.attempt, claim.lost_attempts, claim.max_attempts, claim.timeout_ms) == (1, 0, 5, 70)
    job = bench.job("a")
    assert (job.state, job.attempt, job.worker_id, job.version) == (JobState.PROCESSING, 1, "w1", 2)
    assert job.start_ms >= now
    expiry = bench.redis.zscore(bench.keys.queue("q", "leases"), "a")
    assert 30_000 <= expiry - now < 35_000


def test_claim_takes_no_more_than_wanted_and_passes_the_baton(bench: Bench) -> None:
    for name in "abc":
        bench.submit(name)
    bench.woken()

    assert len(bench.claim(2)) == 2
    assert bench.woken()
    assert len(bench.claim(2)) == 1
    assert not bench.woken()


def test_repeated_claim_gets_the_same_jobs(bench: Bench) -> None:
    for name in "abc":
        bench.submit(name)

    first = bench.claim(2, request="r")
    second = bench.claim(2, request="r")
    other = bench.claim(2, request="s")

    assert first == second
    assert [claim.job_id for claim in other] == ["c"]
    assert bench.job("a").attempt == 1


def test_requests_of_two_lanes_do_not_forget_each_other(bench: Bench) -> None:
    """The slot that waits for all others asks in a lane of its own: both answers may be lost at the same time."""
    for name in "ab":
        bench.submit(name)

    first = bench.claim(1, request="r")
    idle = bench.claim(1, request="s", lane="idle")

    assert [claim.job_id for claim in first + idle] == ["a", "b"]
    assert bench.claim(1, request="r") == first
    assert bench.claim(1, request="s", lane="idle") == idle


def test_repeated_claim_leaves_out_what_has_ended_meanwhile(bench: Bench) -> None:
    bench.submit("a")
    bench.submit("b")
    first = bench.claim(2, request="r")
    bench.finish(first[0])

    assert [claim.job_id for claim in bench.claim(2, request="r")] == ["b"]


def test_answer_that_was_lost_is_given_also_to_who_wants_no_more(bench: Bench) -> None:
    """A worker that stops after a lost answer must learn of its jobs, to give them back."""
    bench.submit("a")
    first = bench.claim(1, request="r")

    assert bench.claim(0, request="r") == first


def test_repeated_request_that_had_got_nothing_may_get_something(bench: Bench) -> None:
    assert bench.claim(1, request="r") == []
    bench.submit("a")

    assert [claim.job_id for claim in bench.claim(1, request="r")] == ["a"]


def test_report_and_claim_travel_together(bench: Bench) -> None:
    bench.submit("a")
    bench.submit("b")
    a = bench.claim_one()

    answer = bench.exchange(Report("a", a.token, Outcome.COMPLETED, 0, "42"), want=1)

    assert answer.replies == ["ok"]
    assert [claim.job_id for claim in answer.claims] == ["b"]
    assert bench.job("a").result == "42"


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome.COMPLETED, JobState.COMPLETED),
        (Outcome.FAILED, JobState.FAILED),
        (Outcome.CANCELLED, JobState.CANCELLED),
        (Outcome.RETRIED, JobState.SCHEDULED),
        (Outcome.SNOOZED, JobState.SCHEDULED),
        (Outcome.RELEASED, JobState.QUEUED),
    ],
)
def test_repeated_report_changes_nothing(bench: Bench, outcome: Outcome, state: JobState) -> None:
    (job,) = bench.items("b", 1)
    bench.batch("b", [job])
    claim = bench.claim_one()
    body = "1" if outcome is Outcome.COMPLETED else records.dump_error(ERROR)
    delay_ms = 60_000 if state is JobState.SCHEDULED else 0

    first = bench.finish(claim, outcome, body, delay_ms=delay_ms)
    before = (bench.job("b.0"), bench.read_batch("b"), bench.queue_keys())
    second = bench.finish(claim, outcome, body, delay_ms=delay_ms)

    assert (first, second) == ("ok", "already")
    assert (bench.job("b.0"), bench.read_batch("b"), bench.queue_keys()) == before
    assert before[0].state is state
    assert before[1].counts[state] == 1


def test_report_after_the_next_attempt_began_is_refused(bench: Bench) -> None:
    bench.submit("a")
    first = bench.claim_one()
    bench.finish(first, Outcome.RELEASED)
    second = bench.claim_one(worker="w2")

    assert bench.finish(first, body="old") == "lost"
    assert bench.job("a").state is JobState.PROCESSING
    assert bench.finish(second, body='"new"') == "ok"
    assert bench.job("a").result == '"new"'


def test_report_of_a_job_that_is_gone_is_refused(bench: Bench) -> None:
    assert bench.exchange(Report("never", "1", Outcome.COMPLETED, 0, "1")).replies == ["lost"]


def lose(bench: Bench) -> Claim:
    """A claim whose lease has ended and was taken back."""
    bench.submit("a")
    claim = bench.claim_one()
    bench.expire("a")
    assert bench.sweep().reaped == 1
    return claim


@pytest.mark.parametrize("taken_again", [False, True])
def test_late_writer_is_refused_everywhere(bench: Bench, taken_again: bool) -> None:
    late = lose(bench)
    if taken_again:
        bench.claim_one(worker="w2")
    before = bench.job("a")

    assert renew(bench, ("a", late.token)) == ["lost"]
    assert bench.run(calls.progress([("a", late.token, Progress(percent=1.0))])) == ["lost"]
    assert bench.run(calls.log("a", late.token, ['{"text":"late"}'], before=0)) == -1
    assert bench.run(calls.cancel_seen("a", late.token, "deliver")) is False
    for outcome in (Outcome.COMPLETED, Outcome.FAILED, Outcome.RETRIED, Outcome.RELEASED, Outcome.CANCELLED):
        assert bench.finish(late, outcome, "{}") == "lost"
    assert bench.job("a") == before
    assert bench.run(calls.read_logs(bench.keys, "a")) == []


def test_lost_attempt_is_counted_apart(bench: Bench) -> None:
    lose(bench)

    again = bench.claim_one(worker="w2")

    assert (again.attempt, again.lost_attempts) == (2, 1)
    job = bench.job("a")
    assert job.lost_attempts == 1
    assert [(attempt.number, attempt.outcome, attempt.worker_id) for attempt in job.attempts] == [
        (1, Outcome.LOST, "w1")
    ]


def test_retried_job_waits_and_keeps_its_error(bench: Bench) -> None:
    bench.submit("a")
    claim = bench.claim_one()
    now = bench.now_ms()

    bench.finish(claim, Outcome.RETRIED, records.dump_error(ERROR), delay_ms=30_000)

    job = bench.job("a")
    assert (job.state, job.error, job.attempt) == (JobState.SCHEDULED, ERROR, 1)
    assert 30_000 <= job.due_ms - now < 35_000
    assert bench.claim(1) == []
    bench.make_due("a")
    assert bench.claim_one().attempt == 2


def test_failed_job_keeps_every_attempt(bench: Bench) -> None:
    bench.submit("a")
    bench.finish(bench.claim_one(), Outcome.RETRIED, records.dump_error(ERROR), delay_ms=1_000)
    bench.make_due("a")
    final = JobError(ErrorCategory.TIMEOUT, message="too long", stack_trace='Trace\n  "é"')

    bench.finish(bench.claim_one(), Outcome.FAILED, records.dump_error(final))

    job = bench.job("a")
    assert (job.state, job.error) == (JobState.FAILED, final)
    assert [(each.number, each.outcome, each.error) for each in job.attempts] == [
        (1, Outcome.RETRIED, ERROR),
        (2, Outcome.FAILED, final),
    ]


def test_completed_job_has_no_error_of_earlier_attempts(bench: Bench) -> None:
    bench.submit("a")
    bench.finish(bench.claim_one(), Outcome.RETRIED, records.dump_error(ERROR), delay_ms=1_000)
    bench.make_due("a")

    bench.finish(bench.claim_one(), body="null")

    assert (bench.job("a").error, bench.job("a").result) == (None, "null")


def test_renewal_extends_the_lease_of_its_holder_only(bench: Bench) -> None:
    bench.submit("a")
    claim = bench.claim_one(lease_ms=1_000)
    now = bench.now_ms()

    assert renew(bench, ("a", claim.token), ("a", "999"), lease_ms=50_000) == ["ok", "lost"]

    assert bench.redis.zscore(bench.keys.queue("q", "leases"), "a") >= now + 50_000


def test_renewal_says_that_the_worker_lives(bench: Bench) -> None:
    now = bench.now_ms()
    renew(bench)

    beats = bench.run(calls.worker_heartbeats(bench.keys))
    (worker,) = bench.run(calls.read_workers(bench.keys, beats))

    assert beats["w1"] >= now
    assert (worker.id, worker.queues, worker.heartbeat_ms) == ("w1", ("q",), beats["w1"])
    bench.store.run_many(calls.forget_worker(bench.keys, "w1"))
    beats = bench.run(calls.worker_heartbeats(bench.keys))
    assert (beats, bench.run(calls.read_workers(bench.keys, beats))) == ({}, [])


def test_progress_is_kept_with_the_time_of_redis(bench: Bench) -> None:
    bench.submit("a")
    claim = bench.claim_one()
    now = bench.now_ms()
    progress = Progress(50.5, "step", "message", 5, 10, "rows")

    assert bench.run(calls.progress([("a", claim.token, progress)])) == ["ok"]

    job = bench.job("a")
    assert job.progress is not None
    assert (job.progress.percent, job.progress.step, job.progress.unit) == (50.5, "step", "rows")
    assert job.progress.update_ms >= now
    assert job.version == 3


def lines(*texts: str) -> list[str]:
    return [f'{{"text":"{text}"}}' for text in texts]


def numbered(first: int, *texts: str) -> list[str]:
    return [f'{{"line":{first + n},"text":"{text}"}}' for n, text in enumerate(texts)]


def test_log_lines_are_numbered_and_the_newest_stay(bench: Bench) -> None:
    bench.submit("a")
    claim = bench.claim_one()

    first = bench.run(calls.log("a", claim.token, lines(*"abc"), before=0))
    many = bench.run(calls.log("a", claim.token, lines(*map(str, range(1_100))), before=3))

    assert (first, many) == (3, 1_103)
    kept = bench.run(calls.read_logs(bench.keys, "a"))
    assert len(kept) == calls.MAX_LOG_LINES
    assert (kept[0], kept[-1]) == (numbered(104, "100")[0], numbered(1_103, "1099")[0])
    assert bench.run(calls.count_log_lines(bench.keys, "a")) == 1_103
    assert bench.run(calls.read_logs(bench.keys, "a", newest=2)) == numbered(1_102, "1098", "1099")


def test_repeated_log_lines_are_written_once(bench: Bench) -> None:
    bench.submit("a")
    claim = bench.claim_one()

    assert bench.twice(calls.log("a", claim.token, lines("a", "b"), before=0)) == (2, 2)
    assert bench.run(calls.log("a", claim.token, lines("b", "c"), before=1)) == 3
    assert bench.run(calls.read_logs(bench.keys, "a")) == numbered(1, "a", "b", "c")


def test_log_lines_of_the_next_attempt_follow(bench: Bench) -> None:
    bench.submit("a")
    claim = bench.claim_one()
    bench.run(calls.log("a", claim.token, lines("a", "b"), before=0))
    bench.finish(claim, Outcome.RELEASED)
    again = bench.claim_one()

    assert bench.twice(calls.log("a", again.token, lines("c"), before=0)) == (3, 3)
    assert bench.run(calls.read_logs(bench.keys, "a")) == numbered(1, "a", "b", "c")


def test_log_lines_that_were_dropped_before_are_counted(bench: Bench) -> None:
    bench.submit("a")
    claim = bench.claim_one()

    assert bench.run(calls.log("a", claim.token, lines("late"), before=500)) == 501
    assert bench.run(calls.read_logs(bench.keys, "a")) == numbered(501, "late")


def test_exchange_says_when_the_next_job_is_due(bench: Bench) -> None:
    assert bench.exchange().due_in_ms is None
    bench.submit("a", delay_ms=60_000)
    bench.submit("b", delay_ms=30_000, queue="other")

    due = bench.exchange(queues=("q", "other")).due_in_ms

    assert due is not None
    assert 25_000 < due <= 30_000


def test_exchange_promotes_what_is_due(bench: Bench) -> None:
    (item,) = bench.items("b", 1, delay_ms=60_000)
    bench.batch("b", [item])
    bench.make_due("b.0")

    claim = bench.claim_one()

    assert claim.job_id == "b.0"
    assert bench.job("b.0").version == 3
    assert bench.read_batch("b").counts[JobState.PROCESSING] == 1


def test_more_due_jobs_than_one_promotion_moves_are_announced_as_due_now(bench: Bench) -> None:
    items = bench.items("b", 450, delay_ms=60_000)
    bench.batch("b", items)
    for item in items:
        bench.make_due(item.id)

    answers = [bench.exchange(want=1_000) for _ in range(3)]

    assert [len(answer.claims) for answer in answers] == [200, 200, 50]
    assert [answer.due_in_ms for answer in answers] == [0, 0, None]


@pytest.mark.parametrize("text", ["\ud83d", "a\udcffb"])
def test_text_that_utf8_cannot_carry_is_replaced_not_raised(bench: Bench, text: str) -> None:
    """Such a text in a report would otherwise stop every slot that tries to send it."""
    bench.submit("a")
    claim = bench.claim_one()
    error = JobError(ErrorCategory.APPLICATION, message=f"<{text}>")

    bench.finish(claim, Outcome.FAILED, records.dump_error(error))

    stored: Any = bench.job("a").error
    assert stored.message == f"<{text.encode('utf-8', 'replace').decode()}>"
