"""From errors to gRPC status: one table by reason, and the details that programs read.

Every refusal carries ``google.rpc.ErrorInfo`` in the trailer ``grpc-status-details-bin``, with the reason and the facts
of the error; wrong fields go into ``BadRequest``, and what may work later has ``RetryInfo``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import grpc
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from jobsvc.model.errors import InvalidRequest, JobsvcError, Violation

DOMAIN = "jobsvc"
DETAILS_KEY = "grpc-status-details-bin"

MAX_VIOLATIONS = 50
_MAX_MESSAGE_BYTES = 400
_MAX_DESCRIPTION = 240
# gRPC clients refuse trailers above 8 KiB, and binary ones grow by a third on the way.
_MAX_DETAILS_BYTES = 4_800


@dataclass(frozen=True, slots=True)
class Answer:
    """How a reason looks on the wire.

    Attributes:
        code: The gRPC code.
        retry_after_ms: When it is worth another try; 0 when it is not.
        text: Told instead of the error's own text, which may name addresses or other insides of the server.
    """

    code: grpc.StatusCode
    retry_after_ms: int = 0
    text: str = ""


_INTERNAL = Answer(
    grpc.StatusCode.INTERNAL, text="internal error; the server's log says more under this call's id"
)

ANSWERS: Mapping[str, Answer] = {
    "INVALID_ARGUMENT": Answer(grpc.StatusCode.INVALID_ARGUMENT),
    "MALFORMED_ID": Answer(grpc.StatusCode.INVALID_ARGUMENT),
    "UNKNOWN_JOB_TYPE": Answer(grpc.StatusCode.INVALID_ARGUMENT),
    "ARGUMENTS_TOO_LARGE": Answer(grpc.StatusCode.INVALID_ARGUMENT),
    "NOT_FOUND": Answer(grpc.StatusCode.NOT_FOUND),
    "JOB_NOT_FOUND": Answer(grpc.StatusCode.NOT_FOUND),
    "BATCH_NOT_FOUND": Answer(grpc.StatusCode.NOT_FOUND),
    "JOB_TYPE_NOT_FOUND": Answer(grpc.StatusCode.NOT_FOUND),
    "QUEUE_NOT_FOUND": Answer(grpc.StatusCode.NOT_FOUND),
    "WORKER_NOT_FOUND": Answer(grpc.StatusCode.NOT_FOUND),
    "QUEUE_FULL": Answer(grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after_ms=2_000),
    "ETAG_MISMATCH": Answer(grpc.StatusCode.ABORTED),
    "ID_CONFLICT": Answer(grpc.StatusCode.ALREADY_EXISTS),
    "FEATURE_NOT_AVAILABLE": Answer(grpc.StatusCode.UNIMPLEMENTED),
    "NOT_IMPLEMENTED": Answer(grpc.StatusCode.UNIMPLEMENTED),
    "STORE_UNAVAILABLE": Answer(
        grpc.StatusCode.UNAVAILABLE,
        retry_after_ms=500,
        text="the server cannot reach its store (Redis) now; it goes on by itself when the store is back",
    ),
    "STORE_FULL": Answer(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        retry_after_ms=5_000,
        text="the store (Redis) is at its memory limit and takes no new jobs; running jobs go on",
    ),
    "SERVER_STOPPING": Answer(grpc.StatusCode.UNAVAILABLE, retry_after_ms=500),
    "CONFIGURATION": _INTERNAL,
    "INTERNAL": _INTERNAL,
}
"""Reason -> how it is answered. A test proves that every error class is here."""


def answer_for(error: JobsvcError) -> Answer:
    """Return how an error is answered."""
    return ANSWERS.get(error.reason, _INTERNAL)


def to_status(error: JobsvcError, *, call_id: str = "") -> tuple[grpc.StatusCode, str, bytes]:
    """Turn an error into a status.

    Args:
        error: What went wrong.
        call_id: Added to the facts of an internal error, so that its log line can be found.

    Returns:
        The code, the text for people, and the serialised ``google.rpc.Status`` for the trailer.
    """
    answer = answer_for(error)
    internal = answer is _INTERNAL
    message = _cut_bytes(answer.text or error.message, _MAX_MESSAGE_BYTES)
    status = status_pb2.Status(code=answer.code.value[0], message=message)
    facts = {"call_id": call_id} if internal else error.facts
    info = error_details_pb2.ErrorInfo(
        reason="INTERNAL" if internal else error.reason,
        domain=DOMAIN,
        metadata={name: cut(value, _MAX_DESCRIPTION) for name, value in facts.items()},
    )
    violations = error.violations[:MAX_VIOLATIONS] if isinstance(error, InvalidRequest) else ()
    if violations:
        bad = _bad_request(violations, _MAX_DETAILS_BYTES - status.ByteSize() - info.ByteSize())
        left_out = len(violations) - len(bad.field_violations)
        if left_out:
            info.metadata["violations_left_out"] = str(left_out)
    status.details.add().Pack(info)
    if violations:
        status.details.add().Pack(bad)
    if answer.retry_after_ms:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(answer.retry_after_ms)
        status.details.add().Pack(retry)
    return answer.code, message, status.SerializeToString()


def cut(text: str, length: int) -> str:
    """Return at most ``length`` characters of a text, and say so when some are left out."""
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _bad_request(violations: tuple[Violation, ...], room: int) -> error_details_pb2.BadRequest:
    bad = error_details_pb2.BadRequest()
    for violation in violations:
        one = error_details_pb2.BadRequest.FieldViolation(
            field=cut(violation.field, _MAX_DESCRIPTION),
            description=cut(violation.description, _MAX_DESCRIPTION),
        )
        room -= one.ByteSize() + 4
        if room < 0 and bad.field_violations:
            break
        bad.field_violations.append(one)
    return bad


def _cut_bytes(text: str, length: int) -> str:
    raw = text.encode()
    return text if len(raw) <= length else raw[: length - 3].decode(errors="ignore") + "..."
