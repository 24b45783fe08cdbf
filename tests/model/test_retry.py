"""How often, and after how long, a failed attempt is repeated."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobsvc.model.retry import RetryOverride, RetryPolicy, RetryRule, names_of

POLICIES = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 1_000),
    initial_ms=st.integers(0, 10**7),
    max_ms=st.integers(0, 10**8),
    multiplier=st.floats(1, 1_000),
    jitter=st.floats(0, 1),
)
LISTED = st.lists(st.integers(0, 10**9), min_size=1, max_size=100).map(tuple)
TYPES = ("builtins.ValueError", "builtins.Exception")
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
        failed_attempts=failed, names=names_of("", TYPES, "application"), after_ms=after, random=lambda: 0.5
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
        failed_attempts=1, names=names_of("", TYPES, "application"), after_ms=None, random=lambda: 0.0
    )

    assert (delay is None) == ends


def test_timeouts_have_no_type_and_are_repeated() -> None:
    policy = RetryPolicy(non_retryable_types=("",))

    assert (
        policy.next_delay_ms(
            failed_attempts=1, names=names_of("", ("",), "timeout"), after_ms=None, random=lambda: 0.0
        )
        == 1_000
    )


def test_job_overrides_what_it_names() -> None:
    policy = RetryPolicy(non_retryable_types=("A",))
    override = RetryOverride(initial_ms=0, jitter=0.0)

    changed = policy.with_override(override, 9)

    assert (changed.initial_ms, changed.jitter, changed.max_attempts) == (0, 0.0, 9)
    assert (changed.max_ms, changed.multiplier, changed.non_retryable_types) == (60_000, 2.0, ("A",))
    assert policy.with_override(None) is policy
    assert policy.with_override(None, 1).max_attempts == 1
    assert policy.with_override(RetryOverride(non_retryable_types=("B",))).non_retryable_types == ("B",)


@given(LISTED, st.integers(1, 10**9), st.floats(0, 1), RANDOM)
def test_listed_delays_come_one_by_one_and_the_last_repeats(
    listed: tuple[int, ...], failed: int, jitter: float, chance: float
) -> None:
    policy = RetryPolicy(delays_ms=listed, jitter=jitter, max_ms=1)

    full = policy.delay_ms(failed, lambda: 0.0)
    delay = policy.delay_ms(failed, lambda: chance)

    assert full == listed[min(failed, len(listed)) - 1]
    assert full * (1 - jitter) - 1 <= delay <= full


@given(POLICIES, st.integers(1, 10**9))
def test_no_delay_is_too_large_to_compute(policy: RetryPolicy, failed: int) -> None:
    assert 0 <= policy.delay_ms(failed, lambda: 0.5) <= policy.max_ms


@given(POLICIES, LISTED, st.none() | st.floats(0, 1))
def test_job_that_lists_delays_means_them_exactly_unless_it_asks_for_jitter(
    policy: RetryPolicy, listed: tuple[int, ...], jitter: float | None
) -> None:
    changed = policy.with_override(RetryOverride(delays_ms=listed, jitter=jitter))

    assert changed.delays_ms == listed
    assert changed.jitter == (jitter or 0.0)


def test_job_that_sets_the_formula_leaves_the_list_of_its_handler() -> None:
    policy = RetryPolicy(delays_ms=(7,), jitter=0.0)

    changed = policy.with_override(RetryOverride(initial_ms=100))

    assert (changed.delays_ms, changed.initial_ms, changed.jitter) == ((), 100, 0.2)
    assert policy.with_override(RetryOverride(jitter=0.5)).delays_ms == (7,)


RULES = (
    RetryRule("INVALID_CREDENTIALS", retry=False),
    RetryRule("RATE_LIMITED", delay_ms=60_000),
    RetryRule("OSError", retry=True),
    RetryRule("*", retry=False),
)


@pytest.mark.parametrize(
    ("code", "types", "after", "expected"),
    [
        ("INVALID_CREDENTIALS", ("jobsvc.ApplicationError",), None, None),
        ("INVALID_CREDENTIALS", ("builtins.OSError",), None, None),  # the first rule that matches
        ("RATE_LIMITED", ("jobsvc.ApplicationError",), None, 60_000),
        ("RATE_LIMITED", ("jobsvc.Retry",), 5, 5),  # the handler knows better
        ("", ("builtins.ConnectionError", "builtins.OSError"), None, 1_000),
        ("", ("builtins.KeyError",), None, None),
        ("", (), None, None),  # "*" is every error, also one that nobody raised
        ("OTHER", ("builtins.KeyError", "builtins.OSError"), None, 1_000),
    ],
)
def test_first_rule_that_matches_decides(
    code: str, types: tuple[str, ...], after: int | None, expected: int | None
) -> None:
    policy = RetryPolicy(rules=RULES, jitter=0.0)

    delay = policy.next_delay_ms(
        failed_attempts=1, names=names_of(code, types, "timeout"), after_ms=after, random=lambda: 0.0
    )

    assert delay == expected


def test_errors_that_nobody_raised_have_names_too() -> None:
    policy = RetryPolicy(rules=(RetryRule("TIMEOUT", retry=False),))

    assert names_of("", (), "timeout") == {"TIMEOUT"}
    assert (
        policy.next_delay_ms(
            failed_attempts=1, names=names_of("", (), "timeout"), after_ms=None, random=lambda: 0.0
        )
        is None
    )
