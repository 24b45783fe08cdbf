"""Values of the model as protobuf messages. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from jobsvc.model.catalog import JobType
from jobsvc.model.job import (
    Attempt,
    CancelStatus,
    ErrorCategory,
    Job,
    JobError,
    Priority,
    Progress,
)
from jobsvc.model.lifecycle import JobState, Outcome
from jobsvc.model.retry import RetryOverride, RetryPolicy, RetryRule
from jobsvc.rpc.estimate import Finish, job_finish
from jobsvc.rpc.status import cut
from jobsvc_proto.v1 import catalog_service_pb2, common_pb2, job_service_pb2

STATES = {state: common_pb2.JobState.Value(f"JOB_STATE_{state.upper()}") for state in JobState}
PRIORITIES = {priority: common_pb2.Priority.Value(f"PRIORITY_{priority.name}") for priority in Priority}
CATEGORIES = {
    category: common_pb2.JobError.Category.Value(f"CATEGORY_{category.upper()}") for category in ErrorCategory
}
OUTCOMES = {outcome: common_pb2.Attempt.Outcome.Value(f"OUTCOME_{outcome.upper()}") for outcome in Outcome}
LEVELS = {
    name.removeprefix("LEVEL_").lower(): number
    for name, number in job_service_pb2.LogLine.Level.items()
    if number
}

_TELL_ERROR_IN = frozenset({JobState.SCHEDULED, JobState.QUEUED, JobState.FAILED, JobState.CANCELLED})
_MAX_SUMMARY = 500


def set_time(field: Timestamp, ms: int) -> None:
    """Set a timestamp field; 0 leaves it unset."""
    if ms:
        field.seconds = ms // 1_000
        field.nanos = ms % 1_000 * 1_000_000


def set_span(field: Duration, ms: int) -> None:
    """Set a duration field; 0 leaves it unset."""
    if ms:
        field.seconds = ms // 1_000
        field.nanos = ms % 1_000 * 1_000_000


def fill_error(message: common_pb2.JobError, error: JobError, *, full: bool) -> None:
    """Fill in an error; stack trace and details only in full."""
    message.category = CATEGORIES[error.category]
    message.type = error.type
    message.message = error.message
    message.retryable = error.retryable
    message.code = error.code
    if full:
        message.stack_trace = error.stack_trace
        if error.details:
            message.details.json = error.details


def fill_error_brief(message: common_pb2.JobError, error: JobError) -> None:
    """Fill in an error for a list of failures: short, without the stack trace."""
    fill_error(message, error, full=False)
    message.message = cut(error.message, _MAX_SUMMARY)


def fill_finish(message: Any, finish: Finish | None) -> None:
    """Fill in when something will probably end."""
    if finish is not None:
        set_time(message.estimated_finish_p50_time, finish.p50_ms)
        set_time(message.estimated_finish_p90_time, finish.p90_ms)


def fill_progress(message: common_pb2.Progress, progress: Progress, finish: Finish | None) -> None:
    """Fill in a progress report."""
    if progress.percent is not None:
        message.percent = progress.percent
    if progress.completed_units is not None:
        message.completed_units = progress.completed_units
    if progress.total_units is not None:
        message.total_units = progress.total_units
    message.step = progress.step
    message.message = progress.message
    message.unit = progress.unit
    set_time(message.update_time, progress.update_ms)
    fill_finish(message, finish)


def progress_of(job: Job) -> Progress | None:
    """Return the last report of a job's newest attempt; a report of an earlier attempt is not its progress."""
    progress = job.progress
    return progress if progress is not None and progress.update_ms >= job.start_ms else None


def error_of(job: Job) -> JobError | None:
    """Return why a job failed or was cancelled, or why its last attempt failed while it waits for the next."""
    if job.state not in _TELL_ERROR_IN:
        return None
    if job.error is None and job.state is JobState.CANCELLED:
        reason = job.cancel.reason if job.cancel else ""
        return JobError(ErrorCategory.CANCELLED, message=reason or "cancelled")
    return job.error


