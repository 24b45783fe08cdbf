"""Plain actors, sent by their own ``send`` and run by a real ``jobsvc worker``."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobsvc.model.job import ErrorCategory, Job, Priority
from jobsvc.model.jsontext import parse
from jobsvc.model.lifecycle import JobState, Outcome
from tests.stack import ROOT, clean_environment
from tests.worker.rig import Rig


@pytest.fixture(scope="module")
def rig(valkey: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A worker that serves the actors."""
    made = Rig(tmp_path_factory.mktemp("actors"), valkey.url, "actors")
    made.worker(imports="tests.broker.actors", threads=2)
    yield made
    made.close()


def send(rig: Rig, *sources: str) -> list[Job]:
    """Evaluate sends in a program of their own, as an application would, and wait for the jobs."""
    code = f"""
        from tests.broker.actors import *
        for message in [{", ".join(sources)}]:
            print(message.message_id)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
        env=clean_environment(redis_url=rig.url, namespace=rig.namespace) | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return [rig.wait(job_id) for job_id in done.stdout.split()]


def test_sent_actors_run_as_jobs(rig: Rig) -> None:
    jobs = send(
        rig,
        "add.send(1)",
        "add.send(1, 5)",
        "add.send_with_options(kwargs={'a': 'x', 'b': 'y'}, delay=50)",
        "everything.send(1, 'two', 3.5, 4, flag=True, extra=[None])",
        "everything.send_with_options(args=(1,), kwargs={'second': 's'})",
    )

    assert [job.result for job in jobs] == [
        "3",
        "6",
        '"xy"',
        '{"first":1,"second":"two","rest":[3.5,4.0],"flag":true,"options":{"extra":[null]}}',
        '{"first":1,"second":"s","rest":[],"flag":false,"options":{}}',
    ]
    assert {job.state for job in jobs} == {JobState.COMPLETED}
    assert jobs[2].start_ms >= jobs[2].due_ms > 0


def test_retries_of_an_actor_are_counted(rig: Rig) -> None:
    broken, expected = send(rig, "breaks.send()", "throws.send()")

    assert (broken.state, broken.attempt) == (JobState.FAILED, 2)
    assert [attempt.outcome for attempt in broken.attempts] == [Outcome.RETRIED, Outcome.FAILED]
    assert broken.error is not None
    assert (broken.error.type, broken.error.message) == ("builtins.RuntimeError", "broken")
    assert (expected.state, expected.attempt) == (JobState.FAILED, 1)


def test_exceptions_derived_from_throws_are_expected_too(rig: Rig) -> None:
    (job,) = send(rig, "throws_derived.send()")

    assert (job.state, job.attempt) == (JobState.FAILED, 1)


def test_retry_when_alone_decides(rig: Rig) -> None:
    value, key = send(rig, "picky.send('value')", "picky.send('key')")

    assert (value.attempt, key.attempt) == (3, 1)


def test_actor_without_a_limit_of_retries_goes_on(rig: Rig) -> None:
    (job,) = send(rig, f"tireless.send({rig.path('tireless')!r}, 8)")

    assert (job.state, job.attempt) == (JobState.COMPLETED, 8)


def test_delay_that_an_actor_asks_for_is_kept(rig: Rig) -> None:
    job_id = rig.submit(job_type="asks", queue="plain", arguments={}, id="asks")
    job = rig.wait(job_id, JobState.SCHEDULED)

    assert job.attempts[0].delay_ms == 123_000
    rig.cancel(job_id)


def test_options_of_a_message_go_over_those_of_its_actor(rig: Rig) -> None:
    (job,) = send(rig, "breaks.send_with_options(max_retries=2, min_backoff=20, max_backoff=20)")

    assert job.attempt == 3
    assert all(15 <= attempt.delay_ms <= 20 for attempt in job.attempts[:2])


def test_time_limit_of_an_actor_is_kept(rig: Rig) -> None:
    (job,) = send(rig, "slow.send()")

    assert (job.state, job.attempt, job.priority) == (JobState.FAILED, 1, Priority.HIGH)
    assert job.error is not None
    assert job.error.category is ErrorCategory.TIMEOUT


def test_wrong_arguments_of_an_actor_fail_at_once(rig: Rig) -> None:
    (job,) = send(rig, "everything.send('x', 'y')")

    assert (job.state, job.attempt) == (JobState.FAILED, 1)
    assert job.error is not None
    assert job.error.category is ErrorCategory.INVALID_ARGUMENTS
    assert "first" in job.error.message


def test_actors_send_from_within_a_handler(rig: Rig) -> None:
    (job,) = send(rig, "sender.send([1, 2, 3])")

    ids = parse(job.result or "")
    assert [rig.result(job_id) for job_id in ids] == [3, 4, 5]


def test_handler_is_a_plain_function_in_tests() -> None:
    code = "from tests.broker.actors import add; print(add(1, 2))"

    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
        env=clean_environment() | {"PYTHONPATH": str(ROOT)},
    )

    assert (done.stdout, done.returncode) == ("3\n", 0)


def test_children_do_not_know_the_password_of_redis(tmp_path: Path) -> None:
    """Also not to send: they are refused, and do not reach some other Redis that happens to listen."""
    import redis

    from jobsvc.embedded import EmbeddedValkey

    with EmbeddedValkey(tmp_path / "valkey") as server:
        client = redis.Redis.from_url(server.url)
        client.execute_command("ACL", "SETUSER", "worker", "on", ">secret word", "~*", "&*", "+@all")
        client.config_set("requirepass", "other secret")
        client.close()
        url = server.url.replace("unix://", "unix://worker:secret%20word@")
        rig = Rig(tmp_path, url, "own")
        try:
            rig.worker(imports="tests.handlers,tests.broker.actors", threads=1)
            environment = [
                rig.run(["environment", name]) for name in ("JOBSVC_REDIS_URL", "JOBSVC_NAMESPACE")
            ]
            sending = rig.submit(
                job_type="plain.sender", queue="plain", arguments={"numbers": [1]}, max_attempts=1
            )
            error = rig.wait(sending).error
        finally:
            rig.close()

    assert environment == [server.url, "own"]
    assert error is not None
    assert (error.type, "check user and password" in error.message) == (
        "dramatiq.errors.ConnectionClosed",
        True,
    ), error
    assert "secret" not in error.message + error.stack_trace
