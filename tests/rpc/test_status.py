"""The table of refusals, and what gets onto the wire."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

import jobsvc.rpc.errors
from jobsvc.model import errors
from jobsvc.model.errors import InvalidRequest, JobsvcError, StoreUnavailable, Violation
from jobsvc.rpc.guard import Sparing
from jobsvc.rpc.status import ANSWERS, to_status

_LARGEST_TRAILERS = 8_192


def all_errors(base: type[JobsvcError] = JobsvcError) -> Iterator[type[JobsvcError]]:
    yield base
    for one in base.__subclasses__():
        if one.__module__ in (errors.__name__, jobsvc.rpc.errors.__name__):
            yield from all_errors(one)


@pytest.mark.parametrize("kind", list(all_errors()), ids=lambda kind: kind.__name__)
def test_every_error_has_an_answer(kind: type[JobsvcError]) -> None:
    assert kind.reason in ANSWERS


def test_every_answer_has_an_error() -> None:
    assert {kind.reason for kind in all_errors()} == set(ANSWERS)


def test_what_may_work_later_says_when() -> None:
    for reason, answer in ANSWERS.items():
        later = answer.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
        assert bool(answer.retry_after_ms) is later, reason


@pytest.mark.parametrize(
    "error", [JobsvcError("at redis://h"), StoreUnavailable("at redis://h"), KeyError("redis://h")]
)
def test_insides_are_not_told(error: Exception) -> None:
    known = error if isinstance(error, JobsvcError) else JobsvcError(str(error))

    _, message, raw = to_status(known, call_id="c-1")

    assert "redis://" not in message
    assert b"redis://" not in raw


texts = st.text(max_size=2_000)


@given(
    message=texts,
    violations=st.lists(st.builds(Violation, texts, texts), max_size=120),
    facts=st.dictionaries(st.sampled_from(["job_type", "nearest", "id"]), texts),
)
def test_any_refusal_fits_into_trailers(
    message: str, violations: list[Violation], facts: dict[str, str]
) -> None:
    _, short, raw = to_status(InvalidRequest(message, violations, **facts))

    status = status_pb2.Status.FromString(raw)
    assert len(raw) * 4 / 3 + len(short.encode()) * 3 < _LARGEST_TRAILERS
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.domain, info.reason) == ("jobsvc", "INVALID_ARGUMENT")
    told = 0
    if len(status.details) > 1:
        bad = error_details_pb2.BadRequest()
        assert status.details[1].Unpack(bad)
        told = len(bad.field_violations)
    assert bool(told) is bool(violations)


def test_sparing_lets_few_lines_through_and_counts_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    sparing = Sparing(most=3, period_s=10)

    first = [sparing.allow("a") for _ in range(100)]
    other = sparing.allow("b")
    now = 11.0
    later = sparing.allow("a")

    assert first == [0, 0, 0] + [None] * 97
    assert other == 0
    assert later == 97
