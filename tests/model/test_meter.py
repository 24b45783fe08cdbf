"""Rates and percentiles from counts by class, against the numbers themselves."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobsvc.model.meter import CANCELLED, COMPLETED, FAILED, RETRIED, WAIT, Meter, length_class, length_of

LENGTHS = st.integers(0, 30 * 86_400_000)


@given(LENGTHS)
def test_length_stands_for_its_class(length_ms: int) -> None:
    found = length_of(length_class(length_ms))

    assert abs(found - length_ms) <= 0.5 + 0.033 * length_ms


@given(st.lists(LENGTHS, min_size=1), st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_percentile_is_right_to_three_percent(lengths_ms: list[int], share: float) -> None:
    meter = Meter(1_000, Counter((COMPLETED, length_class(length)) for length in lengths_ms))

    found = meter.run_ms(share)

    true = sorted(lengths_ms)[max(0, math.ceil(share * len(lengths_ms)) - 1)]
    assert found is not None
    assert abs(found - true) <= 0.5 + 0.033 * true


def test_only_ends_count_for_the_rate_and_attempts_for_the_time() -> None:
    meter = Meter.read(20_000, {"c0": 3, "f11": 1, "x": 4, "r17": 2, "w40": 9})

    assert meter.per_second == pytest.approx(8 / 20)
    assert meter.failure_ratio == pytest.approx(1 / 8)
    assert (meter.run_ms(0.5), meter.run_ms(1.0)) == (0, length_of(17))
    assert meter.wait_ms(0.5) == length_of(40)


def test_nothing_has_no_percentiles() -> None:
    meter = Meter(60_000)

    assert (meter.per_second, meter.failure_ratio, meter.wait_ms(0.5), meter.run_ms(0.5)) == (
        0,
        0,
        None,
        None,
    )
    assert Meter(0).per_second == 0


def test_sum_has_the_events_of_both() -> None:
    one = Meter(60_000, {(COMPLETED, 3): 1, (WAIT, 1): 1})
    other = Meter(60_000, {(COMPLETED, 3): 2, (FAILED, 3): 1, (RETRIED, 5): 1, (CANCELLED, -1): 1})

    assert (one + other).counts == {
        (COMPLETED, 3): 3,
        (WAIT, 1): 1,
        (FAILED, 3): 1,
        (RETRIED, 5): 1,
        (CANCELLED, -1): 1,
    }
