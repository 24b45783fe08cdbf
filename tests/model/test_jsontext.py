"""Strict JSON: what is accepted is read alike by everybody, and comes back as it went in."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobsvc.model.jsontext import MAX_DEPTH, MAX_NUMBER_LENGTH, JsonProblem, dump, parse

TEXT = st.text(st.characters(exclude_categories=("Cs",)))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**300), 10**300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types: 1 is not 1.0 and not true."""
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(same(value, other[key]) for key, value in one.items())
        )
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


@given(VALUES)
def test_written_values_are_read_back(value: Any) -> None:
    assert same(parse(dump(value)), value)


@given(VALUES, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_however_it_is_written_it_is_the_same_value(value: Any, indent: Any, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)

    assert same(parse(text), value)


@given(st.text() | st.from_regex(r'[\[\]{}",:0-9eE+\-.\\utrfalsn \n]*', fullmatch=True))
def test_whatever_is_accepted_survives_the_round_trip(text: str) -> None:
    try:
        value = parse(text)
    except JsonProblem:
        return

    assert same(parse(dump(value)), value)
    dump(value).encode()  # and UTF-8 can carry it


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("NaN", "has NaN, which JSON does not allow; use null or a string"),
        ('{"a": [Infinity]}', "has Infinity"),
        ("-Infinity", "has -Infinity"),
        ("1e999", "has the number 1e999, which is too large"),
        ("-1e999", "too large"),
        ("1" * (MAX_NUMBER_LENGTH + 1), "has a whole number of 401 digits; at most 400"),
        ("1." + "1" * MAX_NUMBER_LENGTH, "too large"),
        ('{"a": 1, "b": 2, "a": 3}', "has the key 'a' twice"),
        (r'"\ud83d"', "half of a surrogate pair"),
        (r'{"\uDE00": 1}', "half of a surrogate pair"),
        ('"\ud83d"', "half of a surrogate pair"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested deeper than 64 levels"),
        ('{"a":' * 100 + "1" + "}" * 100, "nested deeper"),
        ("[" * 200_000, "nested deeper|is not JSON"),
        ("", "is not JSON: Expecting value at character 0"),
        ("{'a': 1}", "is not JSON"),
        ("[1,]", "is not JSON"),
        ("1 2", "is not JSON"),
        ("// x", "is not JSON"),
        ("\ufeff1", "is not JSON"),
    ],
)
def test_what_others_would_read_differently_is_refused(text: str, problem: str) -> None:
    with pytest.raises(JsonProblem, match=problem):
        parse(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"\ud83d\ude00"', "\U0001f600"),
        ("9" * MAX_NUMBER_LENGTH, int("9" * MAX_NUMBER_LENGTH)),
        ("1e308", 1e308),
        ("-0.0", -0.0),
        ("18446744073709551616", 2**64),
        ("[" * MAX_DEPTH + "]" * MAX_DEPTH, None),
        ('"[[[[{{{{' + "[" * 100 + '"', None),
    ],
)
def test_what_everybody_reads_alike_is_accepted(text: str, value: Any) -> None:
    read = parse(text)

    assert value is None or same(read, value)
    assert math.copysign(1, read) == math.copysign(1, value) if isinstance(value, float) else True


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (float("nan"), "the value is nan; JSON has no such number"),
        ({"a": [1, float("inf")]}, r"the value.a\[1\] is inf"),
        (object(), "cannot be written as JSON"),
        ([10**5_000], "cannot be written as JSON: Exceeds the limit"),
        ({(1, 2): 3}, "cannot be written as JSON"),
        ("\ud800", "half of a surrogate pair"),
        ({"\udfff": 1}, "half of a surrogate pair"),
    ],
)
def test_values_without_json_are_refused(value: Any, problem: str) -> None:
    with pytest.raises(JsonProblem, match=problem):
        dump(value)


def test_value_that_contains_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)

    with pytest.raises(JsonProblem, match="refers to itself"):
        dump(value)


def test_json_is_written_compactly() -> None:
    assert dump({"a": [1, None, True], "é": "\n"}) == '{"a":[1,null,true],"é":"\\n"}'
