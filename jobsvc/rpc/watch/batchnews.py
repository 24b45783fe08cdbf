"""The counts of a batch as a message."""

from __future__ import annotations

from collections.abc import Iterable

from jobsvc.model.job import Batch, Job
from jobsvc.model.lifecycle import JobState
from jobsvc.rpc.conversion import (
    error_of,
    fill_error_brief,
    fill_finish,
    fill_progress,
    progress_of,
    set_time,
)
from jobsvc.rpc.estimate import batch_finish, job_finish
from jobsvc_proto.v1 import job_service_pb2 as pb


def batch_message(
    batch: Batch, *, now_ms: int, failures: Iterable[Job], example: Job | None
) -> pb.BatchProgress:
    """Make the message.

    Args:
        batch: The counts.
        now_ms: By the clock of Redis, for the estimate.
        failures: The jobs that failed last, newest first.
        example: A job that runs.
    """
    counts = batch.counts
    message = pb.BatchProgress(
        batch_id=batch.id,
        total=batch.total,
        version=batch.version,
        title=batch.title,
        completed=counts[JobState.COMPLETED],
        failed=counts[JobState.FAILED],
        cancelled=counts[JobState.CANCELLED],
        processing=counts[JobState.PROCESSING],
        queued=counts[JobState.QUEUED],
        scheduled=counts[JobState.SCHEDULED],
        blocked=counts[JobState.BLOCKED],
    )
    ended = sum(count for state, count in counts.items() if state.terminal)
    message.percent = 100.0 * ended / batch.total if batch.total else 100.0
    set_time(message.create_time, batch.create_ms)
    set_time(message.start_time, batch.start_ms)
    set_time(message.end_time, batch.end_ms)
    fill_finish(message, batch_finish(batch, now_ms))
    for job in failures:
        failure = message.recent_failures.add(job_id=job.id, title=job.title or job.type)
        set_time(failure.end_time, job.end_ms)
        error = error_of(job)
        if error is not None:
            fill_error_brief(failure.error, error)
    if example is not None and example.state is JobState.PROCESSING:
        message.running_example.job_id, message.running_example.version = example.id, example.version
        progress = progress_of(example)
        if progress is not None:
            fill_progress(message.running_example.progress, progress, job_finish(example))
    return message


def has_ended(batch: Batch) -> bool:
    """Whether every job of a batch has ended; one without jobs has from the beginning."""
    return batch.terminal or not batch.total
