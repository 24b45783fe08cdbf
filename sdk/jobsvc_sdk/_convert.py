"""Protobuf messages to the values of :mod:`jobsvc_sdk.values`. The only place that knows both."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from jobsvc_proto.v1 import admin_service_pb2, catalog_service_pb2, common_pb2, job_service_pb2

from . import values

_STATE_PREFIX = len("JOB_STATE_")
_STATES: dict[int, str] = {
    number: name[_STATE_PREFIX:].lower() for name, number in common_pb2.JobState.items()
}
_CATEGORIES: dict[int, str] = {
    int(number): name.removeprefix("CATEGORY_").lower()
    for name, number in common_pb2.JobError.Category.items()
}
_OUTCOMES: dict[int, str] = {
    int(number): name.removeprefix("OUTCOME_").lower() for name, number in common_pb2.Attempt.Outcome.items()
} | {common_pb2.Attempt.OUTCOME_UNSPECIFIED: "running"}
_LEVELS: dict[int, str] = {
    int(number): name.removeprefix("LEVEL_").lower() for name, number in job_service_pb2.LogLine.Level.items()
} | {job_service_pb2.LogLine.LEVEL_UNSPECIFIED: "info"}


def state_name(number: int) -> str:
    """Return the word for a state; a state this SDK does not know yet keeps its number."""
    return _STATES.get(number, f"state_{number}")


def time_of(message: Message, field: str) -> datetime | None:
    """Return a timestamp field as an aware datetime, None when it is unset."""
    if not message.HasField(field):
        return None
    stamp: Timestamp = getattr(message, field)
    return stamp.ToDatetime(tzinfo=UTC)


def span_of(message: Message, field: str) -> timedelta | None:
    """Return a duration field as a timedelta, None when it is unset."""
    if not message.HasField(field):
        return None
    span: Duration = getattr(message, field)
    return span.ToTimedelta()


def error(message: common_pb2.JobError) -> values.ErrorValue:
    """Convert the error of a job or an attempt."""
    return values.ErrorValue(
        category=_CATEGORIES.get(message.category, f"category_{message.category}"),
        type=message.type,
        message=message.message,
        stack_trace=message.stack_trace,
        code=message.code,
        retryable=message.retryable,
        details_json=message.details.json,
    )


def attempt(message: common_pb2.Attempt) -> values.AttemptValue:
    """Convert one attempt."""
    return values.AttemptValue(
        number=message.number,
        worker_id=message.worker_id,
        start_time=time_of(message, "start_time"),
        end_time=time_of(message, "end_time"),
        outcome=_OUTCOMES.get(message.outcome, f"outcome_{message.outcome}"),
        error=error(message.error) if message.HasField("error") else None,
        retry_delay=span_of(message, "retry_delay"),
    )


def progress_fields(message: common_pb2.Progress) -> dict[str, object]:
    """Return the fields of :class:`~jobsvc_sdk.values.JobStatus` that a progress report decides."""
    return {
        "percent": message.percent if message.HasField("percent") else None,
        "step": message.step,
        "message": message.message,
        "completed_units": message.completed_units if message.HasField("completed_units") else None,
        "total_units": message.total_units if message.HasField("total_units") else None,
        "unit": message.unit,
        "finish_p50": time_of(message, "estimated_finish_p50_time"),
        "finish_p90": time_of(message, "estimated_finish_p90_time"),
    }


def job(message: job_service_pb2.Job, *, full: bool) -> values.JobStatus:
    """Convert a job.

    Args:
        message: The job as the server sent it.
        full: Whether it was asked for with arguments, attempts and result.
    """
    spec = message.spec
    return values.JobStatus(
        id=message.job_id,
        job_type=spec.job_type,
        title=spec.title,
        queue=spec.queue,
        state=state_name(message.state),
        version=message.version,
        attempt=message.attempt_count,
        lost_attempts=message.lost_attempt_count,
        snoozes=message.snooze_count,
        max_attempts=spec.retry_policy.max_attempts or None,
        create_time=time_of(message, "create_time"),
        start_time=time_of(message, "start_time"),
        end_time=time_of(message, "end_time"),
        error=error(message.error) if message.HasField("error") else None,
        due_time=time_of(spec, "not_before_time")
        if message.state == common_pb2.JOB_STATE_SCHEDULED
        else None,
        result_json=message.result.json if message.HasField("result") else None,
        arguments_json=spec.arguments.json if spec.HasField("arguments") else None,
        batch_id=message.batch_id,
        cancel_requested=message.HasField("cancel"),
        attempts=tuple(attempt(item) for item in message.attempts),
        cancel_reason=message.cancel.reason,
        queue_position=message.queue_position or None,
        full=full,
        **progress_fields(message.progress),  # type: ignore[arg-type]
    )


def failure(message: job_service_pb2.FailureSummary) -> values.FailureValue:
    """Convert one line about a failed job of a batch."""
    return values.FailureValue(
        job_id=message.job_id,
        title=message.title,
        error=error(message.error) if message.HasField("error") else None,
        end_time=time_of(message, "end_time"),
    )


def batch(message: job_service_pb2.BatchProgress) -> values.BatchStatus:
    """Convert the counts of a batch."""
    example = message.running_example
    return values.BatchStatus(
        id=message.batch_id,
        title=message.title,
        version=message.version,
        counts={state: getattr(message, state) for state in values.STATES},
        total=message.total,
        percent=message.percent,
        create_time=time_of(message, "create_time"),
        start_time=time_of(message, "start_time"),
        end_time=time_of(message, "end_time"),
        finish_p50=time_of(message, "estimated_finish_p50_time"),
        finish_p90=time_of(message, "estimated_finish_p90_time"),
        failures=tuple(failure(item) for item in message.recent_failures),
        running_job_id=example.job_id,
        running_step=example.progress.step,
        running_message=example.progress.message,
    )


def log_line(message: job_service_pb2.LogLine) -> values.LogLine:
    """Convert one line of a job's log."""
    return values.LogLine(
        number=message.line_number,
        time=time_of(message, "log_time"),
        level=_LEVELS.get(message.level, "info"),
        text=message.text,
        attempt=message.attempt,
    )


