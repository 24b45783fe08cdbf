"""Refusals of the server become errors by their stable reason."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from jobsvc.model import errors as server_errors
from jobsvc.rpc.status import ANSWERS, to_status
from jobsvc_sdk import _faults, errors
from jobsvc_sdk._faults import Fault, batch_rejected, error_of, from_rpc, read_fault
from jobsvc_sdk.errors import Violation


class Refusal(grpc.RpcError):
    """What gRPC raises, as far as it is read."""

    def __init__(self, code: grpc.StatusCode, text: str = "", details: bytes | None = None) -> None:
        self._answer = (code, text, details)

    def code(self) -> grpc.StatusCode:
        return self._answer[0]

    def details(self) -> str:
        return self._answer[1]

    def trailing_metadata(self) -> Any:
        return () if self._answer[2] is None else (("x", "y"), ("grpc-status-details-bin", self._answer[2]))


def refusal_of(error: server_errors.JobsvcError) -> Refusal:
    code, text, details = to_status(error)
    return Refusal(code, text, details)


def raised(error: server_errors.JobsvcError) -> errors.JobsvcError:
    return from_rpc(refusal_of(error), address="host:1", doing="Submit")


def test_every_reason_of_the_server_is_known() -> None:
    assert set(ANSWERS) <= set(_faults._BY_REASON)


def test_every_error_class_is_in_the_tree_on_top() -> None:
    tree = errors.__doc__ or ""

    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.JobsvcError):
            assert f"{name} " in tree or f"{name}\n" in tree, name


def test_wrong_arguments_become_a_param_error_with_the_callers_paths() -> None:
    error = raised(
        server_errors.InvalidRequest(
            "the arguments are wrong",
            [server_errors.Violation("spec.arguments.limit", "must be integer, not string")],
        )
    )

    assert isinstance(error, errors.ParamError)
    assert error.violations == (Violation("arguments.limit", "must be integer, not string"),)
    assert error.reason == "INVALID_ARGUMENT"
    assert "limit: must be integer, not string" in str(error)


def test_unknown_job_type_names_the_nearest() -> None:
    error = raised(
        server_errors.UnknownJobType("no such type", job_type="reprise", nearest="reprice,reports")
    )

    assert isinstance(error, errors.UnknownJobType)
    assert (error.job_type, error.nearest) == ("reprise", ("reprice", "reports"))
    assert "Did you mean reprice or reports?" in str(error)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (server_errors.JobNotFound("no job 0-a"), errors.NotFound),
        (server_errors.BatchNotFound("no batch b0-a"), errors.NotFound),
        (server_errors.IdConflict("taken"), errors.Conflict),
        (server_errors.MalformedId("wrong", []), errors.ParamError),
        (server_errors.FeatureNotAvailable("not yet", field="spec.depends_on"), errors.NotAvailable),
        (server_errors.StoreUnavailable("redis:6379 refused"), errors.ServerUnavailable),
        (server_errors.StoreFull("full"), errors.ServerUnavailable),
        (server_errors.JobsvcError("boom"), errors.ProtocolError),
    ],
)
def test_each_reason_has_its_class(error: server_errors.JobsvcError, kind: type[errors.JobsvcError]) -> None:
    found = raised(error)

    assert type(found) is kind
    assert found.reason == error.reason


def test_store_that_is_away_says_what_is_safe_and_when_to_try_again() -> None:
    error = raised(server_errors.StoreUnavailable("connection refused"))

    assert isinstance(error, errors.ServerUnavailable)
    assert error.retry_after == timedelta(milliseconds=500)
    assert "host:1" in str(error)
    assert "are safe" in str(error)
    assert "Try again in 0.5 s" in str(error)


def test_feature_that_is_missing_is_named() -> None:
    error = raised(server_errors.FeatureNotAvailable("later", field="spec.depends_on"))

    assert isinstance(error, errors.NotAvailable)
    assert error.feature == "spec.depends_on"
    assert "cannot do depends_on yet" in str(error)


def test_no_server_says_where_and_what_to_start() -> None:
    error = from_rpc(Refusal(grpc.StatusCode.UNAVAILABLE, "refused"), address="host:1", doing="Submit")

    assert isinstance(error, errors.ServerUnavailable)
    assert error.address == "host:1"
    for words in ("host:1", "jobsvc dev", "JOBSVC_ADDRESS", "are safe"):
        assert words in str(error)


def test_slow_server_is_unavailable() -> None:
    error = from_rpc(Refusal(grpc.StatusCode.DEADLINE_EXCEEDED), address="host:1", doing="Submit")

    assert isinstance(error, errors.ServerUnavailable)
    assert "did not answer Submit in time" in str(error)


def test_status_without_our_details_is_told_by_its_code() -> None:
    assert isinstance(error_of(Fault(grpc.StatusCode.UNAUTHENTICATED, "token?")), errors.PermissionDenied)
    assert isinstance(error_of(Fault(grpc.StatusCode.UNKNOWN, "eh")), errors.ProtocolError)
    assert isinstance(
        error_of(Fault(grpc.StatusCode.UNIMPLEMENTED, "no", doing="Retry")), errors.NotAvailable
    )


def test_details_of_another_domain_are_no_reason() -> None:
    status = status_pb2.Status(code=5, message="gone")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="X", domain="somebody.else"))

    fault = read_fault(Refusal(grpc.StatusCode.NOT_FOUND, "gone", status.SerializeToString()))

    assert fault.reason == ""


def test_broken_details_are_ignored() -> None:
    fault = read_fault(Refusal(grpc.StatusCode.NOT_FOUND, "gone", b"\xff\xff\xff"))

    assert (fault.code, fault.message, fault.reason) == (grpc.StatusCode.NOT_FOUND, "gone", "")


def test_batch_that_was_refused_is_sorted_by_item() -> None:
    fault = read_fault(
        refusal_of(
            server_errors.InvalidRequest(
                "2 items are wrong",
                [
                    server_errors.Violation("requests[7].spec.arguments.x", "is required"),
                    server_errors.Violation("requests[2].spec.arguments.y", "is not known"),
                    server_errors.Violation("requests[2].spec.arguments.z", "is not known"),
                ],
            )
        )
    )

    error = batch_rejected(fault)

    assert isinstance(error, errors.BatchRejected)
    assert list(error.items) == [2, 7]
    assert "nothing was submitted: 2 items are wrong" in str(error)
    assert "item 2: y: is not known; z: is not known" in str(error)
    assert "item 7: x: is required" in str(error)
    assert [violation.field for violation in error.violations] == [
        "[2].arguments.y",
        "[2].arguments.z",
        "[7].arguments.x",
    ]


def test_batch_refused_for_another_reason_is_no_item_error() -> None:
    fault = read_fault(refusal_of(server_errors.StoreUnavailable("away")))

    assert isinstance(batch_rejected(fault), errors.ServerUnavailable)


def test_batch_of_an_unknown_type_says_so_once() -> None:
    refusal = server_errors.UnknownJobType(
        "2 of 2 items are wrong",
        [server_errors.Violation(f"requests[{index}].spec.job_type", "is not known") for index in range(2)],
        job_type="reprise",
        nearest="reprice",
    )

    error = batch_rejected(read_fault(refusal_of(refusal)))

    assert isinstance(error, errors.UnknownJobType)
    assert "Did you mean reprice?" in str(error)


def test_batch_with_more_mistakes_than_fit_says_at_least() -> None:
    many = [
        server_errors.Violation(f"requests[{index}].spec.arguments.x", "is required" * 9)
        for index in range(99)
    ]

    error = batch_rejected(read_fault(refusal_of(server_errors.InvalidRequest("99 items are wrong", many))))

    assert isinstance(error, errors.BatchRejected)
    assert f"at least {len(error.items)} items are wrong" in str(error)
    assert len(error.items) < 99
