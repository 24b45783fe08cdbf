"""Settings: where they come from, and what a wrong one says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from jobsvc import config
from jobsvc.model.errors import ConfigurationError


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(config.os.environ):
        if name.startswith(config.PREFIX):
            monkeypatch.delenv(name)


def test_load_takes_option_over_environment_over_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jobsvc.toml").write_text(
        'threads = 2\nprocesses = 3\nlease = "30s"\nimports = ["a", "b.c"]\n'
    )
    monkeypatch.setenv("JOBSVC_THREADS", "4")
    monkeypatch.setenv("JOBSVC_PROCESSES", "5")

    settings = config.load(threads=6, queues=None)

    assert (settings.threads, settings.processes) == (6, 5)
    assert settings.lease == timedelta(seconds=30)
    assert settings.imports == ("a", "b.c")
    assert settings.queues == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10", timedelta(seconds=10)),
        ("1.5s", timedelta(seconds=1.5)),
        ("2000ms", timedelta(seconds=2)),
        ("5m", timedelta(minutes=5)),
    ],
)
def test_load_reads_durations_with_units(
    text: str, expected: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBSVC_LEASE", text)

    assert config.load().lease == expected


def test_load_reports_every_wrong_setting_and_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jobsvc.toml").write_text('lease = "soon"\nthread = 4\n')
    monkeypatch.setenv("JOBSVC_PROCESSES", "many")
    monkeypatch.setenv("JOBSVC_QUEUESS", "reports")

    with pytest.raises(ConfigurationError) as caught:
        config.load(listen="7443", redis_url="http://user:secret@host")

    message = caught.value.message
    assert "jobsvc.toml: lease: expected a duration" in message
    assert "jobsvc.toml: thread: there is no such setting; did you mean threads?" in message
    assert "environment variable JOBSVC_PROCESSES" in message
    assert (
        "environment variable JOBSVC_QUEUESS: there is no such setting; did you mean JOBSVC_QUEUES?"
        in message
    )
    assert "option listen: expected HOST:PORT" in message
    assert "option redis_url: expected a URL" in message
    assert "secret" not in message


def test_load_says_which_file_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jobsvc.toml").write_text("threads = [")
    with pytest.raises(ConfigurationError, match=r"jobsvc\.toml cannot be read as TOML"):
        config.load()

    monkeypatch.setenv("JOBSVC_CONFIG", "other.toml")
    with pytest.raises(ConfigurationError, match=r"other\.toml names a file that does not exist"):
        config.load()


def test_settings_go_through_the_environment_of_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = config.load(
        redis_url="unix:///a%20b?db=0",
        listen="[::1]:0",
        imports=("a", "b.c"),
        lease=timedelta(seconds=1.25),
        data_folder="/data",
    )

    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)

    assert config.load() == settings
    assert (settings.host, settings.port) == ("[::1]", 0)


def test_settings_do_not_show_the_password() -> None:
    assert "secret" not in repr(config.load(redis_url="redis://user:secret@host"))


@pytest.mark.parametrize(
    ("queues", "problem"),
    [
        ('{"pdf": {"max_concurrency": -1}}', "queue pdf: max_concurrency is -1"),
        ('{"pdf": {"max_concurency": 1}}', "queue pdf: max_concurency is no setting of a queue"),
        ('{"pdf": {"rate": "fast"}}', "write it as 20/min"),
        ('{"pdf": {"burst": 2}}', "burst goes with rate"),
        ('{"pdf": {"timeout": "soon"}}', "write a duration"),
        ('{"pdf": {"priority": "highest"}}', "it can be low, medium, high, urgent"),
        ('{"p d f": {}}', "1 to 128 characters"),
        ("{", "expected JSON"),
    ],
)
def test_wrong_settings_of_queues_are_named(
    monkeypatch: pytest.MonkeyPatch, queues: str, problem: str
) -> None:
    monkeypatch.setenv("JOBSVC_QUEUE", queues)

    with pytest.raises(ConfigurationError) as caught:
        config.load()

    assert "environment variable JOBSVC_QUEUE" in caught.value.message
    assert problem in caught.value.message


def test_queues_stand_in_the_file_as_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "jobsvc.toml"
    path.write_text('[queue.pdf]\nmax_concurrency = 3\nrate = "20/min"\nkeep_failed_for = "7d"\n')
    monkeypatch.setenv("JOBSVC_CONFIG", str(path))

    settings = config.load()

    assert settings.queue == {"pdf": {"max_concurrency": 3, "rate": "20/min", "keep_failed_for": "7d"}}
    assert config.Settings(queue=settings.environment()["JOBSVC_QUEUE"]).queue == settings.queue


def test_malformed_queue_names_of_a_worker_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="1 to 128 characters"):
        config.load(queues="a b,c")
