"""A job type's schema as a signature, and calls checked against it before anything is sent."""

from __future__ import annotations

import inspect
import json
from datetime import date
from typing import Any, Literal

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, create_model

from jobsvc_sdk import _schema
from jobsvc_sdk._signature import bind, signature_of, signature_text
from jobsvc_sdk.errors import ParamError
from jobsvc_sdk.values import JobTypeValue


class Row(BaseModel):
    price: float
    tags: list[str] = []


MODEL = create_model(
    "Arguments",
    __config__=ConfigDict(extra="forbid"),
    portfolio=(str, ...),
    scenarios=(int, Field(500, ge=1, le=10_000)),
    asof=(date | None, None),
    kind=(Literal["fast", "exact"], "fast"),
    rows=(list[Row], []),
    weights=(dict[str, float] | None, None),
)
SCHEMA = json.dumps(MODEL.model_json_schema())
REPRICE = JobTypeValue("reprice", arguments_schema_json=SCHEMA)


def refused(*args: Any, **kwargs: Any) -> ParamError:
    with pytest.raises(ParamError) as caught:
        bind(REPRICE, signature_of(SCHEMA), args, kwargs)
    return caught.value


def test_signature_has_names_defaults_and_annotations() -> None:
    signature = signature_of(SCHEMA)

    assert list(signature.parameters) == ["portfolio", "scenarios", "asof", "kind", "rows", "weights"]
    assert signature.parameters["portfolio"].default is inspect.Parameter.empty
    assert signature.parameters["portfolio"].annotation is str
    assert signature.parameters["scenarios"].default == 500
    assert signature.parameters["asof"].annotation == date | None


def test_signature_reads_like_the_handler() -> None:
    assert signature_text(signature_of(SCHEMA)) == (
        "(portfolio: str, scenarios: int = 500, asof: date | None = None, kind: 'fast' | 'exact' = 'fast', "
        "rows: list[dict] = [], weights: dict | None = None)"
    )


def test_required_argument_after_an_optional_one_becomes_keyword_only() -> None:
    schema = {"properties": {"a": {"default": 1}, "b": {"type": "integer"}}, "required": ["b"]}
    schema["additionalProperties"] = False

    assert signature_text(signature_of(json.dumps(schema))) == "(a: Any = 1, *, b: int)"


def test_names_that_are_no_python_names_go_to_the_rest() -> None:
    schema = {
        "properties": {"class": {"type": "string"}, "from-date": {"type": "string"}},
        "required": ["class"],
    }
    job_type = JobTypeValue("t", arguments_schema_json=json.dumps({**schema, "additionalProperties": False}))
    signature = signature_of(job_type.arguments_schema_json)

    encoded = bind(job_type, signature, (), {"class": "x", "from-date": "y"})

    assert json.loads(encoded) == {"class": "x", "from-date": "y"}
    with pytest.raises(ParamError, match="class: is missing"):
        bind(job_type, signature, (), {})


def test_job_type_without_a_schema_takes_anything() -> None:
    job_type = JobTypeValue("t")

    assert json.loads(bind(job_type, signature_of(""), (), {"anything": [1]})) == {"anything": [1]}


def test_call_sends_what_was_given_and_no_defaults() -> None:
    encoded = bind(REPRICE, signature_of(SCHEMA), ("EU-4",), {"asof": date(2026, 3, 1)})

    assert json.loads(encoded) == {"portfolio": "EU-4", "asof": "2026-03-01"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"portfolio": "a", "scenarios": "5OO"}, "scenarios: expected int, got '5OO'"),
        ({"portfolio": "a", "scenarios": True}, "scenarios: expected int, got True"),
        ({"portfolio": "a", "scenarios": 1.5}, "scenarios: expected int, got 1.5"),
        ({"portfolio": "a", "scenarios": 0}, "scenarios: must be at least 1, got 0"),
        ({"portfolio": None}, "portfolio: expected str, got None"),
        ({"portfolio": "a", "kind": "slow"}, "kind: expected 'fast' | 'exact', got 'slow'"),
        ({"portfolio": "a", "asof": 5}, "asof: expected date | None, got 5"),
        ({"portfolio": "a", "rows": [{"price": "x"}]}, "rows[0].price: expected float, got 'x'"),
        ({"portfolio": "a", "rows": [{}]}, "rows[0].price: is missing, expected float"),
        ({"portfolio": "a", "rows": {}}, "rows: expected list[dict], got {}"),
        ({"portfolio": "a", "weights": {"x": "y"}}, "weights.x: expected float, got 'y'"),
        ({"scenarios": 5}, "portfolio: is missing"),
        ({"portfolio": "a", "scenario": 5}, "scenario: is not an argument of this job type"),
        ({"portfolio": float("nan")}, "portfolio: is NaN"),
    ],
)
def test_wrong_argument_is_refused_with_the_signature(arguments: dict[str, Any], words: str) -> None:
    error = refused(**arguments)

    assert words in str(error)
    assert "reprice takes (portfolio: str, scenarios: int = 500" in str(error)
    assert error.violations[0].field == f"arguments.{words.partition(':')[0]}"


def test_several_mistakes_are_told_at_once() -> None:
    error = refused(scenario=1, kindness=2)

    assert {violation.field for violation in error.violations} == {
        "arguments.scenario",
        "arguments.kindness",
        "arguments.portfolio",
    }


def test_too_many_positional_arguments_are_refused() -> None:
    assert "too many positional arguments" in str(refused(1, 2, 3, 4, 5, 6, 7))


def test_whole_float_passes_for_an_integer() -> None:
    assert json.loads(bind(REPRICE, signature_of(SCHEMA), (), {"portfolio": "a", "scenarios": 5.0}))


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "portfolio": st.text(max_size=3) | st.integers() | st.none(),
            "scenarios": st.integers(-5, 20_000)
            | st.floats(0, 9, allow_nan=False)
            | st.booleans()
            | st.text(max_size=1),
            "asof": st.none() | st.just("2026-03-01") | st.integers(),
            "kind": st.sampled_from(["fast", "exact", "slow", 1]),
            "rows": st.lists(
                st.fixed_dictionaries({}, optional={"price": st.floats(0, 9) | st.text(max_size=1)}),
                max_size=2,
            ),
            "weights": st.none()
            | st.dictionaries(st.text(max_size=2), st.integers() | st.text(max_size=1), max_size=2),
            "more": st.just(1),
        },
    )
)
def test_check_agrees_with_a_real_validator(arguments: dict[str, Any]) -> None:
    real = jsonschema_rs.validator_for(json.loads(SCHEMA))

    assert bool(_schema.violations(json.dumps(arguments), SCHEMA)) == (not real.is_valid(arguments))


def test_unknown_keywords_are_left_to_the_server() -> None:
    schema = {
        "properties": {"a": {"if": {}, "then": {"type": "string"}, "pattern": "^x"}},
        "$ref": "#/$defs/gone",
    }

    assert _schema.violations('{"a": 1}', json.dumps(schema)) == []
