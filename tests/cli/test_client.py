"""The commands that talk to a server, against a real one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack import Stack, clean_environment
from tests.waiting import until


class Terminal:
    """Runs ``jobsvc`` commands against one server."""

    def __init__(self, address: str) -> None:
        self.environment = clean_environment(address=address) | {"COLUMNS": "200"}

    def __call__(self, *words: str, status: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "jobsvc", *words],
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=90,
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if status == 0 else done.stderr


@pytest.fixture
def jobsvc(stack: Stack) -> Terminal:
    return Terminal(stack.address)


@pytest.fixture
def waiting(make_stack: object) -> Stack:
    return make_stack(imports=("tests.cli.waiting_handlers",), threads=1)  # type: ignore[operator, no-any-return]


def test_submit_with_watch_prints_the_id_and_the_result(jobsvc: Terminal) -> None:
    lines = jobsvc("submit", "analytics.profile", "dataset=cars", 'columns=["Name"]', "--watch").splitlines()

    assert json.loads("\n".join(lines[1:]))["dataset"] == "cars"
    shown = jobsvc("show", lines[0])
    assert "completed" in shown
    assert '"dataset": "cars"' in shown


def test_show_of_a_failed_job_has_the_traceback(jobsvc: Terminal) -> None:
    job_id = jobsvc("submit", "analytics.profile", "dataset=no_such_table").strip()
    error = jobsvc("submit", "analytics.profile", "dataset=no_such_table", "--watch", status=1)

    assert "no_such_table" in error
    assert job_id not in error
    assert "error" in jobsvc("show", job_id)


def test_wrong_arguments_are_refused_by_field(jobsvc: Terminal) -> None:
    error = jobsvc("submit", "analytics.profile", "dataset=cars", "top=many", status=1)

    assert "top" in error
    assert error.startswith("Error: ")


def test_unknown_job_type_names_the_nearest(jobsvc: Terminal) -> None:
    assert "analytics.profile" in jobsvc("submit", "analytics.profil", "dataset=cars", status=1)


def test_show_of_an_unknown_job_is_a_clear_line(jobsvc: Terminal) -> None:
    error = jobsvc("show", "0-0000000000000000", status=1)

    assert "0-0000000000000000" in error
    assert len(error.splitlines()) == 1


def test_jobs_queues_and_cancel_follow_a_job(waiting: Stack, tmp_path: Path) -> None:
    jobsvc = Terminal(waiting.address)
    path = json.dumps({"path": str(tmp_path / "never")})
    running, queued = (jobsvc("submit", "waiting.file", "--json", path).strip() for _ in range(2))

    assert jobsvc("cancel", queued, "--reason", "not needed").strip() == f"{queued} is cancelled"
    assert "not needed" in jobsvc("show", queued)
    assert running in jobsvc("jobs", "--queue", "waiting", "--type", "waiting.file")
    assert jobsvc("jobs", "--state", "failed") == "no such jobs\n"
    assert jobsvc("queues").splitlines()[1].startswith("waiting ")
    assert running in jobsvc("cancel", running)


def test_queue_is_changed_paused_and_drained(jobsvc: Terminal) -> None:
    shown = jobsvc("queue", "set", "cli-queue", "--max-concurrency", "3", "--rate", "20/min", "--burst", "2")
    assert "20/min, 2 at one instant" in shown
    assert jobsvc("queue", "set", "cli-queue", "--max-concurrency", "none").count("at once") == 0

    assert "jobsvc queue resume cli-queue" in jobsvc("queue", "pause", "cli-queue", "--reason", "lunch")
    assert "paused: lunch" in jobsvc("queue", "show", "cli-queue")
    assert "drained" in jobsvc("queue", "drain", "cli-queue")
    assert "open" in jobsvc("queue", "resume", "cli-queue")

    assert "no queue" in jobsvc("queue", "pause", "no-such-queue", status=1)
    assert "rate" in jobsvc("queue", "set", "cli-queue", "--rate", "fast", status=1)
    assert "name at least one setting" in jobsvc("queue", "set", "cli-queue", status=2)


def test_dead_letters_are_listed_retried_and_cleared(jobsvc: Terminal) -> None:
    job_id = jobsvc("submit", "analytics.profile", "dataset=no_such_table", "--job-id", "cli-dead").strip()
    jobsvc("show", job_id)
    until(lambda: job_id in jobsvc("dead", "list", "--type", "analytics.profile"))

    assert "no_such_table" in jobsvc("dead", "list", "--error", "Fail", "--after", "2026-01-01")
    assert "say which" in jobsvc("dead", "retry", status=2)
    assert "1 of 2 jobs do not exist" in jobsvc("retry", "nobody", job_id, status=1)
    until(lambda: job_id in jobsvc("dead", "list", "--type", "analytics.profile"))
    assert "queued again" in jobsvc("dead", "retry", "--type", "no.such.type")
    until(lambda: job_id in jobsvc("dead", "list", "--type", "analytics.profile"))
    assert "removed" in jobsvc("dead", "clear", "--type", "analytics.profile", "--yes")
    assert job_id not in jobsvc("dead", "list", "--type", "analytics.profile")
    assert "0 removed" in jobsvc(
        "queue", "purge", "analytics", "--state", "failed", "--older-than", "7d", "--yes"
    )
    assert "not a time" in jobsvc(
        "queue", "purge", "analytics", "--state", "failed", "--older-than", "x", status=2
    )


def test_workers_are_listed_and_one_is_drained(waiting: Stack) -> None:
    terminal = Terminal(waiting.address)
    heading, line = terminal("workers").splitlines()
    worker = line.split()[0]

    assert "memory" in heading
    assert "ends when" in terminal("drain", worker, "--reason", "test")
    until(lambda: "no workers live" in terminal("workers"))
    assert "no live worker" in terminal("drain", worker, status=1)
