"""Retry policies, codes and snoozes, with real workers."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from jobsvc.broker import JobBroker
from jobsvc.model.errors import ConfigurationError
from jobsvc.model.job import Job
from jobsvc.model.lifecycle import JobState, Outcome
from jobsvc.model.retry import RetryOverride, RetryPolicy, RetryRule
from jobsvc.worker import Retry, Snooze, handler
from jobsvc.worker.retrying import RetryPolicy as Words
from tests.waiting import until
from tests.worker.rig import Rig

IMPORTS = "tests.worker.retry_handlers"
ENDED_OR_WAITING = (JobState.FAILED, JobState.SCHEDULED)


@pytest.fixture(scope="module")
def retries(valkey: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    made = Rig(tmp_path_factory.mktemp("retries"), valkey.url, "test_retries")
    made.worker(threads=4, imports=IMPORTS)
    yield made
    made.close()


def first(rig: Rig, what: str, job_type: str = "retries.policy", **options: Any) -> tuple[Job, int | None]:
    """Run the first attempt of a job; returns it and the delay until the next, ms, ``None`` when it failed."""
    arguments = {"what": what}
    job_id = rig.submit(job_type=job_type, queue="retries", arguments=arguments, **options)
    found = rig.wait(job_id, *ENDED_OR_WAITING)
    assert (found.attempts[0].outcome is Outcome.RETRIED) == (found.state is JobState.SCHEDULED)
    rig.cancel(job_id)
    return found, found.attempts[0].delay_ms if found.state is JobState.SCHEDULED else None


LONG = RetryOverride(delays_ms=(400_000,))


@pytest.mark.parametrize(
    ("what", "delay_ms"),
    [
        ("INVALID_CREDENTIALS", None),
        ("RATE_LIMITED", 300_000),
        ("NETWORK_ERROR", 400_000),
        ("ELSE", 400_000),
        ("throttled", 300_000),
        ("numbered", 400_000),
        ("rude", 400_000),
        ("terse", 400_000),
        ("key", None),  # a LookupError
        ("value", 400_000),
        ("fail", None),  # whatever the rule for its code says
        ("retry", 200_000),
        ("retry-by-policy", 300_000),
    ],
)
def test_rule_for_the_error_decides(retries: Rig, what: str, delay_ms: int | None) -> None:
    assert first(retries, what, retry=LONG)[1] == delay_ms


@pytest.mark.parametrize(
    ("what", "again"), [("value", True), ("unicode", True), ("connection", True), ("key", False)]
)
def test_only_what_is_listed_is_retried(retries: Rig, what: str, again: bool) -> None:
    job, delay_ms = first(retries, what, "retries.only")

    assert (delay_ms is not None) == again, job.error


def test_job_goes_over_the_rules_of_its_handler(retries: Rig) -> None:
    own = RetryOverride(rules=(RetryRule("INVALID_CREDENTIALS", delay_ms=70_000),))

    assert first(retries, "INVALID_CREDENTIALS", retry=own)[1] == 70_000


def test_listed_delays_are_kept(retries: Rig) -> None:
    job_id = retries.submit(job_type="retries.policy", queue="retries", arguments={"what": "NETWORK_ERROR"})

    until(lambda: len(retries.job(job_id).attempts) == 3)

    job = retries.job(job_id)
    assert [attempt.delay_ms for attempt in job.attempts] == [0, 50, 600_000]
    assert job.attempts[2].start_ms - job.attempts[1].end_ms >= 50
    assert {attempt.error.code for attempt in job.attempts if attempt.error} == {"NETWORK_ERROR"}
    retries.cancel(job_id)


def test_attempt_that_used_up_its_time_is_named_in_rules(retries: Rig) -> None:
    job, delay_ms = first(retries, "", "retries.slow")

    assert (delay_ms, job.error and job.error.category) == (None, "timeout")


def test_details_travel_with_the_error_and_never_in_its_way(retries: Rig) -> None:
    job, _ = first(retries, "fail")
    assert job.error
    assert (job.error.code, job.error.details) == ("NETWORK_ERROR", '{"field":"user","tried":[1,2]}')

    for what, problem in (("details", "are no JSON"), ("large", "10,002 bytes of JSON, at most 8,192")):
        job, _ = first(retries, what, max_attempts=1)
        assert job.error
        assert (job.error.details, problem in job.error.message) == ("", True), job.error


@pytest.mark.parametrize(
    ("job_type", "line"),
    [
        ("retries.snooze", "snoozed for 0.05 s: waiting for the file"),
        ("retries.snooze_in_thread", "snoozed for 0.05 s"),
    ],
)
def test_snoozed_job_is_called_until_it_is_content(retries: Rig, job_type: str, line: str) -> None:
    gate = retries.path(job_type)
    job_id = retries.submit(job_type=job_type, queue="retries", arguments={"path": gate})
    until(lambda: retries.job(job_id).snoozes >= 3)
    assert retries.lines(job_id)[0]["text"] == line

    retries.open_gate(job_type)

    assert retries.result(job_id) == 1
    assert retries.job(job_id).attempts == ()


def test_job_that_kills_its_workers_stops_as_its_handler_says(rig: Rig) -> None:
    job_id = rig.submit(
        job_type="retries.poison", queue="retries", arguments={"runs": rig.path("runs")}, max_lost_attempts=1
    )
    for count in (1, 2):
        worker = rig.worker(threads=1, lease="1s", imports=IMPORTS)
        assert worker.popen.wait(20) == -signal.SIGKILL
        assert len(rig.notes("runs")) == count
    rig.worker(threads=1, lease="1s", imports=IMPORTS)

    job = rig.wait(job_id)

    assert (job.state, job.lost_attempts, len(rig.notes("runs"))) == (JobState.FAILED, 2, 2)
    assert job.error
    assert job.error.category == "worker_lost"


@pytest.mark.parametrize("kind", [Retry, Snooze])
@pytest.mark.parametrize("after", [float("nan"), float("inf"), 10**12])
def test_wait_that_nobody_waits_is_refused(kind: Any, after: float) -> None:
    with pytest.raises(ValueError, match="it must be a timedelta or seconds, at most 3650 days"):
        kind(after)


@pytest.mark.parametrize("kind", [Retry, Snooze])
def test_time_that_has_passed_is_no_wait(kind: Any) -> None:
    assert kind(timedelta(seconds=-3)).after_ms == 0


# -- declaring ---------------------------------------------------------------------------------------------------------


NUMBERS = itertools.count()


def declared(**options: Any) -> RetryPolicy:
    actor: Any = handler(f"retries.declared{next(NUMBERS)}", **options)(lambda: None)
    policy: RetryPolicy = actor.handler.job_type.retry
    return policy


def test_job_that_is_sent_as_an_actor_has_the_limit_of_lost_attempts_of_its_handler(rig: Rig) -> None:
    actor: Any = handler("retries.sent", retry={"max_lost_attempts": 2})(lambda: None)
    broker = JobBroker(rig.store)
    broker.declare_actor(actor)

    sent = broker.enqueue(actor.message())

    assert rig.job(sent.message_id).max_lost_attempts == 2


@pytest.mark.parametrize("form", [dict, lambda **words: Words(**words)])
def test_policy_and_mapping_say_the_same(form: Any) -> None:
    policy = declared(
        retry=form(delays=[0, 30], rules={"A": False, ValueError: 60}, max_lost_attempts=2), max_attempts=4
    )

    assert (policy.max_attempts, policy.delays_ms, policy.jitter) == (4, (0, 30_000), 0.0)
    assert policy.rules == (RetryRule("A", retry=False), RetryRule("builtins.ValueError", delay_ms=60_000))
    assert policy.max_lost_attempts == 2


def test_words_beside_the_policy_still_work() -> None:
    assert declared() == RetryPolicy()
    assert declared(max_attempts=5, backoff=2, max_backoff=9) == RetryPolicy(5, 2_000, 9_000)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"retry": 3}, "retry is 3; it must be a RetryPolicy"),
        (
            {"retry": {"max_attempts": 3}, "max_attempts": 3},
            "max_attempts is given twice, in retry and beside it",
        ),
        ({"retry": {"delays": [1]}, "backoff": 3}, "delays and backoff contradict each other"),
        ({"retry": {"wait": 3}}, "wait is not part of a retry policy"),
        ({"retry": {"rules": {"A": "soon"}}}, "rules[A] is 'soon'"),
        ({"backoff": "3s"}, "backoff is '3s'; it must be a timedelta or seconds"),
    ],
)
def test_wrong_policies_are_refused_at_decoration(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        declared(**options)

    where, _, text = str(caught.value).partition(": ")
    assert where.startswith("@handler('retries.declared")
    assert text.startswith(problem)
