"""The benches' own arithmetic."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.figures import Bound, Drain, Reading, Result, paired_ratio, percentile


def test_percentile_interpolates() -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.5
    assert percentile([7.0], 0.99) == 7.0
    assert percentile(range(101), 0.99) == 99


@given(st.lists(st.floats(-1e9, 1e9), min_size=1), st.floats(0, 1))
def test_percentile_lies_between_the_extremes(values: list[float], share: float) -> None:
    slack = 1e-6
    assert min(values) - slack <= percentile(values, share) <= max(values) + slack


def test_percentile_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_paired_ratio_compares_within_rounds() -> None:
    # the machine was twice as slow in the second round and ten times in the third; the ratio does not show it
    assert paired_ratio([300.0, 150.0, 30.0], [100.0, 50.0, 10.0]) == 3.0


def test_paired_ratio_needs_the_same_rounds() -> None:
    with pytest.raises(ValueError, match="zip"):
        paired_ratio([1.0, 2.0], [1.0])


def test_drain_is_a_rate_and_cpu_for_a_thousand_jobs() -> None:
    first = Reading(at_s=10.0, done=1_000, worker_cpu_s=5.0, store_cpu_s=1.0)
    last = Reading(at_s=12.0, done=9_000, worker_cpu_s=6.6, store_cpu_s=1.4)

    drain = Drain.between(first, last)

    assert drain.rate == 4_000
    assert drain.worker_cpu_s == pytest.approx(0.2)
    assert drain.store_cpu_s == pytest.approx(0.05)
    assert drain.cpu_s == pytest.approx(0.25)


def test_drain_of_nothing_is_an_error() -> None:
    reading = Reading(1.0, 10, 0.0, 0.0)

    with pytest.raises(ValueError, match="cannot be measured"):
        Drain.between(reading, reading)


@pytest.mark.parametrize(
    ("value", "bound", "line"),
    [
        (3.4567, Bound(">=", 3), "RESULT a.b 3.457 ratio must >=3 pass"),
        (2.9, Bound(">=", 3), "RESULT a.b 2.9 ratio must >=3 fail"),
        (2.5, Bound("<=", 2.5), "RESULT a.b 2.5 ratio must <=2.5 pass"),
        (math.nan, Bound("<=", 2.5), "RESULT a.b nan ratio must <=2.5 fail"),
        (12345.6, None, "RESULT a.b 12346 ratio must none pass"),
    ],
)
def test_result_line_says_whether_the_bound_holds(value: float, bound: Bound | None, line: str) -> None:
    result = Result("a.b", value, "ratio", bound)

    assert result.line() == line
    assert result.passed == line.endswith("pass")