def attempts_of(job: Job) -> list[Attempt | None]:
    """Return the attempts that are recorded; the last one is ``None`` when it still runs."""
    attempts: list[Attempt | None] = list(job.attempts)
    if job.state is JobState.COMPLETED:
        attempts.append(Attempt(job.attempt, job.worker_id, job.start_ms, job.end_ms, Outcome.COMPLETED))
    elif job.state is JobState.PROCESSING:
        attempts.append(None)
    return attempts


def fill_policy(message: common_pb2.RetryPolicy, policy: RetryPolicy) -> None:
    """Fill in how a job type's failed attempts are repeated."""
    message.max_attempts = policy.max_attempts
    message.max_lost_attempts = policy.max_lost_attempts
    if policy.delays_ms:
        _fill_delays(message, policy.delays_ms)
    else:
        _fill_formula(message, policy)
    message.jitter = policy.jitter
    message.non_retryable_error_types.extend(policy.non_retryable_types)
    _fill_rules(message, policy.rules)


def _fill_formula(message: common_pb2.RetryPolicy, policy: RetryPolicy) -> None:
    set_span(message.initial_backoff, policy.initial_ms)
    set_span(message.max_backoff, policy.max_ms)
    message.backoff_multiplier = policy.multiplier


def _fill_delays(message: common_pb2.RetryPolicy, delays_ms: Iterable[int]) -> None:
    del message.delays[:]
    for delay_ms in delays_ms:
        set_span(message.delays.add(), delay_ms)


def _fill_rules(message: common_pb2.RetryPolicy, rules: Iterable[RetryRule]) -> None:
    del message.rules[:]
    for rule in rules:
        one = message.rules.add(error_code=rule.error, retry=rule.retry)
        if rule.delay_ms is not None:
            one.delay.FromMilliseconds(rule.delay_ms)  # also when it is none at all


def _fill_override(message: common_pb2.RetryPolicy, retry: RetryOverride) -> None:
    """Put what a job sets differently over the policy of its job type, see ``RetryPolicy.with_override``."""
    if retry.delays_ms:
        for name in ("initial_backoff", "max_backoff", "backoff_multiplier", "jitter"):
            message.ClearField(name)
        _fill_delays(message, retry.delays_ms)
    elif retry.by_formula and message.delays:
        del message.delays[:]
        _fill_formula(message, RetryPolicy())
        message.jitter = RetryPolicy().jitter
    if retry.initial_ms is not None:
        message.initial_backoff.FromMilliseconds(retry.initial_ms)
    if retry.max_ms is not None:
        message.max_backoff.FromMilliseconds(retry.max_ms)
    if retry.multiplier is not None:
        message.backoff_multiplier = retry.multiplier
    if retry.jitter is not None:
        message.jitter = retry.jitter
    if retry.non_retryable_types:
        message.non_retryable_error_types[:] = retry.non_retryable_types
    if retry.rules:
        _fill_rules(message, retry.rules)


def job_type_message(job_type: JobType, live_workers: int) -> catalog_service_pb2.JobType:
    """Make the message of a published job type."""
    message = catalog_service_pb2.JobType(
        name=job_type.name,
        description=job_type.description,
        queue=job_type.queue,
        arguments_schema_json=job_type.arguments_schema,
        result_schema_json=job_type.result_schema,
        priority=PRIORITIES[job_type.priority],
        live_worker_count=live_workers,
        isolation=job_type.isolation,
        memory_limit_bytes=job_type.memory_limit_bytes,
    )
    set_span(message.attempt_timeout, job_type.timeout_ms)
    fill_policy(message.retry_policy, job_type.retry)
    return message


def spec_template(job_type: JobType) -> job_service_pb2.JobSpec:
    """Make the spec of a job that takes everything from its job type."""
    message = job_service_pb2.JobSpec(
        job_type=job_type.name,
        queue=job_type.queue,
        priority=PRIORITIES[job_type.priority],
    )
    set_span(message.attempt_timeout, job_type.timeout_ms)
    fill_policy(message.retry_policy, job_type.retry)
    return message


@dataclass(frozen=True, slots=True)
class OwnSettings:
    """What a job sets differently from its job type; 0 and ``None`` take the job type's."""

    queue: str
    priority: Priority
    timeout_ms: int
    max_attempts: int
    max_lost_attempts: int
    retry: RetryOverride | None


