"""The benches run, with few samples and without the peers, and say what they found."""

from __future__ import annotations

import re

import pytest

from benchmarks import drain, latency, watch

LINE = re.compile(r"^RESULT [a-z0-9_.]+ \S+ \S+ must (none|[<>]=[0-9.]+) (pass|fail)$")


def results(output: str) -> dict[str, float]:
    lines = [line for line in output.splitlines() if line.startswith("RESULT")]
    assert all(LINE.match(line) for line in lines), lines
    return {line.split()[1]: float(line.split()[2]) for line in lines}


@pytest.mark.parametrize("contestant", ["threads", "processes"])
def test_drain_bench_measures_and_ends(contestant: str, capfd: pytest.CaptureFixture[str]) -> None:
    # enough to keep a worker busy for seconds: what is drained while this process waits for a core cannot be measured
    status = drain.main(["--rounds", "1", "--jobs", "20000", "--only", contestant])

    figures = results(capfd.readouterr().out)
    assert status == 0
    assert figures[f"drain.{contestant}.rate"] > 0
    assert figures[f"drain.{contestant}.cpu_per_1000_jobs"] >= 0


def test_latency_bench_measures_and_ends(capfd: pytest.CaptureFixture[str]) -> None:
    latency.main(["--rounds", "1", "--samples", "5", "--seconds", "0.2"])

    figures = results(capfd.readouterr().out)
    assert figures["latency.start_threads_vs_bare"] > 0
    assert figures["latency.start_processes_vs_bare"] > 0
    assert figures["latency.submit_1_vs_echo"] > 0
    assert figures["latency.submit_16_vs_echo"] > 0


def test_watch_bench_sees_every_watcher_through(capfd: pytest.CaptureFixture[str]) -> None:
    status = watch.main(["--rounds", "1", "--watchers", "40", "--seconds", "1"])

    figures = results(capfd.readouterr().out)
    assert status == 0
    assert figures["watch.complete_watchers"] == 40
    assert figures["watch.messages_rate"] > 0


def test_drain_bench_refuses_unknown_contestants(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        drain.main(["--only", "rabbit"])

    assert ended.value.code == 2
    assert "rabbit" not in drain.CONTESTANTS
    assert "contestants out of" in capfd.readouterr().err
