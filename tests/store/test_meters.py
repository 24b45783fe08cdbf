"""What scripts note for rates and percentiles: every start and every end once, in its class."""

from __future__ import annotations

from collections import Counter
from importlib.resources import files

import pytest

from jobsvc.model.job import Priority
from jobsvc.model.lifecycle import Outcome
from jobsvc.model.meter import CANCELLED, COMPLETED, FAILED, MAX_WINDOW_MS, RETRIED, WAIT, length_class
from jobsvc.store import calls
from tests.store.bench import Bench

INCLUDES = files("jobsvc.store") / "lua" / "includes"


def events(bench: Bench, queue: str = "q") -> Counter[str]:
    meter = bench.run(calls.meters([queue], window_ms=60_000))[queue]
    assert 60_000 <= meter.span_ms < 70_000
    found: Counter[str] = Counter()
    for (letter, _), count in meter.counts.items():
        found[letter] += count
    return found


def test_starts_and_ends_are_counted_once_also_when_they_are_told_again(bench: Bench) -> None:
    for name in "abcde":
        bench.submit(name)
    a, b, c, d = bench.claim(4, request="r")
    bench.claim(4, request="r")
    for _ in range(2):
        bench.finish(a)
        bench.finish(b, Outcome.FAILED, "{}")
        bench.finish(c, Outcome.RETRIED, "{}", delay_ms=60_000)
        bench.finish(d, Outcome.RELEASED)
        bench.cancel("e")

    assert events(bench) == {WAIT: 4, COMPLETED: 1, FAILED: 1, RETRIED: 1, CANCELLED: 1}


def test_lost_too_often_is_an_end_and_lost_alone_is_none(bench: Bench) -> None:
    bench.submit("a", max_lost_attempts=1)
    for ends in (0, 1):
        bench.claim_one()
        bench.expire("a")
        bench.sweep()
        assert events(bench)[FAILED] == ends


@pytest.mark.parametrize("priority", [Priority.LOW, Priority.URGENT])
def test_wait_is_measured_from_when_the_job_was_ready(bench: Bench, priority: Priority) -> None:
    bench.submit("a", priority=priority, delay_ms=600_000)
    bench.make_due("a", at_ms=bench.now_ms() - 5_000)
    bench.sweep()

    bench.claim_one()

    meter = bench.run(calls.meters(["q"], window_ms=60_000))["q"]
    assert 4_800 <= (meter.wait_ms(0.5) or 0) <= 60_000


def test_classes_of_lua_are_those_of_the_model(bench: Bench) -> None:
    lengths = [0, 1, 2, 3, 10, 999, 1_000, 60_000, 86_400_000, 30 * 86_400_000]
    body = (
        "local now, got = 0, {}\nlocal function queue_key() return '' end\n"
        "local redis = { call = function(_, _, what) got[#got + 1] = what; return 2 end }\n"
        + (INCLUDES / "meter.lua").read_text("utf-8")
        + "\nfor _, length in ipairs(ARGV) do meter('q', 'c', tonumber(length)) end\nreturn got"
    )

    assert bench.redis.eval(body, 0, *lengths) == [f"c{length_class(length)}" for length in lengths]


def test_what_was_counted_is_kept_for_the_longest_window_and_not_for_ever(bench: Bench) -> None:
    bench.submit("a")
    bench.claim_one()

    [key] = bench.redis.keys(f"{bench.keys.tag}:queue:q:meter-*")

    assert MAX_WINDOW_MS / 1_000 + 20 <= bench.redis.ttl(key) <= 1_000
