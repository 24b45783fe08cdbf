"""What callers ask for as protobuf messages. Pure, apart from new request ids."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from jobsvc_proto.v1 import common_pb2
from jobsvc_proto.v1 import job_service_pb2 as pb

from ._retry_words import RetryPolicy, write_policy
from ._tracker import Key
from .errors import ParamError, Violation
from .values import STATES, JobStatus

Span: TypeAlias = timedelta | float
"""A length of time: a timedelta, or seconds."""

MAX_BATCH_SIZE = 10_000
_PRIORITIES = {
    "low": common_pb2.PRIORITY_LOW,
    "medium": common_pb2.PRIORITY_MEDIUM,
    "high": common_pb2.PRIORITY_HIGH,
    "urgent": common_pb2.PRIORITY_URGENT,
}
_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@dataclass(frozen=True, slots=True)
class Options:
    """How a job is to be run; what is None or empty is decided by its job type.

    Attributes:
        queue: The queue it goes to.
        priority: ``low``, ``medium``, ``high`` or ``urgent``.
        delay: Start no earlier than this from now; a timedelta or seconds.
        start_at: Start no earlier than then; a datetime with a time zone.
        expires: Cancel it if it has not started by then: a datetime, or a timedelta or seconds from now.
        max_attempts: Attempts in total, from 1.
        timeout: Limit of one attempt; a timedelta or seconds.
        retry: When failed attempts are repeated.
        title: Text for people.
        labels: Searchable pairs, kept with the job.
    """

    queue: str = ""
    priority: str | None = None
    delay: Span | None = None
    max_attempts: int | None = None
    timeout: Span | None = None
    title: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    retry: RetryPolicy | Mapping[str, Any] | None = None
    start_at: datetime | None = None
    expires: datetime | Span | None = None


def new_request_id() -> str:
    """Return a name for one request, so that repeating it after a lost answer does nothing twice."""
    return str(uuid.uuid4())


def check_id(value: str, what: str) -> str:
    """Return an id that may exist.

    Raises:
        ParamError: It cannot be an id, so it is not worth asking for.
    """
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise ParamError(
            f"{value!r} is not a {what}: ids are 1 to 128 of the characters A-Z a-z 0-9 . _ : -",
            violations=[Violation(what.replace(" ", "_"), "is malformed")],
        )
    return value


def span(value: Span, name: str, *, zero: bool = False) -> Duration:
    """Return a length of time for the wire.

    Raises:
        ParamError: It is negative, not a length of time, or 0 where ``zero`` is not allowed.
    """
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    else:
        raise _wrong(name, f"expected a timedelta or seconds, got {value!r}")
    # Written so that NaN is refused as well.
    if not (0 < seconds < 10 * 365 * 86_400 or (zero and seconds == 0)):
        raise _wrong(
            name, f"must be {'0 or more' if zero else 'more than 0'} and below ten years, got {value!r}"
        )
    message = Duration()
    message.FromTimedelta(timedelta(seconds=seconds))
    return message


def _wrong(name: str, description: str) -> ParamError:
    return ParamError(f"{name}: {description}", violations=[Violation(name, description)])


def job_spec(job_type: str, arguments_json: str, options: Options) -> pb.JobSpec:
    """Return what to run.

    Raises:
        ParamError: An option is wrong.
    """
    if not isinstance(job_type, str) or not job_type:
        raise _wrong("job_type", f"expected a name such as 'reports.monthly', got {job_type!r}")
    spec = pb.JobSpec(
        job_type=job_type,
        arguments=common_pb2.Payload(json=arguments_json),
        queue=options.queue,
        title=options.title,
    )
    if options.priority is not None:
        if options.priority not in _PRIORITIES:
            raise _wrong("priority", f"expected one of {', '.join(_PRIORITIES)}, got {options.priority!r}")
        spec.priority = _PRIORITIES[options.priority]
    if options.delay is not None:
        spec.delay.CopyFrom(span(options.delay, "delay", zero=True))
    _set_times(spec, options)
    if options.timeout is not None:
        spec.attempt_timeout.CopyFrom(span(options.timeout, "timeout"))
    if options.retry is not None or options.max_attempts is not None:
        _write_retries(spec.retry_policy, options)
    for key, value in options.labels.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise _wrong("labels", f"expected text for text, got {key!r}: {value!r}")
        spec.labels[key] = value
    return spec


def _write_retries(policy: common_pb2.RetryPolicy, options: Options) -> None:
    if options.retry is not None:
        write_policy(policy, options.retry)
    if options.max_attempts is None:
        return
    if type(options.max_attempts) is not int or not 0 < options.max_attempts < 2**31:
        raise _wrong("max_attempts", f"expected a whole number from 1, got {options.max_attempts!r}")
    if policy.max_attempts:
        raise _wrong("max_attempts", "is given twice, in retry and beside it")
    policy.max_attempts = options.max_attempts


def _set_times(spec: pb.JobSpec, options: Options) -> None:
    if options.start_at is not None:
        if options.delay is not None:
            raise _wrong("start_at", "goes without delay")
        spec.not_before_time.FromDatetime(_aware(options.start_at, "start_at"))
    if isinstance(options.expires, datetime):
        spec.start_deadline_time.FromDatetime(_aware(options.expires, "expires"))
    elif options.expires is not None:
        from_now = span(options.expires, "expires").ToTimedelta()
        spec.start_deadline_time.FromDatetime(datetime.now(UTC) + from_now)


def submit_batch(
    specs: Sequence[pb.JobSpec], *, title: str, all_or_nothing: bool, batch_id: str, request_id: str
) -> pb.SubmitBatchRequest:
    """Return a batch of jobs.

    Raises:
        ParamError: There are none or too many.
    """
    if not 0 < len(specs) <= MAX_BATCH_SIZE:
        raise _wrong(
            "items",
            f"a batch has 1 to {MAX_BATCH_SIZE:,} jobs, got {len(specs):,}; split it into several calls of map",
        )
    return pb.SubmitBatchRequest(
        batch_id=batch_id,
        request_id=request_id,
        requests=[pb.SubmitRequest(spec=spec) for spec in specs],
        all_or_nothing=all_or_nothing,
        title=title,
        compact=True,
    )


def list_filter(
    *,
    state: str | None = None,
    queue: str | None = None,
    batch: str | None = None,
    job_type: str | None = None,
) -> str:
    """Return a filter expression of the contract.

    Raises:
        ParamError: The state is none of the seven.
    """
    if state is not None and state not in STATES:
        raise _wrong("state", f"expected one of {', '.join(STATES)}, got {state!r}")
    parts = [f"state = {state}"] if state else []
    parts += [
        f"{name} = {json.dumps(value)}"
        for name, value in (("queue", queue), ("batch", batch), ("job_type", job_type))
        if value
    ]
    return " AND ".join(parts)


def state_numbers(states: Iterable[str]) -> list[common_pb2.JobState.ValueType]:
    """Return the states of a request.

    Raises:
        ParamError: There are none, or one is none of the seven.
    """
    found = []
    for state in states:
        if state not in STATES:
            raise _wrong("states", f"expected some of {', '.join(STATES)}, got {state!r}")
        found.append(common_pb2.JobState.Value(f"JOB_STATE_{state.upper()}"))
    if not found:
        raise _wrong("states", "name at least one, so that nothing is removed by omission")
    return found


def dead_letter_filter(
    queue: str,
    job_type: str,
    error_type: str,
    error_code: str,
    after: datetime | None,
    before: datetime | None,
) -> pb.DeadLetterFilter:
    """Return which failed jobs are meant.

    Raises:
        ParamError: A time has no time zone.
    """
    wanted = pb.DeadLetterFilter(queue=queue, job_type=job_type, error_type=error_type, error_code=error_code)
    if after is not None:
        wanted.failed_after_time.FromDatetime(_aware(after, "after"))
    if before is not None:
        wanted.failed_before_time.FromDatetime(_aware(before, "before"))
    return wanted


def _aware(moment: datetime, name: str) -> datetime:
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise _wrong(name, f"expected a datetime with a time zone, such as datetime.now(UTC), got {moment!r}")
    return moment


def is_wanted(wanted: pb.DeadLetterFilter, status: JobStatus) -> bool:
    """Tell whether a failed job is meant, as far as its error and its end say."""
    error = status.error
    kind, code = (error.type, error.code) if error else ("", "")
    end = status.end_time
    return (
        (not wanted.error_type or wanted.error_type in (kind, kind.rpartition(".")[2]))
        and wanted.error_code in ("", code)
        and not (wanted.HasField("failed_after_time") and end and end < _moment(wanted.failed_after_time))
        and not (wanted.HasField("failed_before_time") and end and end >= _moment(wanted.failed_before_time))
    )


def _moment(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)


def stream(
    targets: Iterable[tuple[Key, int, bool]], *, resume_token: str = "", heartbeat_s: int = 15
) -> pb.StreamProgressRequest:
    """Return a request to watch.

    Args:
        targets: What to watch, the newest version known of it, and for a batch whether to tell of its jobs.
        resume_token: From the last message of a stream over the same targets.
        heartbeat_s: Silence after which the server gives a sign of life, in seconds.
    """
    return pb.StreamProgressRequest(
        targets=[
            pb.WatchTarget(job_id=key[1], known_version=version)
            if key[0] == "job"
            else pb.WatchTarget(batch_id=key[1], known_version=version, include_jobs=include_jobs)
            for key, version, include_jobs in targets
        ],
        resume_token=resume_token,
        heartbeat_interval=Duration(seconds=heartbeat_s),
    )
