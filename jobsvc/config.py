"""Every option of jobsvc: its name, its default, what it means, and where it is read.

A setting comes from the command line, else from the environment (``JOBSVC_THREADS=8``), else from the file
``jobsvc.toml`` in the current folder (or the one that ``JOBSVC_CONFIG`` names), else it has its default. `load` reads
them once, at the start, and reports every wrong one together: which, where it stands, and what is accepted.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from jobsvc.model.errors import ConfigurationError
from jobsvc.model.queue import BadSetting, check_queue_name, settings_from_words

PREFIX = "JOBSVC_"
FILE_VARIABLE = "JOBSVC_CONFIG"
FILE_NAME = "jobsvc.toml"

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?", str(value).strip())
    if match is None:
        raise ValueError("expected a duration such as 500ms, 10s, 5m, 24h or 7d")
    return timedelta(seconds=float(match[1]) * _UNITS[match[2] or "s"])


def _names(value: object) -> object:
    if isinstance(value, str):
        return [name for name in (part.strip() for part in value.split(",")) if name]
    return value


def _size(value: object) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(MiB|GiB)?", str(value).strip())
    if found is None:
        raise ValueError("expected a size such as 512MiB, 2GiB or a number of bytes")
    return round(float(found[1]) * {None: 1, "MiB": 2**20, "GiB": 2**30}[found[2]])


def _json(value: object) -> object:
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError as error:
            raise ValueError(f'expected JSON such as {{"pdf": {{"max_concurrency": 3}}}}: {error}') from None
    return value


def _queues(value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    for name, words in value.items():
        try:
            check_queue_name(name)
            settings_from_words(words)
        except BadSetting as error:
            raise ValueError(f"queue {name}: {error}") from None
    return value


def _queue_names(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        try:
            check_queue_name(name)
        except BadSetting as error:
            raise ValueError(error.problem) from None
    return value


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(
            "expected HOST:PORT with a port from 0 to 65535, such as 127.0.0.1:7443 or [::1]:7443"
        )
    return value


def _redis_url(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in {"redis", "rediss", "unix"} or not (parts.netloc or parts.path)):
        raise ValueError("expected a URL such as redis://127.0.0.1:6379/0, rediss://HOST or unix:///PATH")
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(lambda value: f"{value / timedelta(milliseconds=1):.0f}ms"),
]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names), PlainSerializer(",".join)]
OptionalAddress = Annotated[str, AfterValidator(lambda value: _address(value) if value else value)]
Address = Annotated[str, AfterValidator(_address)]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
Queues = Annotated[
    dict[str, dict[str, Any]],
    NoDecode,
    BeforeValidator(_json),
    AfterValidator(_queues),
    PlainSerializer(json.dumps),
]
Size = Annotated[int, BeforeValidator(_size)]
MINUTE = timedelta(minutes=1)


class Settings(BaseSettings):
    """All settings, checked. Durations are ``timedelta``; in text they carry a unit, without one they are seconds."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    redis_url: RedisUrl = Field("", repr=False)
    """Redis or Valkey that holds the queues. Empty: `jobsvc dev` embeds one; the other commands need it."""
    namespace: str = Field("jobsvc", pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """First part of every key, so that several installations may share one Redis."""
    listen: Address = "127.0.0.1:7443"
    """Where the server takes calls; port 0 lets the system choose."""

    imports: Names = ()
    """Modules that define handlers; a worker imports them. Empty: `jobsvc dev` takes the samples."""
    queues: Annotated[Names, AfterValidator(_queue_names)] = ()
    """Queues that a worker serves; empty for all queues of its handlers."""
    queue: Queues = Field(default_factory=dict)
    """Settings of queues by name: in the file as tables ``[queue.NAME]``, in the environment as JSON."""
    processes: int = Field(1, ge=1, le=256)
    """Worker processes."""
    threads: int = Field(default_factory=lambda: min(8, max(4, os.cpu_count() or 1)), ge=1, le=1024)
    """Slots of one worker process: how many jobs it runs at the same time."""

    data_dir: Path = Path(".jobsvc")
    """Where `jobsvc dev` keeps its state; one `jobsvc dev` at a time may use it."""
    data_folder: Path | None = None
    """Folder whose CSV files the samples may read, beside the tables that ship; none by default."""

    lease: Duration = Field(timedelta(seconds=10), ge=timedelta(seconds=1), le=10 * MINUTE)
    """How long a worker may be silent before its jobs are taken to be lost and run again."""
    cancel_grace: Duration = Field(timedelta(seconds=0.5), ge=timedelta(0), le=10 * MINUTE)
    """How long a cancelled or timed-out job may take to stop by itself before its process is killed."""
    recycle_after: int = Field(0, ge=0)
    """A child process of a worker is replaced after so many jobs; 0 for never."""
    recycle_above: Size = 0
    """A child process that has become larger is replaced after its job, such as 1GiB; 0 for never."""
    stop_grace: Duration = Field(timedelta(seconds=20), ge=timedelta(0), le=10 * MINUTE)
    """How long running jobs may take to finish when a worker stops; what is left is handed back, not counted."""
    health: OptionalAddress = ""
    """Where a worker answers health checks; empty for nowhere. With several processes each takes the next port."""
    inline_limit_bytes: int = Field(262_144, ge=1024, le=16 * 1024 * 1024)
    """Largest arguments and largest result of a job, as JSON text in bytes."""
    max_batch: int = Field(10_000, ge=1, le=100_000)
    """Most jobs in one batch."""
    retention_completed: Duration = Field(timedelta(hours=24), ge=timedelta(seconds=1))
    """How long a completed job can be read."""
    retention_completed_count: int = Field(0, ge=0)
    """How many completed jobs of a queue are kept, the newest; 0 for no limit. Those younger than ten minutes stay."""
    retention_cancelled: Duration = Field(timedelta(hours=24), ge=timedelta(seconds=1))
    """How long a cancelled job can be read."""
    retention_cancelled_count: int = Field(0, ge=0)
    """How many cancelled jobs of a queue are kept; 0 for no limit."""
    retention_failed: Duration = Field(timedelta(days=7), ge=timedelta(seconds=1))
    """How long a failed job can be read."""
    retention_failed_count: int = Field(0, ge=0)
    """How many failed jobs of a queue are kept; 0 for no limit."""
    heartbeat: Duration = Field(timedelta(seconds=15), ge=timedelta(seconds=1), le=10 * MINUTE)
    """How often a stream without news says that it is alive."""
    stream_interval: Duration = Field(timedelta(milliseconds=200), ge=timedelta(milliseconds=10), le=MINUTE)
    """Shortest time between two updates of one job to one watcher, unless the watcher asks for another."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least important log lines to write."""
    log_format: Literal["console", "json"] = "console"
    """How log lines are written to standard error: for people or for machines."""

    @property
    def host(self) -> str:
        """The host part of ``listen``, with the brackets of an IPv6 address."""
        return self.listen.rpartition(":")[0]

    @property
    def port(self) -> int:
        """The port of ``listen``; 0 lets the system choose."""
        return int(self.listen.rpartition(":")[2])

    def environment(self) -> dict[str, str]:
        """Return these settings as environment variables, for a child process that shall have the same."""
        values = self.model_dump(exclude_none=True)
        return {f"{PREFIX}{name.upper()}": str(value) for name, value in values.items()}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the command line's values first, then the environment, then the file; nothing else."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=config_file())


def config_file() -> Path:
    """Return the configuration file's path; it need not exist."""
    return Path(os.environ.get(FILE_VARIABLE) or FILE_NAME)


def load(**options: object) -> Settings:
    """Read and check all settings.

    Args:
        options: Values of the command line by setting; None where the user gave none.

    Returns:
        The settings, which do not change any more.

    Raises:
        ConfigurationError: At least one is wrong; the message lists every wrong one.
    """
    given = {name: value for name, value in options.items() if value is not None}
    try:
        in_file = _read_file()
        problems = list(_misspelt(os.environ))
        settings = Settings(**given)  # type: ignore[arg-type]  # pydantic checks them
    except ValidationError as error:
        problems += [_problem(entry, given, in_file) for entry in error.errors()]
        raise _wrong(problems) from None
    if problems:
        raise _wrong(problems)
    return settings


def _read_file() -> Mapping[str, Any]:
    path = config_file()
    if not path.exists():
        if os.environ.get(FILE_VARIABLE):
            raise ConfigurationError(f"{FILE_VARIABLE}={path} names a file that does not exist")
        return {}
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read as TOML: {error}") from error


def _misspelt(environment: Mapping[str, str]) -> Iterator[str]:
    """Find variables that are no settings but look like one: a slip that would otherwise go unnoticed."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known:
            near = get_close_matches(name, known, n=1, cutoff=0.9)
            if near:
                yield f"environment variable {name}: there is no such setting; did you mean {near[0]}?"


def _problem(entry: Mapping[str, Any], given: Mapping[str, object], in_file: Mapping[str, Any]) -> str:
    name = str(entry["loc"][0])
    if name in given:
        place = f"option {name}"
    elif f"{PREFIX}{name.upper()}" in os.environ:
        place = f"environment variable {PREFIX}{name.upper()}"
    else:
        place = f"{config_file()}: {name}"
    if entry["type"] == "extra_forbidden":
        near = get_close_matches(name, Settings.model_fields, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"{place}: there is no such setting{hint}"
    text = re.sub(r"^Value error, ", "", str(entry["msg"]))
    shown = "" if name == "redis_url" else f" (it is {entry['input']!r})"
    return f"{place}: {text[0].lower()}{text[1:]}{shown}"


def _wrong(problems: list[str]) -> ConfigurationError:
    if len(problems) == 1:
        return ConfigurationError(f"wrong setting: {problems[0]}")
    return ConfigurationError("\n".join(["wrong settings:", *(f"  - {problem}" for problem in problems)]))