def fill_spec(spec: job_service_pb2.JobSpec, own: OwnSettings) -> None:
    """Put what a job sets differently over the template of its job type."""
    spec.queue = own.queue
    spec.priority = PRIORITIES[own.priority]
    if own.timeout_ms:
        set_span(spec.attempt_timeout, own.timeout_ms)
    if own.max_attempts:
        spec.retry_policy.max_attempts = own.max_attempts
    if own.max_lost_attempts:
        spec.retry_policy.max_lost_attempts = own.max_lost_attempts
    if own.retry is not None:
        _fill_override(spec.retry_policy, own.retry)


def fill_job(
    message: job_service_pb2.Job,
    job: Job,
    *,
    full: bool,
    template: job_service_pb2.JobSpec | None,
    retention_ms: Mapping[JobState, int],
) -> None:
    """Fill in a job.

    Args:
        message: An empty message.
        job: Read in full when ``full`` is set.
        full: With arguments, attempts, result and stack traces.
        template: The spec of its job type, ``None`` when that is not known.
        retention_ms: How long finished jobs are kept, by state, where their queue has no setting of its own.
    """
    message.job_id = job.id
    message.state = STATES[job.state]
    message.version = job.version
    message.batch_id = job.batch_id
    message.owner = job.owner
    message.attempt_count = job.attempt
    message.lost_attempt_count = job.lost_attempts
    message.snooze_count = job.snoozes
    set_time(message.create_time, job.create_ms)
    set_time(message.start_time, job.start_ms)
    _fill_job_spec(message.spec, job, template)
    if job.state.terminal:
        set_time(message.end_time, job.end_ms)
        kept_ms = retention_ms.get(job.state, 0) if job.kept_ms is None else job.kept_ms
        if kept_ms:
            set_time(message.retain_until_time, job.end_ms + kept_ms)
    progress = progress_of(job)
    if progress is not None:
        fill_progress(message.progress, progress, job_finish(job))
    error = error_of(job)
    if error is not None:
        fill_error(message.error, error, full=full)
    if job.cancel is not None:
        _fill_cancel(message.cancel, job.cancel)
    if full:
        _fill_details(message, job)


def _fill_job_spec(spec: job_service_pb2.JobSpec, job: Job, template: job_service_pb2.JobSpec | None) -> None:
    if template is not None:
        spec.CopyFrom(template)
    spec.job_type = job.type
    spec.title = job.title
    if job.labels:
        spec.labels.update(job.labels)
    fill_spec(
        spec,
        OwnSettings(
            job.queue, job.priority, job.timeout_ms, job.max_attempts, job.max_lost_attempts, job.retry
        ),
    )
    if job.state is JobState.SCHEDULED or not job.attempt:
        set_time(spec.not_before_time, job.due_ms)
    set_time(spec.start_deadline_time, job.expire_ms)


def _fill_cancel(message: job_service_pb2.CancelRequestStatus, cancel: CancelStatus) -> None:
    message.reason = cancel.reason
    message.requested_by = cancel.requested_by
    set_time(message.request_time, cancel.request_ms)
    set_time(message.deliver_time, cancel.deliver_ms)
    set_time(message.kill_time, cancel.kill_ms)


def _fill_details(message: job_service_pb2.Job, job: Job) -> None:
    message.spec.arguments.json = job.arguments or "{}"
    if job.state is JobState.COMPLETED and job.result is not None:
        message.result.json = job.result
    for attempt in attempts_of(job):
        one = message.attempts.add()
        if attempt is None:
            one.number, one.worker_id = job.attempt, job.worker_id
            set_time(one.start_time, job.start_ms)
            continue
        one.number, one.worker_id = attempt.number, attempt.worker_id
        one.outcome = OUTCOMES[attempt.outcome]
        set_time(one.start_time, attempt.start_ms)
        set_time(one.end_time, attempt.end_ms)
        set_span(one.retry_delay, attempt.delay_ms)
        if attempt.error is not None:
            fill_error(one.error, attempt.error, full=True)
