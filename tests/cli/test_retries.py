"""Retries as a user meets them: by the SDK and on the command line, with a real server and worker."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from jobsvc_sdk import JobLost, RetryPolicy, connect
from jobsvc_sdk.errors import ParamError
from tests.cli.test_client import Terminal
from tests.stack import Stack
from tests.waiting import until


@pytest.fixture
def stack(make_stack: Callable[..., Stack]) -> Stack:
    return make_stack(imports=("tests.worker.retry_handlers",), threads=2)


def test_attempts_of_a_job_are_shown_with_codes_and_the_next(stack: Stack) -> None:
    jobsvc = Terminal(stack.address)
    words = ("submit", "retries.policy", "what=NETWORK_ERROR", "--max-attempts", "4", "--retry-delays")

    job_id = jobsvc(*words, "0,0.05,3000").strip()

    until(lambda: "3  retried" in jobsvc("show", job_id))
    shown = jobsvc("show", job_id)
    assert "3 of 4" in shown
    assert "[NETWORK_ERROR]  jobsvc.ApplicationError: told to  next after 50 min 0 s" in shown
    assert ", in 49 min" in shown or ", in 50 min" in shown
    assert "no list of seconds; write 0,30,90" in jobsvc(*words, "soon", status=2)
    assert "max_attempts: expected a whole number from 1" in jobsvc(
        *words[:3], "--max-attempts", "0", status=1
    )
    assert "delays[1] expected a timedelta or seconds from 0 to 30 days" in jobsvc(*words, "1,-1", status=1)


def test_sdk_sets_the_policy_of_jobs_and_batches(stack: Stack) -> None:
    with connect(stack.address) as client:
        policy = RetryPolicy(delays=[timedelta(hours=1)], rules={"INVALID_CREDENTIALS": 7_200})
        job = client.submit("retries.policy", {"what": "INVALID_CREDENTIALS"}, retry=policy)
        batch = client.map(
            "retries.policy", [{"what": "INVALID_CREDENTIALS"}], retry={"rules": {"INVALID_CREDENTIALS": 60}}
        )

        for one, delay_s in ((job, 7_200), (batch.jobs[0], 60)):
            until(lambda one=one: one.refresh().state == "scheduled" and one.attempts)  # type: ignore[misc]
            [attempt] = one.attempts
            assert (attempt.outcome, attempt.retry_delay) == ("retried", timedelta(seconds=delay_s))
            assert attempt.error.code == "INVALID_CREDENTIALS"
        with pytest.raises(ParamError, match="retry: delay is not part of a retry policy"):
            client.submit("retries.policy", {"what": "x"}, retry={"delay": 3})


def test_snoozes_of_a_job_are_counted_and_logged(stack: Stack) -> None:
    with connect(stack.address) as client:
        job = client.submit("retries.snooze", {"path": "/no/such/file"})

        until(lambda: job.refresh().status.snoozes >= 2)

        assert job.attempt <= 1
        assert any("snoozed for 0.05 s: waiting for the file" in line.text for line in job.logs())
        job.cancel()


def test_poison_job_stops_after_as_many_lost_workers_as_its_handler_allows(
    make_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    """Each attempt kills its worker with SIGKILL; the supervisor starts another one."""
    stack = make_stack(imports=("tests.worker.retry_handlers",), processes=2, threads=1, lease="1s")
    with connect(stack.address) as client:
        job = client.submit("retries.poison", {"runs": str(tmp_path / "runs")})

        with pytest.raises(JobLost) as caught:
            job.result(timeout=60)

        assert (tmp_path / "runs").read_text() == "run\nrun\n"
        assert (caught.value.error.category, job.status.lost_attempts) == ("worker_lost", 2)
        assert [attempt.outcome for attempt in job.attempts] == ["lost", "lost"]

        patient = client.submit(
            "retries.poison", {"runs": str(tmp_path / "more")}, retry={"max_lost_attempts": 2}
        )
        with pytest.raises(JobLost):
            patient.result(timeout=60)
        assert (tmp_path / "more").read_text() == "run\n" * 3
