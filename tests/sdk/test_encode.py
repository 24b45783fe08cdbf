"""Arguments become JSON text, or an error that names the place."""

from __future__ import annotations

import enum
import json
import math
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from jobsvc_sdk._encode import encode_arguments
from jobsvc_sdk.errors import ParamError

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


class Colour(enum.Enum):
    RED = "red"


class Point(BaseModel):
    x: int
    when: date


def encoded(value: Any) -> Any:
    return json.loads(encode_arguments({"value": value}))["value"]


@settings(deadline=None)
@given(st.dictionaries(st.text(), PLAIN, max_size=5))
def test_json_values_come_back_as_they_were(arguments: dict[str, Any]) -> None:
    assert json.loads(encode_arguments(arguments)) == arguments


def test_whole_numbers_of_any_size_stay_exact() -> None:
    assert encoded(2**80 + 1) == 2**80 + 1


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (date(2026, 3, 1), "2026-03-01"),
        (datetime(2026, 3, 1, 12, tzinfo=UTC), "2026-03-01T12:00:00+00:00"),
        (time(12, 30), "12:30:00"),
        (timedelta(seconds=90, milliseconds=5), "PT90.005S"),
        (timedelta(seconds=-1), "-PT1.0S"),
        (Decimal("12"), 12),
        (Decimal("0.1"), 0.1),
        (Decimal("0.1234567890123456789012"), "0.1234567890123456789012"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (Colour.RED, "red"),
        (PurePosixPath("a/b"), "a/b"),
        ((1, 2), [1, 2]),
        (Point(x=1, when=date(2026, 3, 1)), {"x": 1, "when": "2026-03-01"}),
        (np.int64(5), 5),
        (np.float32(0.5), 0.5),
        (np.float64(0.1), 0.1),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.datetime64("2026-03-01T12:00"), "2026-03-01T12:00"),
        (pd.Timestamp("2026-03-01T12:00:00Z"), "2026-03-01T12:00:00+00:00"),
        (pd.Timedelta(seconds=2), "PT2.0S"),
    ],
)
def test_usual_values_are_converted(value: Any, wanted: Any) -> None:
    found = encoded(value)

    assert found == wanted
    assert type(found) is type(wanted)


@pytest.mark.parametrize(
    ("arguments", "place", "words"),
    [
        ({"rows": [{"price": 1.0}, {"price": math.nan}]}, "arguments.rows[1].price", "is NaN"),
        ({"limit": math.inf}, "arguments.limit", "is infinite"),
        ({"limit": -math.inf}, "arguments.limit", "is infinite"),
        ({"limit": Decimal("NaN")}, "arguments.limit", "is NaN"),
        ({"a": np.float64("nan")}, "arguments.a", "is NaN"),
        ({"a": np.array([1.0, math.nan])}, "arguments.a[1]", "is NaN"),
        ({"a": pd.NaT}, "arguments.a", "is NaT"),
        ({"a": np.datetime64("NaT")}, "arguments.a", "is NaT"),
        ({"a": {1, 2}}, "arguments.a", "is a set, which JSON cannot carry; use a sorted list"),
        ({"a": b"x"}, "arguments.a", "is a bytes"),
        ({"a": object()}, "arguments.a", "is a object"),
        ({"a": pd.DataFrame({"x": [1]})}, "arguments.a", "use .to_dict()"),
        ({"a": pd.Series([1])}, "arguments.a", "use .to_dict()"),
        ({"a": {1: "x"}}, "arguments.a", "keys must be text"),
    ],
)
def test_value_that_json_cannot_carry_is_named(arguments: dict[str, Any], place: str, words: str) -> None:
    with pytest.raises(ParamError) as caught:
        encode_arguments(arguments)

    assert [violation.field for violation in caught.value.violations] == [place]
    assert words in caught.value.violations[0].description
    assert f"{place} " in str(caught.value)


def test_every_wrong_place_is_named_at_once() -> None:
    with pytest.raises(ParamError) as caught:
        encode_arguments({"a": math.nan, "b": [set()], "c": 1})

    assert [violation.field for violation in caught.value.violations] == ["arguments.a", "arguments.b[0]"]


def test_structure_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)

    with pytest.raises(ParamError, match="does it contain itself"):
        encode_arguments({"loop": loop})


def test_arguments_must_be_a_dict() -> None:
    with pytest.raises(ParamError, match="must be a dict of names and values, not list"):
        encode_arguments([1])  # type: ignore[arg-type]
