"""The command line without a server: help, usage errors, and what it says when something is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jobsvc.cli import ask, cli
from tests.stack import clean_environment

COMMANDS = [
    "dev",
    "server",
    "worker",
    "submit",
    "jobs",
    "show",
    "cancel",
    "queues",
    "stats",
    "workers",
    "drain",
    "queue",
    "dead",
    "retry",
]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words), prog_name="jobsvc")


def test_help_lists_every_command() -> None:
    shown = run("--help").output

    assert list(cli.commands) == COMMANDS
    assert all(f"\n  {command} " in shown for command in COMMANDS)
    assert all(run(command, "--help").exit_code == 0 for command in COMMANDS)


def test_console_script_and_module_are_the_same_command() -> None:
    script = Path(sys.executable).with_name("jobsvc")

    outputs = [
        subprocess.run([*start, "--version"], capture_output=True, text=True, check=True).stdout
        for start in ([str(script)], [sys.executable, "-m", "jobsvc"])
    ]

    assert outputs[0] == outputs[1]
    assert outputs[0].startswith("jobsvc, version ")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["dev", "--port", "70000"], "70000"),
        (["dev", "--prot", "1"], "--prot"),
        (["submit"], "TYPE"),
        (["submit", "a.b", "limit"], "'limit' is not KEY=VALUE"),
        (["submit", "a.b", "--json", "{"], "is not JSON"),
        (["submit", "a.b", "--json", "[1]"], "must be an object"),
        (["jobs", "--state", "done"], "completed"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what(words: list[str], complaint: str) -> None:
    result = run(*words)

    assert result.exit_code == 2
    assert complaint in result.output


@pytest.mark.parametrize("command", ["server", "worker"])
def test_part_without_redis_is_refused_in_one_line(command: str) -> None:
    result = run(command)

    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "Error: no Redis: give its address with --redis URL or JOBSVC_REDIS_URL, or let `jobsvc dev` embed one"
    ]


def test_worker_without_handlers_is_refused() -> None:
    result = run("worker", "--redis", "redis://127.0.0.1:1")

    assert result.exit_code == 1
    assert "--import MODULE" in result.output


def test_wrong_setting_is_reported_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBSVC_LEASE", "soon")

    result = run("dev")

    assert result.exit_code == 1
    assert "JOBSVC_LEASE" in result.output
    assert not Path(".jobsvc").exists()


def test_client_command_without_a_server_names_the_address_and_what_to_start() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jobsvc", "jobs", "--address", "127.0.0.1:1"],
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=60,
    )

    assert done.returncode == 1
    assert done.stdout == ""
    assert "127.0.0.1:1" in done.stderr
    assert "jobsvc dev" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("true", True),
        ("null", None),
        ('"3"', "3"),
        ('["a", 1.5]', ["a", 1.5]),
        ("cars", "cars"),
        ("2024-01-31", "2024-01-31"),
        ("NaN", "NaN"),
        ("", ""),
        ("a=b", "a=b"),
    ],
)
def test_submit_takes_values_as_json_where_they_are(text: str, value: object) -> None:
    assert ask._arguments((f"key={text}",), None) == {"key": value}


def test_submit_takes_pairs_over_the_json_object() -> None:
    assert ask._arguments(("a=2", "b=x"), '{"a": 1, "c": null}') == {"a": 2, "b": "x", "c": None}


def test_unexpected_error_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_address: str | None) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(ask, "connect", fail)

    assert isinstance(run("queues").exception, ZeroDivisionError)
