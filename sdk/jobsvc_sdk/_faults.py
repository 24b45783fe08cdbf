"""One table from what a server refuses with to the errors of :mod:`jobsvc_sdk.errors`, by stable reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from jobsvc_proto.v1 import job_service_pb2

from .errors import (
    BatchRejected,
    Conflict,
    JobsvcError,
    NotAvailable,
    NotFound,
    ParamError,
    PermissionDenied,
    ProtocolError,
    QueueFull,
    ServerUnavailable,
    UnknownJobType,
    Violation,
)

DOMAIN = "jobsvc"
_DETAILS_KEY = "grpc-status-details-bin"
_ITEM_PATH = re.compile(r"^requests\[(\d+)\]\.(.*)$")
_SAFE = "Jobs that were submitted before are safe and go on."


@dataclass(frozen=True, slots=True)
class Fault:
    """What a failed call said, in our own words.

    Attributes:
        code: gRPC status code.
        message: For people.
        reason: Stable reason; empty when nothing of ours answered.
        metadata: Facts.
        violations: Wrong fields, with the paths of the contract.
        retry_after: How long to wait before another try.
        address: The server that was asked.
        doing: The call, e.g. ``"Submit"``.
    """

    code: grpc.StatusCode
    message: str
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: tuple[Violation, ...] = ()
    retry_after: timedelta | None = None
    address: str = ""
    doing: str = ""


def read_fault(exc: grpc.RpcError, *, address: str = "", doing: str = "") -> Fault:
    """Read the status, the text and the details of a failed call."""
    code = exc.code()
    fault = Fault(code=code, message=exc.details() or code.name, address=address, doing=doing)
    status = _rich_status(exc)
    if status is None:
        return fault
    reason, metadata = "", {}
    violations: list[Violation] = []
    retry_after = None
    for detail in status.details:
        info, bad, retry = (
            error_details_pb2.ErrorInfo(),
            error_details_pb2.BadRequest(),
            error_details_pb2.RetryInfo(),
        )
        if detail.Unpack(info) and info.domain == DOMAIN:
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(bad):
            violations += [Violation(item.field, item.description) for item in bad.field_violations]
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToTimedelta()
    return Fault(
        code=code,
        message=status.message or fault.message,
        reason=reason,
        metadata=metadata,
        violations=tuple(violations),
        retry_after=retry_after,
        address=address,
        doing=doing,
    )


def _rich_status(exc: grpc.RpcError) -> status_pb2.Status | None:
    trailers = cast("Iterable[tuple[str, bytes]]", exc.trailing_metadata() or ())
    for key, value in trailers:
        if key == _DETAILS_KEY:
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None


def error_of(fault: Fault) -> JobsvcError:
    """Return the error to raise for a fault."""
    build = _BY_REASON.get(fault.reason) or _BY_CODE.get(fault.code, _protocol)
    return build(fault)


def from_rpc(exc: grpc.RpcError, *, address: str, doing: str) -> JobsvcError:
    """Return the error to raise for a failed call."""
    return error_of(read_fault(exc, address=address, doing=doing))


def from_item(error: job_service_pb2.SubmitError) -> JobsvcError:
    """Return the error of one rejected item of a batch."""
    return error_of(
        Fault(
            code=grpc.StatusCode.INVALID_ARGUMENT,
            message=error.message,
            reason=error.reason,
            metadata=dict(error.metadata),
            violations=tuple(Violation(item.field, item.description) for item in error.field_violations),
        )
    )


def batch_rejected(fault: Fault) -> JobsvcError:
    """Return the error of a whole batch that was refused; violations are sorted by item when they name items."""
    by_item: dict[int, list[Violation]] = {}
    if fault.reason == "UNKNOWN_JOB_TYPE":  # the same for all items
        return error_of(fault)
    for violation in fault.violations:
        match = _ITEM_PATH.match(violation.field)
        if match is None:
            return error_of(fault)
        by_item.setdefault(int(match[1]), []).append(Violation(match[2], violation.description))
    if not by_item:
        return error_of(fault)
    items = {
        index: error_of(
            Fault(
                code=fault.code,
                message="wrong arguments",
                reason=fault.reason,
                metadata=fault.metadata,
                violations=tuple(found),
            )
        )
        for index, found in sorted(by_item.items())
    }
    return rejected_items(items, reason=fault.reason, metadata=fault.metadata)


def rejected_items(
    items: Mapping[int, JobsvcError], *, reason: str = "", metadata: Mapping[str, str] | None = None
) -> BatchRejected:
    """Return the error of a batch in which these items are wrong."""
    shown = [f"  item {index}: {_one_line(error)}" for index, error in list(items.items())[:5]]
    more = [f"  and {len(items) - 5} more: error.items"] if len(items) > 5 else []
    # The server names as many wrong fields as fit into a trailer.
    few = "at least " if (metadata or {}).get("violations_left_out") else ""
    head = f"nothing was submitted: {few}{len(items)} item{'s are' if len(items) != 1 else ' is'} wrong"
    hint = "all_or_nothing=False submits the others"
    return BatchRejected(
        "\n".join([head, *shown, *more, hint]), items=items, reason=reason, metadata=metadata
    )


def _one_line(error: JobsvcError) -> str:
    violations = getattr(error, "violations", ())
    if violations:
        return "; ".join(str(violation) for violation in violations)
    return error.message.partition("\n")[0]


def user_path(path: str) -> str:
    """Return a path of the contract as the caller knows it: ``spec.arguments.limit`` is ``arguments.limit``."""
    return path.removeprefix("spec.")


def _params(fault: Fault) -> JobsvcError:
    violations = tuple(Violation(user_path(item.field), item.description) for item in fault.violations)
    lines = [f"  {violation}" for violation in violations if violation.description not in fault.message]
    return ParamError(
        "\n".join([fault.message, *lines]),
        violations=violations,
        reason=fault.reason,
        metadata=fault.metadata,
    )


def _unknown_type(fault: Fault) -> JobsvcError:
    nearest = [name for name in fault.metadata.get("nearest", "").split(",") if name]
    return unknown_job_type(
        fault.metadata.get("job_type", ""), nearest, reason=fault.reason, metadata=fault.metadata
    )


def unknown_job_type(
    job_type: str, nearest: Sequence[str], *, reason: str = "", metadata: Mapping[str, str] | None = None
) -> UnknownJobType:
    """Return the error for a job type that does not exist."""
    near = f" Did you mean {' or '.join(nearest)}?" if nearest else ""
    return UnknownJobType(
        f"no worker ever published the job type {job_type!r}.{near} client.types lists what there is.",
        job_type=job_type,
        nearest=nearest,
        reason=reason,
        metadata=metadata,
    )


def _not_available(fault: Fault) -> JobsvcError:
    feature = fault.metadata.get("field") or fault.metadata.get("method") or fault.doing
    return NotAvailable(
        f"this server cannot do {user_path(feature) or 'that'} yet: {fault.message}",
        feature=feature,
        reason=fault.reason,
        metadata=fault.metadata,
    )


def _store(fault: Fault) -> JobsvcError:
    wait = f" in {fault.retry_after.total_seconds():g} s" if fault.retry_after else ""
    return ServerUnavailable(
        f"the jobsvc server at {fault.address} cannot do this now: {fault.message}. {_SAFE} Try again{wait}.",
        address=fault.address,
        retry_after=fault.retry_after,
        reason=fault.reason,
        metadata=fault.metadata,
    )


def _unreachable(fault: Fault) -> JobsvcError:
    if fault.reason:
        return _store(fault)
    return ServerUnavailable(
        f"no jobsvc server answers at {fault.address}. Start one with `jobsvc dev`, or name the one to use: "
        f"connect(address) or JOBSVC_ADDRESS. {_SAFE} ({fault.message})",
        address=fault.address,
        retry_after=fault.retry_after,
    )


def _too_slow(fault: Fault) -> JobsvcError:
    return ServerUnavailable(
        f"the jobsvc server at {fault.address} did not answer {fault.doing} in time. {_SAFE} Try again; "
        f"if it stays like this, look at the server's log.",
        address=fault.address,
        retry_after=fault.retry_after,
        reason=fault.reason,
    )


def _protocol(fault: Fault) -> JobsvcError:
    return ProtocolError(
        f"{fault.doing or 'a call'} to {fault.address or 'the server'} failed with {fault.code.name}: "
        f"{fault.message}. This is most likely a bug; the server's log says more.",
        reason=fault.reason,
        metadata=fault.metadata,
    )


def _plain(
    kind: Callable[..., JobsvcError],
) -> Callable[[Fault], JobsvcError]:
    return lambda fault: kind(fault.message, reason=fault.reason, metadata=fault.metadata)


_BY_REASON: dict[str, Callable[[Fault], JobsvcError]] = {
    "INVALID_ARGUMENT": _params,
    "MALFORMED_ID": _params,
    "ARGUMENTS_TOO_LARGE": _params,
    "PAYLOAD_TOO_LARGE": _params,
    "UNKNOWN_JOB_TYPE": _unknown_type,
    "NOT_FOUND": _plain(NotFound),
    "JOB_NOT_FOUND": _plain(NotFound),
    "BATCH_NOT_FOUND": _plain(NotFound),
    "JOB_TYPE_NOT_FOUND": _plain(NotFound),
    "QUEUE_NOT_FOUND": _plain(NotFound),
    "WORKER_NOT_FOUND": _plain(NotFound),
    "ID_CONFLICT": _plain(Conflict),
    "ETAG_MISMATCH": _plain(Conflict),
    "QUEUE_FULL": _plain(QueueFull),
    "STORE_UNAVAILABLE": _store,
    "STORE_FULL": _store,
    "SERVER_STOPPING": _store,
    "NOT_IMPLEMENTED": _not_available,
    "FEATURE_NOT_AVAILABLE": _not_available,
    "INTERNAL": _protocol,
    "CONFIGURATION": _protocol,
}

_BY_CODE: dict[grpc.StatusCode, Callable[[Fault], JobsvcError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: _params,
    grpc.StatusCode.OUT_OF_RANGE: _params,
    grpc.StatusCode.NOT_FOUND: _plain(NotFound),
    grpc.StatusCode.ALREADY_EXISTS: _plain(Conflict),
    grpc.StatusCode.UNIMPLEMENTED: _not_available,
    grpc.StatusCode.PERMISSION_DENIED: _plain(PermissionDenied),
    grpc.StatusCode.UNAUTHENTICATED: _plain(PermissionDenied),
    grpc.StatusCode.UNAVAILABLE: _unreachable,
    grpc.StatusCode.DEADLINE_EXCEEDED: _too_slow,
}