def queue(message: job_service_pb2.QueueStats) -> values.QueueValue:
    """Convert the numbers of a queue; the contract's waiting, active and delayed are states here."""
    return values.QueueValue(
        name=message.queue,
        queued=message.waiting,
        processing=message.active,
        scheduled=message.delayed,
        blocked=message.blocked,
        completed=message.completed,
        failed=message.failed,
        cancelled=message.cancelled,
        paused=message.paused,
        per_second=message.throughput_per_second,
        failure_ratio=message.failure_ratio,
        wait_p50=span_of(message, "wait_p50"),
        wait_p95=span_of(message, "wait_p95"),
        run_p50=span_of(message, "run_p50"),
        run_p95=span_of(message, "run_p95"),
        oldest_waiting=span_of(message, "oldest_waiting_age"),
        total=message.total,
    )


def worker(message: admin_service_pb2.Worker) -> values.WorkerValue:
    """Convert a worker."""
    return values.WorkerValue(
        id=message.worker_id,
        hostname=message.hostname,
        pid=message.pid,
        queues=tuple(message.queues),
        slots=message.concurrency,
        running=message.running_count,
        running_job_ids=tuple(message.running_job_ids),
        memory_bytes=message.memory_bytes,
        start_time=time_of(message, "start_time"),
        heartbeat_time=time_of(message, "heartbeat_time"),
        draining=message.draining,
        version=message.version,
    )


def job_type(message: catalog_service_pb2.JobType) -> values.JobTypeValue:
    """Convert what the catalogue says about a job type."""
    return values.JobTypeValue(
        name=message.name,
        description=message.description,
        queue=message.queue,
        arguments_schema_json=message.arguments_schema_json,
        live_workers=message.live_worker_count,
        timeout=span_of(message, "attempt_timeout"),
        max_attempts=message.retry_policy.max_attempts or None,
        deprecated=message.deprecated,
        isolation=message.isolation,
        memory_limit_bytes=message.memory_limit_bytes,
    )


def server_info(message: catalog_service_pb2.GetServerInfoResponse) -> values.ServerInfo:
    """Convert what a server says about itself."""
    return values.ServerInfo(
        version=message.server_version,
        features=tuple(message.features),
        max_inline_bytes=message.max_inline_payload_bytes,
        max_batch_size=message.max_batch_size,
        worker_count=message.worker_count,
        degraded=message.degraded,
    )


def cancel_summary(message: job_service_pb2.CancelResponse) -> values.CancelSummary:
    """Convert what became of a request to cancel several jobs."""
    return values.CancelSummary(
        cancelled=message.cancelled_count,
        requested=message.requested_count,
        already_finished=message.already_finished_count,
        missing=tuple(message.missing_job_ids),
    )
