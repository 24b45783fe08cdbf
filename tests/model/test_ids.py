"""Ids of jobs and batches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobsvc.model.errors import MalformedId
from jobsvc.model.ids import ALLOWED, SERVER_MADE, check_id, new_batch_id, new_job_id


def test_made_ids_have_their_shape() -> None:
    for made, start in ((new_job_id(), "0-"), (new_batch_id(shard=3), "b3-"), (new_job_id("r"), "0-")):
        assert made.startswith(start)
        assert SERVER_MADE.match(made)
        assert ALLOWED.match(made)


def test_random_ids_differ() -> None:
    assert len({new_job_id() for _ in range(1_000)}) == 1_000


@given(st.text(min_size=1), st.text(min_size=1))
def test_id_follows_from_the_request_id(one: str, other: str) -> None:
    assert new_job_id(one) == new_job_id(one)
    assert (new_job_id(one) == new_job_id(other)) == (one == other)
    assert new_job_id(one)[2:] != new_batch_id(one)[3:]


@pytest.mark.parametrize("value", ["a", "A.b_c:d-9", "x" * 128, "0-short", "b0-UPPERCASE12345678"])
def test_chosen_ids_are_taken(value: str) -> None:
    assert check_id(value, "job_id", chosen=True) == value


@pytest.mark.parametrize("value", ["", "a b", "a/b", "é", "x" * 129, "a\n", "\n", "a\x00", "{a}", "a\nb"])
def test_malformed_ids_are_refused(value: str) -> None:
    with pytest.raises(MalformedId) as caught:
        check_id(value, "spec.job_id")

    assert caught.value.violations[0].field == "spec.job_id"
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("made", [new_job_id("r"), new_batch_id("r"), f"{new_batch_id('r')}.17"])
def test_id_that_looks_made_by_the_server_cannot_be_chosen(made: str) -> None:
    assert check_id(made, "job_id") == made
    with pytest.raises(MalformedId, match="looks like an id made by the server"):
        check_id(made, "job_id", chosen=True)
