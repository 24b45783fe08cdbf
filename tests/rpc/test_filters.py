"""The filter of List."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobsvc.model.errors import InvalidRequest
from jobsvc.model.lifecycle import JobState
from jobsvc.rpc.filters import Filter, parse_filter

values = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(
    state=st.none() | st.sampled_from(JobState),
    queue=st.none() | values,
    batch=st.none() | values,
    job_type=st.none() | values,
)
def test_filter_reads_what_was_written(
    state: JobState | None, queue: str | None, batch: str | None, job_type: str | None
) -> None:
    parts = [f"state = {state}"] if state else []
    named = {"queue": queue, "batch": batch, "job_type": job_type}
    parts += [f"{name} = {json.dumps(value)}" for name, value in named.items() if value]

    found = parse_filter(" AND ".join(parts))

    assert found == Filter(state, queue or "", batch or "", job_type or "")


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("colour = red", 1, "one of state, queue, batch, job_type"),
        ("state : failed", 7, "="),
        ("state == failed", 8, "a value"),
        ("state = nonsense", 9, "one of blocked, scheduled, queued"),
        ("state = ", 9, "a value"),
        ("state = failed and queue = a", 16, "AND or the end"),
        ("state = failed OR queue = a", 16, "AND or the end"),
        ("state = failed AND", 19, "one of state, queue, batch, job_type"),
        ("state = failed AND state = queued", 20, "state only once"),
        ('queue = "a', 9, 'a closing "'),
        ("queue = 'a'", 9, "double quotes"),
        ('queue = ""', 9, "not empty"),
        ('queue = "\\q"', 9, "escapes of JSON"),
        ("(state = failed)", 1, "one of state"),
        ("state = failed)", 15, "AND or the end"),
        ("é", 1, "a field"),
        ("x" * 3_000, 2_000, "nothing more"),
    ],
)
def test_filter_says_where_it_is_wrong(text: str, position: int, expected: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        parse_filter(text)

    assert error.value.facts["position"] == str(position)
    assert expected in error.value.violations[0].description
    assert error.value.violations[0].field == "filter"


@given(st.text(max_size=60))
def test_filter_refuses_anything_else_politely(text: str) -> None:
    with contextlib.suppress(InvalidRequest):
        assert isinstance(parse_filter(text), Filter)
