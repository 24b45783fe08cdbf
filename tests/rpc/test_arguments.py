"""Arguments against schemas as pydantic makes them."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from jobsvc.model.catalog import JobType
from jobsvc.model.errors import ArgumentsTooLarge, InvalidRequest
from jobsvc.rpc.arguments import ArgumentsSchema, field_path, parse_arguments


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Row(Strict):
    price: float
    tags: list[str] | None = None


class Arguments(Strict):
    limit: int = Field(ge=1, le=10)
    rows: list[Row] = []
    row: Row | int | None = None
    colour: Colour | None = None
    mode: Literal["fast", "slow"] = "fast"
    name: str = Field("x", max_length=3, pattern="^[a-z]*$")
    nested: dict[str, list[Row]] = {}


SCHEMA = ArgumentsSchema(
    JobType(name="t", queue="q", arguments_schema=json.dumps(Arguments.model_json_schema()))
)


def found(**arguments: Any) -> dict[str, str]:
    return {one.field: one.description for one in SCHEMA.check({"limit": 1, **arguments})}


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"rows": [{"price": 1, "tags": None}, {"price": 2.5, "tags": ["a"]}]},
        {"row": None, "colour": None},
        {"row": {"price": 1}, "colour": "red"},
        {"row": 7},
        {"limit": 10.0},
    ],
)
def test_right_arguments_pass(arguments: dict[str, Any]) -> None:
    assert found(**arguments) == {}


@pytest.mark.parametrize(
    ("arguments", "field", "says"),
    [
        ({"limit": 11}, "spec.arguments.limit", "greater than the maximum of 10"),
        ({"limit": 1.5}, "spec.arguments.limit", "must be integer, not number"),
        ({"rows": {}}, "spec.arguments.rows", "must be array, not object"),
        (
            {"rows": [{"price": 1, "tags": [1]}]},
            "spec.arguments.rows[0].tags[0]",
            "must be string, not integer",
        ),
        (
            {"rows": [{"price": 1, "tags": 1}]},
            "spec.arguments.rows[0].tags",
            "must be array or null, not integer",
        ),
        ({"row": "x"}, "spec.arguments.row", "must be object or integer or null, not string"),
        ({"row": {"price": "x"}}, "spec.arguments.row.price", "must be number, not string"),
        ({"row": {}}, "spec.arguments.row.price", "is required"),
        ({"row": {"price": 1, "x": 1}}, "spec.arguments.row.x", "is not known"),
        ({"colour": "green"}, "spec.arguments.colour", '"green" is not one of'),
        ({"mode": "medium"}, "spec.arguments.mode", '"medium" is not one of'),
        ({"name": "long"}, "spec.arguments.name", "longer than 3"),
        ({"name": "A"}, "spec.arguments.name", "does not match"),
        ({"nested": {"a b": [{}]}}, 'spec.arguments.nested["a b"][0].price', "is required"),
        ({"limits": 1}, "spec.arguments.limits", "did you mean limit?"),
    ],
)
def test_wrong_arguments_name_the_field(arguments: dict[str, Any], field: str, says: str) -> None:
    assert says in found(**arguments)[field]


def test_long_values_do_not_come_back_whole() -> None:
    assert len(found(colour="x" * 100_000)["spec.arguments.colour"]) <= 200


def test_no_more_than_fifty_fields_are_named() -> None:
    assert len(found(rows=[{}] * 500)) == 50


def test_schema_that_points_elsewhere_is_not_fetched() -> None:
    schema = ArgumentsSchema(
        JobType(name="t", queue="q", arguments_schema='{"$ref": "http://127.0.0.1:1/schema.json"}')
    )

    assert schema.check({"anything": 1}) == []


@given(
    st.dictionaries(
        st.text(),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()),
        max_size=4,
    )
)
def test_anything_else_is_refused_politely(arguments: dict[str, Any]) -> None:
    for violation in SCHEMA.check(arguments):
        assert violation.field.startswith("spec.arguments")
        assert violation.description


@given(text=st.text(max_size=200), limit=st.integers(1, 300))
def test_limit_counts_bytes_of_utf8(text: str, limit: int) -> None:
    try:
        parse_arguments(text, limit)
    except ArgumentsTooLarge:
        assert len(text.encode()) > limit
    except InvalidRequest:
        assert len(text.encode()) <= limit


def test_paths_quote_odd_names() -> None:
    assert field_path(["rows", 3, "price", "a.b", "é", ""]) == (
        'spec.arguments.rows[3].price["a.b"]["é"][""]'
    )
