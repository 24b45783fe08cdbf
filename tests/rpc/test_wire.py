"""Messages from parts, resume tokens and page tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobsvc.model.errors import InvalidRequest
from jobsvc.rpc.paging import MAX_SIZE, page_size, read_token, write_token
from jobsvc.rpc.watch.wire import (
    event_part,
    heartbeat_part,
    read_resume_token,
    token_part,
    write_resume_token,
)
from jobsvc_proto.v1 import job_service_pb2 as pb

ids = st.lists(st.text(min_size=1, max_size=10), min_size=1, max_size=20, unique=True)


def test_parts_that_follow_each_other_are_one_message() -> None:
    change = pb.StreamEvent(state_change=pb.StateChange(job_id="a", version=3))
    parts = [heartbeat_part(), event_part(change), heartbeat_part(), token_part("t")]

    message = pb.StreamProgressResponse.FromString(b"".join(parts))

    assert [event.WhichOneof("event") for event in message.events] == [
        "heartbeat",
        "state_change",
        "heartbeat",
    ]
    assert message.events[1].state_change.job_id == "a"
    assert message.events[1].HasField("event_time")
    assert message.resume_token == "t"


@given(targets=ids, data=st.data())
def test_resume_token_gives_the_versions_back(targets: list[str], data: st.DataObject) -> None:
    versions = data.draw(st.lists(st.integers(0, 2**60), min_size=len(targets), max_size=len(targets)))

    token = write_resume_token(targets, versions)

    assert read_resume_token(targets, token) == versions
    assert read_resume_token([*targets, "other"], token) is None


@given(targets=ids, token=st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.hex()))
def test_resume_token_that_was_made_up_is_left_aside(targets: list[str], token: str) -> None:
    assert read_resume_token(targets, token) is None


@given(
    place=st.tuples(st.integers(0, 6), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=80))
)
def test_page_token_gives_the_place_back(place: tuple[int, float, str]) -> None:
    assert read_token("q", write_token("q", place), int, float, str) == list(place)


@given(token=st.text(min_size=1, max_size=60))
def test_page_token_that_was_made_up_is_refused(token: str) -> None:
    with pytest.raises(InvalidRequest):
        read_token("q", token, int)


def test_page_token_of_other_types_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        read_token("q", write_token("q", ["1"]), int)


@pytest.mark.parametrize(("wanted", "size"), [(0, 50), (1, 1), (1_000, 1_000), (5_000, MAX_SIZE)])
def test_page_size_is_bounded(wanted: int, size: int) -> None:
    assert page_size(wanted) == size
