"""Waiting for several jobs at once, as :mod:`concurrent.futures` does for futures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from ._sync.handles import Batch, Completions, Job

ReturnWhen = Literal["ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION"]
ALL_COMPLETED: ReturnWhen = "ALL_COMPLETED"
FIRST_COMPLETED: ReturnWhen = "FIRST_COMPLETED"
FIRST_EXCEPTION: ReturnWhen = "FIRST_EXCEPTION"


class DoneAndNotDone(NamedTuple):
    """What :func:`wait` found."""

    done: set[Job]
    not_done: set[Job]


def wait(
    jobs: Iterable[Job] | Batch,
    timeout: float | None = None,
    return_when: ReturnWhen = ALL_COMPLETED,
) -> DoneAndNotDone:
    """Wait for jobs to end.

    Args:
        jobs: Handles of one client, or a batch.
        timeout: In seconds; None waits for ever. When it is over what is there is returned: nothing is raised or
            cancelled.
        return_when: ``ALL_COMPLETED``, ``FIRST_COMPLETED`` (any job ended, one way or another), or ``FIRST_EXCEPTION``
            (a job failed or was cancelled).

    Returns:
        The jobs that have ended, and the others.
    """
    if return_when not in (ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION):
        raise ValueError(
            f"return_when is {return_when!r}; expected ALL_COMPLETED, FIRST_COMPLETED or FIRST_EXCEPTION"
        )
    listed = _listed(jobs)
    try:
        for job in as_completed(listed, timeout):
            if return_when == FIRST_COMPLETED:
                break
            if return_when == FIRST_EXCEPTION and job.last_status.state != "completed":
                break
    except TimeoutError:
        pass
    done = {job for job in listed if job.last_status.terminal}
    return DoneAndNotDone(done, set(listed) - done)


def as_completed(jobs: Iterable[Job] | Batch, timeout: float | None = None) -> Completions:
    """Iterate over jobs as they end, with ``for`` or ``async for``.

    Args:
        jobs: Handles of one client, or a batch.
        timeout: For all of them together, in seconds; None waits for ever.

    Raises:
        TimeoutError: Some have not ended in time; they go on.
    """
    listed = _listed(jobs)
    if not listed:
        return Completions(None, lambda: listed, timeout)  # type: ignore[arg-type]
    return Completions(listed[0].client, lambda: listed, timeout)


def gather(*jobs: Job, return_exceptions: bool = False) -> list[Any]:
    """Wait for jobs and return their results in the order given.

    Args:
        *jobs: Handles of one client.
        return_exceptions: Put the errors of failed and cancelled jobs in their places, instead of raising the first.

    Raises:
        JobFailed: A job failed.
        JobCancelled: A job was cancelled.
    """
    __tracebackhide__ = True
    for _ in as_completed(jobs):
        pass
    results: list[Any] = []
    for job in jobs:
        error = job.exception()
        if error is None:
            results.append(job.result())
        elif return_exceptions:
            results.append(error)
        else:
            raise error
    return results


def _listed(jobs: Iterable[Job] | Batch) -> list[Job]:
    return list(jobs.jobs if isinstance(jobs, Batch) else dict.fromkeys(jobs))
