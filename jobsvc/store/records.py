"""Between what Redis holds and the values of the model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from jobsvc.model.catalog import JobType, WorkerInfo
from jobsvc.model.job import (
    Attempt,
    Batch,
    CancelStatus,
    ErrorCategory,
    Job,
    JobError,
    NewBatch,
    NewJob,
    Priority,
    Progress,
)
from jobsvc.model.lifecycle import JobState, Outcome
from jobsvc.model.retry import RetryOverride, RetryPolicy, RetryRule


def compact(value: Any) -> str:
    """Write a value as JSON without blanks."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "", (), {}, 0, 0.0)}


def pairs(flat: Sequence[str]) -> dict[str, str]:
    """Turn ``[field, value, field, value]`` into a dictionary."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def dump_spec(new: NewJob | NewBatch) -> str:
    """Write the rarely used parts of a job or batch; empty when it has none."""
    spec = _present({"title": new.title, "labels": dict(new.labels), "owner": new.owner})
    if isinstance(new, NewJob) and new.retry:
        spec["retry"] = {name: value for name, value in asdict(new.retry).items() if value not in (None, ())}
    return compact(spec) if spec else ""


def load_retry(spec_text: str | None) -> RetryOverride | None:
    """Read the retry settings out of a job's spec."""
    retry = json.loads(spec_text).get("retry") if spec_text else None
    if retry is None:
        return None
    return RetryOverride(**_retry_tuples(retry))


def _retry_tuples(retry: Mapping[str, Any]) -> dict[str, Any]:
    """The lists of a retry policy, as JSON has them, as the values of the model."""
    return {
        **retry,
        "non_retryable_types": tuple(retry.get("non_retryable_types", ())),
        "delays_ms": tuple(retry.get("delays_ms", ())),
        "rules": tuple(
            RetryRule(**{name: rule[name] for name in RetryRule.__slots__ if name in rule})
            for rule in retry.get("rules", ())
        ),
    }


def dump_error(error: JobError) -> str:
    """Write an error, leaving out what is empty."""
    return compact({"category": error.category.value} | _present(asdict(error) | {"category": None}))


def load_error(value: Mapping[str, Any] | None) -> JobError | None:
    """Read an error."""
    if not value:
        return None
    return JobError(**{**value, "category": ErrorCategory(value["category"])})


def dump_progress(progress: Progress) -> str:
    """Write progress, leaving out what was not reported; the time of the report is Redis' to say."""
    values = asdict(progress)
    del values["update_ms"]
    return compact({name: value for name, value in values.items() if value not in (None, "")})


def load_attempt(text: str) -> Attempt:
    """Read one attempt."""
    value = json.loads(text)
    return Attempt(
        number=int(value["number"]),
        worker_id=value["worker_id"],
        start_ms=int(value["start_ms"]),
        end_ms=int(value["end_ms"]),
        outcome=Outcome(value["outcome"]),
        error=load_error(value["error"]),
        delay_ms=int(value.get("delay_ms", 0)),
    )


def _load_cancel(text: str | None, number: Mapping[str, int]) -> CancelStatus | None:
    if not number["cancel_ms"]:
        return None
    return CancelStatus(
        **(json.loads(text) if text else {}),
        request_ms=number["cancel_ms"],
        deliver_ms=number["deliver_ms"],
        kill_ms=number["kill_ms"],
    )


EXPIRED = JobError(
    ErrorCategory.CANCELLED, message="it had not started by its start deadline", code="EXPIRED"
)


def _load_job_error(record: Mapping[str, str], last_attempt: str | None) -> JobError | None:
    if "expired" in record:
        return EXPIRED
    if not last_attempt or record["state"] == JobState.COMPLETED:
        return None
    return load_attempt(last_attempt).error


