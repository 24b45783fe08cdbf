"""Values of the model as messages, and back through a reader of the test's own."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

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
from jobsvc.model.retry import RetryOverride
from jobsvc.rpc.conversion import attempts_of, error_of, fill_job, progress_of, spec_template
from jobsvc_proto.v1 import common_pb2
from jobsvc_proto.v1 import job_service_pb2 as pb

instants = st.integers(0, 4_000_000_000_000)
words = st.text(max_size=20)
small = st.integers(0, 1_000)
errors = st.builds(
    JobError,
    category=st.sampled_from(ErrorCategory),
    type=words,
    message=words,
    stack_trace=words,
    code=words,
    retryable=st.booleans(),
)
jobs = st.builds(
    Job,
    id=words,
    type=words,
    queue=words,
    state=st.sampled_from(JobState),
    version=st.integers(1, 2**53),
    priority=st.sampled_from(Priority),
    create_ms=instants,
    start_ms=instants,
    end_ms=instants,
    due_ms=instants,
    attempt=small,
    lost_attempts=small,
    max_attempts=small,
    max_lost_attempts=small,
    timeout_ms=instants,
    retry=st.none()
    | st.builds(
        RetryOverride,
        initial_ms=st.none() | st.integers(1, 10**9),
        max_ms=st.none() | st.integers(1, 10**9),
        multiplier=st.none() | st.floats(1, 100),
        jitter=st.none() | st.floats(0, 1),
        non_retryable_types=st.lists(words, max_size=3).map(tuple),
    ),
    worker_id=words,
    batch_id=words,
    title=words,
    labels=st.dictionaries(words, words, max_size=3),
    owner=words,
    progress=st.none()
    | st.builds(
        Progress,
        percent=st.none() | st.floats(0, 100),
        step=words,
        message=words,
        completed_units=st.none() | st.integers(0, 2**60),
        total_units=st.none() | st.integers(0, 2**60),
        unit=words,
        update_ms=instants,
    ),
    error=st.none() | errors,
    cancel=st.none() | st.builds(CancelStatus, words, words, instants, instants, instants),
    arguments=st.none() | st.just('{"a": 1}'),
    result=st.none() | words,
    attempts=st.lists(
        st.builds(Attempt, small, words, instants, instants, st.sampled_from(Outcome), st.none() | errors),
        max_size=3,
    ).map(tuple),
)
KEPT_MS = {state: 1_000 for state in JobState if state.terminal}


def message_of(job: Job, *, full: bool) -> pb.Job:
    message = pb.Job()
    fill_job(message, job, full=full, template=None, retention_ms=KEPT_MS)
    return pb.Job.FromString(message.SerializeToString())


def error_in(message: common_pb2.JobError) -> JobError:
    category = common_pb2.JobError.Category.Name(message.category).removeprefix("CATEGORY_").lower()
    return JobError(
        ErrorCategory(category),
        message.type,
        message.message,
        message.stack_trace,
        message.code,
        message.retryable,
    )


@given(job=jobs)
def test_job_in_full_says_everything(job: Job) -> None:
    message = message_of(job, full=True)

    assert (message.job_id, message.version, message.batch_id) == (job.id, job.version, job.batch_id)
    assert message.state == common_pb2.JobState.Value(f"JOB_STATE_{job.state.upper()}")
    assert message.create_time.ToMilliseconds() == job.create_ms
    assert message.start_time.ToMilliseconds() == job.start_ms
    assert (message.attempt_count, message.lost_attempt_count) == (job.attempt, job.lost_attempts)
    spec = message.spec
    assert (spec.job_type, spec.queue, spec.title, dict(spec.labels)) == (
        job.type,
        job.queue,
        job.title,
        job.labels,
    )
    assert spec.priority == job.priority
    assert spec.attempt_timeout.ToMilliseconds() == job.timeout_ms
    assert spec.retry_policy.max_attempts == job.max_attempts
    assert spec.arguments.json == (job.arguments or "{}")
    if job.state.terminal:
        assert message.end_time.ToMilliseconds() == job.end_ms
        assert message.retain_until_time.ToMilliseconds() == job.end_ms + 1_000
    error = error_of(job)
    assert message.HasField("error") is (error is not None)
    if error is not None:
        assert error_in(message.error) == error
    assert message.HasField("result") is (job.state is JobState.COMPLETED and job.result is not None)
    assert message.HasField("cancel") is (job.cancel is not None)


@given(job=jobs)
def test_job_progress_is_that_of_its_newest_attempt(job: Job) -> None:
    message = message_of(job, full=False)

    progress = progress_of(job)
    assert message.HasField("progress") is (progress is not None)
    if progress is not None:
        found = message.progress
        assert (found.percent if found.HasField("percent") else None) == progress.percent
        assert (
            found.completed_units if found.HasField("completed_units") else None
        ) == progress.completed_units
        assert (found.total_units if found.HasField("total_units") else None) == progress.total_units
        assert (found.step, found.message, found.unit) == (progress.step, progress.message, progress.unit)
        assert found.update_time.ToMilliseconds() == progress.update_ms


@given(job=jobs)
def test_job_attempts_end_with_the_one_that_runs_or_completed(job: Job) -> None:
    message = message_of(job, full=True)

    assert len(message.attempts) == len(attempts_of(job))
    for attempt, found in zip(job.attempts, message.attempts, strict=False):
        assert (found.number, found.worker_id) == (attempt.number, attempt.worker_id)
        assert found.start_time.ToMilliseconds() == attempt.start_ms
        assert found.end_time.ToMilliseconds() == attempt.end_ms
        assert common_pb2.Attempt.Outcome.Name(found.outcome) == f"OUTCOME_{attempt.outcome.upper()}"
        if attempt.error is not None:
            assert error_in(found.error) == attempt.error


@given(job=jobs)
def test_job_in_short_leaves_large_parts_out(job: Job) -> None:
    message = message_of(job, full=False)

    assert not message.spec.HasField("arguments")
    assert not message.HasField("result")
    assert not message.attempts
    assert message.error.stack_trace == ""


@given(job=jobs)
def test_job_takes_the_defaults_of_its_type(job: Job) -> None:
    template = spec_template(JobType(name=job.type, queue="q", timeout_ms=5_000))
    message = pb.Job()

    fill_job(message, job, full=False, template=template, retention_ms=KEPT_MS)

    policy = message.spec.retry_policy
    assert policy.max_attempts == (job.max_attempts or 3)
    assert message.spec.attempt_timeout.ToMilliseconds() == (job.timeout_ms or 5_000)
    override = job.retry or RetryOverride()
    assert policy.initial_backoff.ToMilliseconds() == (
        1_000 if override.initial_ms is None else override.initial_ms
    )
    assert policy.backoff_multiplier == (override.multiplier or 2.0)
    assert list(policy.non_retryable_error_types) == list(override.non_retryable_types)
    assert template == spec_template(JobType(name=job.type, queue="q", timeout_ms=5_000))


def test_cancelled_job_without_an_error_says_that_it_was_cancelled() -> None:
    job = Job(
        id="a", type="t", queue="q", state=JobState.CANCELLED, version=2, priority=Priority.LOW, create_ms=1
    )

    assert message_of(job, full=True).error.category == common_pb2.JobError.CATEGORY_CANCELLED
    reasoned = dataclasses.replace(job, cancel=CancelStatus(reason="a mistake"))
    assert message_of(reasoned, full=True).error.message == "a mistake"
