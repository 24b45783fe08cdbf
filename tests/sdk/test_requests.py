"""What callers ask for as messages, addresses, and batches on their way."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobsvc_proto.v1 import common_pb2
from jobsvc_proto.v1 import job_service_pb2 as pb
from jobsvc_sdk import _connection, _requests, _submission
from jobsvc_sdk._encode import encode_arguments
from jobsvc_sdk._requests import Options
from jobsvc_sdk.errors import BatchRejected, NotAvailable, ParamError, UnknownJobType


def test_spec_without_options_leaves_everything_to_the_job_type() -> None:
    spec = _requests.job_spec("a.b", "{}", Options())

    assert spec == pb.JobSpec(job_type="a.b", arguments={"json": "{}"})


def test_spec_carries_every_option() -> None:
    options = Options("q", "high", timedelta(minutes=1), 5, 2.5, "title", {"team": "risk"})

    spec = _requests.job_spec("a.b", "{}", options)

    assert (spec.queue, spec.priority, spec.title) == ("q", common_pb2.PRIORITY_HIGH, "title")
    assert spec.delay.ToTimedelta() == timedelta(minutes=1)
    assert spec.attempt_timeout.ToTimedelta() == timedelta(seconds=2.5)
    assert (spec.retry_policy.max_attempts, dict(spec.labels)) == (5, {"team": "risk"})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"priority": "highest"}, "priority: expected one of low, medium, high, urgent, got 'highest'"),
        ({"delay": -1}, "delay: must be 0 or more"),
        ({"delay": "5m"}, "delay: expected a timedelta or seconds, got '5m'"),
        ({"delay": True}, "delay: expected a timedelta"),
        ({"timeout": 0}, "timeout: must be more than 0"),
        ({"timeout": float("nan")}, "timeout: must be more than 0"),
        ({"timeout": float("inf")}, "timeout: must be more than 0"),
        ({"max_attempts": 0}, "max_attempts: expected a whole number from 1, got 0"),
        ({"max_attempts": 1.5}, "max_attempts: expected a whole number"),
        ({"labels": {"a": 1}}, "labels: expected text for text"),
    ],
)
def test_wrong_option_is_refused_by_name(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ParamError) as caught:
        _requests.job_spec("a.b", "{}", Options(**options))

    assert words in str(caught.value)
    assert caught.value.violations[0].field == next(iter(options))


def test_job_type_must_be_a_name() -> None:
    with pytest.raises(ParamError, match="job_type"):
        _requests.job_spec("", "{}", Options())


@pytest.mark.parametrize("id", ["", "a b", "a/b", "x" * 129, "ä", 5])
def test_id_that_cannot_exist_is_not_asked_for(id: Any) -> None:
    with pytest.raises(ParamError, match="is not a job id"):
        _requests.check_id(id, "job id")


def test_filter_joins_conditions() -> None:
    assert _requests.list_filter() == ""
    assert _requests.list_filter(state="failed", queue="risk") == 'state = failed AND queue = "risk"'
    with pytest.raises(ParamError, match="state: expected one of blocked, scheduled"):
        _requests.list_filter(state="running")


@pytest.mark.parametrize(
    ("given", "environ", "address"),
    [
        (None, {}, "127.0.0.1:7443"),
        (None, {"JOBSVC_ADDRESS": "jobs:1234"}, "jobs:1234"),
        ("other:1", {"JOBSVC_ADDRESS": "jobs:1234"}, "other:1"),
        ("grpc://jobs.acme:7443", {}, "jobs.acme:7443"),
        ("jobs.acme", {}, "jobs.acme:7443"),
        ("[::1]:7443", {}, "[::1]:7443"),
    ],
)
def test_address_is_found(given: str | None, environ: dict[str, str], address: str) -> None:
    assert _connection.resolve(given, None, environ).address == address


@pytest.mark.parametrize("address", ["http://jobs:1", "jobs:0", "jobs:99999", "a b:1", "jobs:x"])
def test_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"JOBSVC_ADDRESS is .* expected host:port"):
        _connection.resolve(None, None, {"JOBSVC_ADDRESS": address})


def test_token_is_sent_and_never_shown() -> None:
    connection = _connection.resolve("jobs:1", None, {"JOBSVC_TOKEN": "secret"})

    assert connection.metadata == (("authorization", "Bearer secret"),)
    assert "secret" not in repr(connection)
    assert _connection.resolve("jobs:1", "", {"JOBSVC_TOKEN": "secret"}).metadata == ()


def test_sdk_that_is_too_old_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_connection, "sdk_version", lambda: "0.9.3")

    _connection.check_version("", "h:1")
    _connection.check_version("0.9.3", "h:1")
    with pytest.raises(NotAvailable, match=r"needs jobsvc-sdk 0\.10\.0 or newer"):
        _connection.check_version("0.10.0", "h:1")


def plan(items: Any, *, all_or_nothing: bool = True, **options: Any) -> _submission.Plan:
    common = options.pop("common", {})
    return _submission.plan(
        "a.b", items, common, Options(**options), encode_arguments, all_or_nothing=all_or_nothing
    )


def test_items_share_what_is_common_and_are_called_by_their_own() -> None:
    found = plan([{"p": "EU-4"}, {"p": "DE-7", "n": 2}], common={"n": 1})

    assert [json.loads(spec.arguments.json) for spec in found.specs] == [
        {"n": 1, "p": "EU-4"},
        {"n": 2, "p": "DE-7"},
    ]
    assert [spec.title for spec in found.specs] == ["p=EU-4", "p=DE-7, n=2"]


def test_title_of_an_item_is_one_short_line() -> None:
    title = _submission.item_title({"text": "a\nb" * 100, "rows": [1]})

    assert len(title) == 80
    assert "\n" not in title


def test_wrong_items_stop_the_batch_and_are_listed() -> None:
    with pytest.raises(BatchRejected) as caught:
        plan([{"x": 1}, {"x": float("nan")}, 5])

    assert list(caught.value.items) == [1, 2]
    assert "item 1: x: is NaN" in str(caught.value)
    assert "an item must be a dict" in str(caught.value)


def test_wrong_items_are_left_out_when_the_others_may_go() -> None:
    found = plan([{"x": float("nan")}, {"x": 1}, {"x": 2}], all_or_nothing=False)
    refusal = pb.SubmitError(reason="UNKNOWN_JOB_TYPE", metadata={"job_type": "a.b"})
    answer = pb.SubmitBatchResponse(
        batch_id="b0-a",
        job_ids=["", "b0-a.1"],
        items=[pb.SubmitBatchResponse.Item(error=refusal)],
        accepted_count=1,
    )

    accepted = _submission.accepted(found, answer)

    assert list(found.positions) == [1, 2]
    assert [status.id for status in accepted.statuses] == ["b0-a.1"]
    assert accepted.statuses[0].arguments_json == '{"x":2}'
    assert {index: type(error) for index, error in accepted.rejected.items()} == {
        0: ParamError,
        1: UnknownJobType,
    }


def test_batch_in_which_nothing_was_accepted_is_an_error() -> None:
    found = plan([{"x": 1}], all_or_nothing=False)
    refusal = pb.SubmitError(
        reason="INVALID_ARGUMENT", field_violations=[{"field": "spec.arguments.x", "description": "no"}]
    )
    answer = pb.SubmitBatchResponse(job_ids=[""], items=[pb.SubmitBatchResponse.Item(error=refusal)])

    with pytest.raises(BatchRejected, match="item 0: x: no"):
        _submission.accepted(found, answer)


@pytest.mark.parametrize("items", ["text", {"x": 1}, 5])
def test_items_must_be_a_list(items: Any) -> None:
    with pytest.raises(ParamError, match="items must be a list of dicts"):
        plan(items)


@pytest.mark.parametrize("count", [0, 10_001])
def test_batch_has_a_size(count: int) -> None:
    specs = [pb.JobSpec(job_type="a")] * count

    with pytest.raises(ParamError, match=f"1 to 10,000 jobs, got {count:,}"):
        _requests.submit_batch(specs, title="", all_or_nothing=True, batch_id="", request_id="r")


def test_start_and_deadline_are_instants() -> None:
    at = datetime(2030, 1, 1, tzinfo=UTC)

    spec = _requests.job_spec("a", "{}", Options(start_at=at, expires=at + timedelta(hours=1)))
    soon = _requests.job_spec("a", "{}", Options(expires=60))

    assert spec.not_before_time.ToDatetime(tzinfo=UTC) == at
    assert spec.start_deadline_time.ToDatetime(tzinfo=UTC) == at + timedelta(hours=1)
    left = soon.start_deadline_time.ToDatetime(tzinfo=UTC) - datetime.now(UTC)
    assert timedelta(seconds=50) < left <= timedelta(seconds=60)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"start_at": datetime(2030, 1, 1)}, "start_at: expected a datetime with a time zone"),
        ({"start_at": datetime(2030, 1, 1, tzinfo=UTC), "delay": 1}, "start_at: goes without delay"),
        ({"expires": datetime(2030, 1, 1)}, "expires: expected a datetime with a time zone"),
        ({"expires": 0}, "expires: must be more than 0"),
    ],
)
def test_wrong_times_are_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ParamError, match=problem):
        _requests.job_spec("a", "{}", Options(**options))