def load_job(job_id: str, parts: Sequence[Any]) -> Job:
    """Read a job as ``read.lua`` returns it."""
    record = pairs(parts[0])
    number = {name: int(record.get(name, 0)) for name in _NUMBERS}
    progress, spec_text, cancel_text, last_attempt, kept, arguments, result, attempts = parts[1:9]
    spec = json.loads(spec_text) if spec_text else {}
    return Job(
        id=job_id,
        type=record["type"],
        queue=record["queue"],
        state=JobState(record["state"]),
        version=number["version"],
        priority=Priority(int(record["priority"])),
        create_ms=number["create_ms"],
        start_ms=number["start_ms"],
        end_ms=number["end_ms"],
        due_ms=number["due_ms"],
        expire_ms=number["expire_ms"],
        attempt=number["attempt"],
        lost_attempts=number["lost"],
        snoozes=number["snoozed"],
        max_attempts=number["max_attempts"],
        max_lost_attempts=number["max_lost"],
        timeout_ms=number["timeout_ms"],
        retry=load_retry(spec_text),
        worker_id=record.get("worker", ""),
        batch_id=record.get("batch", ""),
        title=spec.get("title", ""),
        labels=spec.get("labels", {}),
        owner=spec.get("owner", ""),
        progress=Progress(**json.loads(progress), update_ms=number["progress_ms"]) if progress else None,
        error=_load_job_error(record, last_attempt),
        cancel=_load_cancel(cancel_text, number),
        kept_ms=int(kept) if kept else None,
        arguments=arguments or None,
        result=result or None,
        attempts=tuple(load_attempt(text) for text in attempts or ()),
    )


_NUMBERS = (
    "version",
    "create_ms",
    "start_ms",
    "end_ms",
    "due_ms",
    "expire_ms",
    "attempt",
    "lost",
    "snoozed",
    "max_attempts",
    "max_lost",
    "timeout_ms",
    "cancel_ms",
    "deliver_ms",
    "kill_ms",
    "progress_ms",
)


def load_batch(batch_id: str, parts: Sequence[Any]) -> Batch:
    """Read a batch as ``read_batch.lua`` returns it."""
    record = pairs(parts[0])
    spec = json.loads(record["spec"]) if record.get("spec") else {}
    return Batch(
        id=batch_id,
        version=int(record["version"]),
        counts={state: int(record.get(state.value, 0)) for state in JobState},
        size=int(record["size"]),
        create_ms=int(record["create_ms"]),
        start_ms=int(record.get("start_ms", 0)),
        end_ms=int(record.get("end_ms", 0)),
        title=spec.get("title", ""),
        labels=spec.get("labels", {}),
        owner=spec.get("owner", ""),
        named={int(index): job_id for index, job_id in pairs(parts[2]).items()},
        recent_failures=tuple(parts[1]),
    )


def dump_type(job_type: JobType) -> str:
    """Write a job type as workers publish it."""
    return compact(asdict(job_type))


def load_type(text: str) -> JobType:
    """Read a published job type; fields of newer workers are left aside."""
    value = {name: item for name, item in json.loads(text).items() if name in JobType.__slots__}
    retry = {name: item for name, item in value.pop("retry", {}).items() if name in RetryPolicy.__slots__}
    value["priority"] = Priority(value.get("priority", Priority.MEDIUM))
    value["explicit"] = tuple(value.get("explicit", ()))
    return JobType(**value, retry=RetryPolicy(**_retry_tuples(retry)))


def dump_worker(worker: WorkerInfo) -> str:
    """Write what a worker says of itself."""
    return compact(asdict(worker))


def load_worker(text: str, heartbeat_ms: int) -> WorkerInfo:
    """Read what a worker said of itself, with the time of its last heartbeat."""
    value = {name: item for name, item in json.loads(text).items() if name in WorkerInfo.__slots__}
    for name in ("queues", "types", "running"):
        value[name] = tuple(value.get(name, ()))
    return WorkerInfo(**{**value, "heartbeat_ms": heartbeat_ms})
