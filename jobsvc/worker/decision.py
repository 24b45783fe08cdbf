"""What follows from an attempt: decided from values, carried out by the store."""

from __future__ import annotations

from collections.abc import Callable

from jobsvc.model.job import MAX_SNOOZES, ErrorCategory, JobError
from jobsvc.model.lifecycle import Outcome
from jobsvc.model.retry import RetryPolicy, names_of
from jobsvc.store import records
from jobsvc.store.calls import Claim, Report
from jobsvc.worker.raised import Ended

SNOOZED_TOO_OFTEN = JobError(
    ErrorCategory.APPLICATION,
    type="jobsvc.Snooze",
    message=f"the handler asked {MAX_SNOOZES:,} times to be called later; a job that waits for ever is given up",
    code="SNOOZED_TOO_OFTEN",
)


def decide(claim: Claim, ended: Ended, policy: RetryPolicy, random: Callable[[], float]) -> Report:
    """Turn what came of an attempt into its outcome.

    Args:
        claim: The job and its lease.
        ended: What came of the attempt.
        policy: The handler's retry policy; the job's own settings are applied to it.
        random: Returns a number in [0, 1), for the jitter.
    """
    if ended.result is not None:
        return Report(claim.job_id, claim.token, Outcome.COMPLETED, 0, ended.result)
    if ended.snooze_ms is not None:
        # the error is for a job that has done so too often; the store counts
        body = records.dump_error(SNOOZED_TOO_OFTEN)
        return Report(claim.job_id, claim.token, Outcome.SNOOZED, ended.snooze_ms, body)
    error = ended.error
    assert error is not None
    if error.category is ErrorCategory.CANCELLED:
        return Report(claim.job_id, claim.token, Outcome.CANCELLED, 0, records.dump_error(error))
    delay_ms = None
    if error.retryable and claim.spared >= 0:
        delay_ms = policy.with_override(claim.retry, claim.max_attempts).next_delay_ms(
            failed_attempts=claim.attempt - claim.lost_attempts - claim.spared,
            names=names_of(error.code, ended.types or (error.type,), error.category.value),
            after_ms=ended.after_ms,
            random=random,
        )
    if delay_ms is None:
        return Report(claim.job_id, claim.token, Outcome.FAILED, 0, records.dump_error(error))
    return Report(claim.job_id, claim.token, Outcome.RETRIED, delay_ms, records.dump_error(error))
