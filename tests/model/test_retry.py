"""How often, and after how long, a failed attempt is repeated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobsvc.model.retry import RetryOverride, RetryPolicy

POLICIES = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 1_000),
    initial_ms=st.integers(0, 10**7),
    max_ms=st.integers(0, 10**8),
    multiplier=st.floats(1, 10),
    jitter=st.floats(0, 1),
)
RANDOM = st.floats(0, 1, exclude_max=True)


@given(POLICIES, st.integers(1, 10_000), RANDOM)
def test_delay_is_within_its_bounds(policy: RetryPolicy, failed: int, chance: float) -> None:
    delay = policy.delay_ms(failed, lambda: chance)
    full = policy.delay_ms(failed, lambda: 0.0)

    assert 0 <= delay <= policy.max_ms
    assert full <= policy.max_ms
    assert full * (1 - policy.jitter) - 1 <= delay <= full
    assert failed > 1 or full == min(policy.initial_ms, policy.max_ms)


@given(POLICIES, st.integers(1, 1_000))
def test_delays_never_shrink(policy: RetryPolicy, failed: int) -> None:
    assert policy.delay_ms(failed, lambda: 0.0) <= policy.delay_ms(failed + 1, lambda: 0.0)


def test_default_delays_are_those_of_the_documentation() -> None:
    policy = RetryPolicy()

    assert [policy.delay_ms(n, lambda: 0.0) for n in range(1, 9)] == [
        1_000,
        2_000,
        4_000,
        8_000,
        16_000,
        32_000,
        60_000,
        60_000,
    ]
    assert policy.delay_ms(1, lambda: 1.0) == 800


@given(POLICIES, st.integers(1, 2_000), st.none() | st.integers(0, 10**9))
def test_attempts_end(policy: RetryPolicy, failed: int, after: int | None) -> None:
    delay = policy.next_delay_ms(
        failed_attempts=failed, error_type="builtins.ValueError", after_ms=after, random=lambda: 0.5
    )

    assert (delay is None) == (failed >= policy.max_attempts)
    assert delay is None or after is None or delay == after


@pytest.mark.parametrize(
    ("named", "ends"),
    [
        ("builtins.ValueError", True),
        ("ValueError", True),
        ("other.ValueError", False),
        ("KeyError", False),
        ("", False),
    ],
)
def test_exception_types_are_named_in_part_or_in_full(named: str, ends: bool) -> None:
    policy = RetryPolicy(non_retryable_types=(named,))

    delay = policy.next_delay_ms(
        failed_attempts=1, error_type="builtins.ValueError", after_ms=None, random=lambda: 0.0
    )

    assert (delay is None) == ends


def test_timeouts_have_no_type_and_are_repeated() -> None:
    policy = RetryPolicy(non_retryable_types=("",))

    assert policy.next_delay_ms(failed_attempts=1, error_type="", after_ms=None, random=lambda: 0.0) == 1_000


def test_job_overrides_what_it_names() -> None:
    policy = RetryPolicy(non_retryable_types=("A",))
    override = RetryOverride(initial_ms=0, jitter=0.0)

    changed = policy.with_override(override, 9)

    assert (changed.initial_ms, changed.jitter, changed.max_attempts) == (0, 0.0, 9)
    assert (changed.max_ms, changed.multiplier, changed.non_retryable_types) == (60_000, 2.0, ("A",))
    assert policy.with_override(None) is policy
    assert policy.with_override(None, 1).max_attempts == 1
    assert policy.with_override(RetryOverride(non_retryable_types=("B",))).non_retryable_types == ("B",)
