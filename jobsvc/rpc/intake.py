"""From what a caller submits to a job that may be stored: everything is checked here, and nothing later."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from jobsvc.model.errors import InvalidRequest, Violation
from jobsvc.model.ids import check_id
from jobsvc.model.job import NewJob, Priority
from jobsvc.model.queue import QueueSettings
from jobsvc.model.retry import RetryOverride
from jobsvc.rpc.arguments import parse_arguments
from jobsvc.rpc.catalog_cache import CatalogCache, KnownType
from jobsvc.rpc.conversion import PRIORITIES
from jobsvc.rpc.features import refuse_later
from jobsvc.rpc.policies import DAY_MS, Problems, read_policy, read_span
from jobsvc.rpc.status import cut
from jobsvc_proto.v1 import job_service_pb2 as pb

MAX_AHEAD_MS = 2_900_000 * DAY_MS
"""Longest delay: that far no year has five digits yet."""

MAX_TIMEOUT_MS = 30 * DAY_MS
MAX_NAME = 128
MAX_TITLE = 512
MAX_LABELS = 64
MAX_LABEL_KEY = 64
MAX_LABEL_VALUE = 256

NO_SETTINGS = QueueSettings()

_QUEUE = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_PRIORITIES: Mapping[int, Priority] = {number: priority for priority, number in PRIORITIES.items()}
_YEAR_1970_TO_9999_S = range(253_402_300_800)


class Intake:
    """Checks jobs that are submitted.

    Args:
        catalog: Job types and their schemas.
        limit_bytes: Most bytes of arguments.
    """

    def __init__(self, catalog: CatalogCache, limit_bytes: int) -> None:
        self._catalog = catalog
        self._limit_bytes = limit_bytes

    async def check(
        self, spec: pb.JobSpec, *, job_id: str, from_request_id: bool, now_ms: int
    ) -> tuple[NewJob, KnownType]:
        """Turn a spec into a job with the defaults of its type.

        Args:
            spec: What to run and how.
            job_id: The id that it gets.
            from_request_id: The request is named, and has to be remembered.
            now_ms: The server's clock, only to tell a start that is much too far away.

        Raises:
            UnknownJobType: No worker has ever published the type.
            ArgumentsTooLarge: The arguments are above the limit.
            FeatureNotAvailable: A field of a later version is used.
            InvalidRequest: Anything else is wrong; all wrong fields are named.
        """
        name = spec.job_type
        if not name or len(name) > MAX_NAME:
            problem = f"must have 1 to {MAX_NAME} characters" if name else "is required"
            raise InvalidRequest(f"the job type {problem}", [Violation("spec.job_type", problem)])
        refuse_later(spec, "spec.")
        known = await self._catalog.find(name)
        queue = await self._catalog.queue(spec.queue if _QUEUE.fullmatch(spec.queue) else known.type.queue)
        text = _arguments_text(spec)
        problems = known.schema.check(parse_arguments(text, self._limit_bytes))
        new = _new_job(spec, known, text, job_id, from_request_id, problems, now_ms)
        if queue.settings != NO_SETTINGS:
            new = with_queue_defaults(new, spec, known, queue.settings)
        if problems:
            first = problems[0]
            others = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
            field = first.field.removeprefix("spec.")
            raise InvalidRequest(f"{name}: {field} {first.description}{others}", problems, job_type=name)
        return new, known


def with_queue_defaults(new: NewJob, spec: pb.JobSpec, known: KnownType, settings: QueueSettings) -> NewJob:
    """Give a job what its queue sets for jobs whose caller and handler set nothing."""
    own = known.type.explicit
    changes: dict[str, Any] = {}
    if settings.timeout_ms and not new.timeout_ms and "timeout" not in own:
        changes["timeout_ms"] = settings.timeout_ms
    if settings.priority and not spec.priority and "priority" not in own:
        changes["priority"] = settings.priority
    if "retry" not in own:
        if settings.max_attempts and not new.max_attempts:
            changes["max_attempts"] = settings.max_attempts
        if (settings.backoff_ms or settings.max_backoff_ms) and new.retry is None:
            changes["retry"] = RetryOverride(settings.backoff_ms or None, settings.max_backoff_ms or None)
    return replace(new, **changes) if changes else new


def check_request_id(value: str) -> None:
    """Refuse a request id that is too long.

    Raises:
        InvalidRequest: It is.
    """
    if len(value) > MAX_NAME:
        problem = f"must have at most {MAX_NAME} characters; best is a UUID"
        raise InvalidRequest(f"the request id {problem}", [Violation("request_id", problem)])


def check_chosen_id(value: str, field: str) -> None:
    """Refuse an id that a caller cannot give; an empty one is left to the server.

    Raises:
        MalformedId: It cannot be an id, or looks like one of the server's own.
    """
    if value:
        check_id(value, field, chosen=True)


def check_labels(labels: Mapping[str, str], title: str, path: str, problems: Problems) -> None:
    """Note what is wrong with a title and labels."""
    if len(title) > MAX_TITLE:
        problems.append(Violation(f"{path}title", f"must have at most {MAX_TITLE} characters"))
    if len(labels) > MAX_LABELS:
        problems.append(
            Violation(f"{path}labels", f"has {len(labels)} pairs; at most {MAX_LABELS} are allowed")
        )
    for key, value in labels.items():
        if not 0 < len(key) <= MAX_LABEL_KEY or len(value) > MAX_LABEL_VALUE:
            problems.append(
                Violation(
                    f"{path}labels",
                    f"{cut(key, 40)!r}: keys have 1 to {MAX_LABEL_KEY} characters, "
                    f"values at most {MAX_LABEL_VALUE}",
                )
            )


def _arguments_text(spec: pb.JobSpec) -> str:
    if not spec.HasField("arguments"):
        return "{}"
    refuse_later(spec.arguments, "spec.arguments.")
    return spec.arguments.json if spec.arguments.HasField("json") else "{}"


def _new_job(
    spec: pb.JobSpec,
    known: KnownType,
    text: str,
    job_id: str,
    from_request_id: bool,
    problems: Problems,
    now_ms: int,
) -> NewJob:
    delay_ms, not_before_ms = _start(spec, problems)
    max_attempts, max_lost, retry = read_policy(spec, problems)
    timeout_ms = 0
    if spec.HasField("attempt_timeout"):
        timeout_ms = read_span(spec.attempt_timeout, "spec.attempt_timeout", problems, 1, MAX_TIMEOUT_MS)
    if spec.title or spec.labels:
        check_labels(spec.labels, spec.title, "spec.", problems)
    return NewJob(
        id=job_id,
        type=known.type.name,
        queue=_queue(spec, problems) or known.type.queue,
        arguments=text,
        priority=_priority(spec, problems) or known.type.priority,
        delay_ms=delay_ms,
        not_before_ms=not_before_ms,
        expire_ms=_deadline(spec, problems, now_ms, max(not_before_ms, now_ms + delay_ms)),
        max_attempts=max_attempts,
        timeout_ms=timeout_ms,
        max_lost_attempts=max_lost or known.type.retry.max_lost_attempts,
        retry=retry,
        title=spec.title,
        labels=dict(spec.labels) if spec.labels else {},
        from_request_id=from_request_id,
    )


def _queue(spec: pb.JobSpec, problems: Problems) -> str:
    if spec.queue and not _QUEUE.fullmatch(spec.queue):
        problems.append(Violation("spec.queue", "must have 1 to 128 characters out of A-Z a-z 0-9 . _ : -"))
    return spec.queue


def _priority(spec: pb.JobSpec, problems: Problems) -> Priority | None:
    priority = _PRIORITIES.get(spec.priority)
    if spec.priority and priority is None:
        problems.append(Violation("spec.priority", f"{spec.priority} is not one of 10, 20, 30, 40"))
    return priority


def _start(spec: pb.JobSpec, problems: Problems) -> tuple[int, int]:
    """Return (delay in ms, instant in ms), at most one of which is set."""
    which = spec.WhichOneof("earliest_start")
    if which == "delay":
        return read_span(spec.delay, "spec.delay", problems, 0, MAX_AHEAD_MS), 0
    if which == "not_before_time":
        return 0, _instant(spec.not_before_time, "spec.not_before_time", problems)
    return 0, 0


def _deadline(spec: pb.JobSpec, problems: Problems, now_ms: int, start_ms: int) -> int:
    """Return the instant by which the job must have started, 0 for none."""
    field = "spec.start_deadline_time"
    if not spec.HasField("start_deadline_time"):
        return 0
    ms = _instant(spec.start_deadline_time, field, problems)
    if ms and ms <= now_ms:
        problems.append(Violation(field, "has passed already: the job would never start"))
    elif ms and ms <= start_ms:
        problems.append(Violation(field, "is not after the earliest start: the job would never start"))
    return ms


def _instant(instant: Timestamp, field: str, problems: Problems) -> int:
    if instant.seconds not in _YEAR_1970_TO_9999_S or not 0 <= instant.nanos < 10**9:
        problems.append(Violation(field, "is not an instant between 1970 and 9999"))
        return 0
    return max(1, instant.seconds * 1_000 + instant.nanos // 1_000_000)
