"""The Lua files: their headers say what their code does, and their names are those of Python."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from jobsvc.model.job import HEAD_START_MS
from jobsvc.store import scripts
from jobsvc.store.keys import Keys
from tests.store.bench import Bench

FOLDER = files("jobsvc.store") / "lua"
HEADER = re.compile(
    r"--\[\[ (?P<name>\w+): .+?\n"
    r"KEYS (?P<keys>.+?)\n"
    r"ARGV (?P<argv>.+?)\n"
    r"Returns (?P<returns>.+?)\n"
    r"Errors (?P<errors>.+?)\n"
    r"Events (?P<events>.+?) \]\]\n",
    re.DOTALL,
)
ALL = scripts.names()


def source(name: str) -> str:
    return (FOLDER / f"{name}.lua").read_text("utf-8")


def code(name: str) -> str:
    """A script with its includes and without comments."""
    text = re.sub(r"--\[\[.*?\]\]", "", scripts.load(name).body, flags=re.DOTALL)
    return re.sub(r"--.*", "", text)


def header(name: str) -> re.Match[str]:
    found = HEADER.match(source(name))
    assert found, f"{name}.lua must begin with its contract"
    return found


@pytest.mark.parametrize("name", ALL)
def test_header_names_the_script_and_its_one_key(name: str) -> None:
    assert header(name)["name"] == name
    assert header(name)["keys"] == "1 tag of the shard"
    assert set(re.findall(r"KEYS\[(\d+)\]", code(name))) <= {"1"}


@pytest.mark.parametrize("name", ALL)
def test_header_counts_the_arguments(name: str) -> None:
    """Arguments that the header numbers are used, and all numbers that the code uses are in the header."""
    own = re.sub(r"--\[\[.*?\]\]", "", source(name), flags=re.DOTALL)
    used = {int(number) for number in re.findall(r"ARGV\[(\d+)\]", own)}
    listed = re.sub(r"\([^)]*\)", "", header(name)["argv"])  # explanations have numbers of their own
    numbered = {int(number) for number in re.findall(r"(?:^|[,;:]\s+)(\d+) ", listed)}

    assert used <= numbered
    assert numbered == set(range(1, len(numbered) + 1))
    if numbered and "per " not in listed and "then" not in listed:
        assert used == numbered


@pytest.mark.parametrize("name", ALL)
def test_header_names_the_errors(name: str) -> None:
    raised = set(re.findall(r"error_reply\('([A-Z_]+)", code(name)))

    assert raised == set(re.findall(r"[A-Z]+_[A-Z_]+", header(name)["errors"]))
    refused_when_full = "#flags" not in source(name)
    assert refused_when_full == ("OOM" in header(name)["errors"])


@pytest.mark.parametrize("name", ALL)
def test_header_says_whether_somebody_is_told(name: str) -> None:
    own = source(name).partition("]]")[2]
    tells = re.search(r"\b(announce|moved|finish|claim|promote|make_ready|reap)\(|'PUBLISH'", own) is not None

    assert tells == (header(name)["events"] != "none")


@pytest.mark.parametrize("name", ALL)
def test_script_looks_nowhere_by_pattern_and_is_short(name: str) -> None:
    assert not re.search(r"'(KEYS|SCAN|HSCAN|SSCAN|ZSCAN)'", code(name))
    assert len(source(name).splitlines()) <= 90


@pytest.mark.parametrize("name", ALL)
def test_script_is_accepted_by_redis(name: str, bench: Bench) -> None:
    script = scripts.load(name)

    assert bench.redis.script_load(script.body) == script.digest.decode()


def test_keys_of_lua_are_those_of_python(bench: Bench) -> None:
    keys = Keys("some.name-space", 3)
    include = (FOLDER / "includes" / "keys.lua").read_text("utf-8")
    body = (
        f"{include}\nreturn {{P, job_key('J'), part_key('J', 'result'), queue_key('Q', 'ready'), batch_key('B'), "
        "batch_part('B', 'named'), claim_key('W', 'idle'), watch_channel('J'), QUEUES, TYPES, WORKERS, CONTROL, "
        "CATALOG}"
    )

    assert bench.redis.eval(body, 1, keys.tag) == [
        keys.tag,
        keys.job("J"),
        keys.part("J", "result"),
        keys.queue("Q", "ready"),
        keys.batch("B"),
        keys.batch_part("B", "named"),
        keys.claim("W", "idle"),
        keys.watch("J"),
        keys.queues,
        keys.types,
        keys.workers,
        keys.control,
        keys.catalog,
    ]


def test_head_starts_of_lua_are_those_of_the_model() -> None:
    core = (FOLDER / "includes" / "core.lua").read_text("utf-8")
    table = re.search(r"HEAD_START = \{(.+?)\}", core)
    assert table

    found = {int(number): int(ms) for number, ms in re.findall(r"\['(\d+)'\] = (\d+)", table[1])}

    assert found == {int(priority): ms for priority, ms in HEAD_START_MS.items()}
