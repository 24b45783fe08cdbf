"""Names for positional arguments, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobsvc.broker.binding import bind, unbind
from jobsvc.broker.options import ActorOptions, priority_of, retry_policy
from jobsvc.model.job import Priority


def plain(a: Any, b: Any = 0) -> Any:
    return a, b


def starred(a: Any, *rest: Any, k: Any = None) -> Any:
    return a, rest, k


def catching(a: Any, /, b: Any, *rest: Any, k: Any = None, **more: Any) -> Any:
    return a, b, rest, k, more


VALUES = st.integers()


@pytest.mark.parametrize("function", [plain, starred, catching])
@given(data=st.data())
def test_call_by_names_is_the_call_that_was_made(function: Callable[..., Any], data: st.DataObject) -> None:
    least = 2 if function is catching else 1
    most = 2 if function is plain else 5
    args = data.draw(st.lists(VALUES, min_size=least, max_size=most))
    kwargs = {} if function is plain else data.draw(st.dictionaries(st.just("k"), VALUES))
    if function is catching:
        kwargs |= data.draw(st.dictionaries(st.sampled_from(["x", "y", "z"]), VALUES))

    back_args, back_kwargs = unbind(function, bind(function, args, kwargs))

    assert function(*back_args, **back_kwargs) == function(*args, **kwargs)


def test_arguments_that_do_not_fit_are_a_type_error() -> None:
    with pytest.raises(TypeError):
        bind(plain, (1, 2, 3), {})


@pytest.mark.parametrize(
    ("number", "priority"), [(-10, Priority.HIGH), (0, Priority.MEDIUM), (10, Priority.LOW)]
)
def test_lower_numbers_are_more_urgent(number: int, priority: Priority) -> None:
    assert priority_of(number) is priority


def test_options_of_dramatiq_keep_their_meaning() -> None:
    policy = retry_policy({"max_retries": 0, "min_backoff": 5, "max_backoff": 50, "throws": KeyError})

    assert (policy.max_attempts, policy.initial_ms, policy.max_ms) == (1, 5, 50)
    assert policy.non_retryable_types == ("builtins.KeyError",)
    assert retry_policy({}) == retry_policy({"max_retries": 2})
    assert {"max_retries", "time_limit", "throws"} <= ActorOptions().actor_options
