"""Jobs as clients see them: with the defaults of their job type, and with the time until which they are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from jobsvc.config import Settings
from jobsvc.model.job import Job
from jobsvc.model.lifecycle import JobState
from jobsvc.rpc.conversion import fill_job
from jobsvc_proto.v1 import job_service_pb2 as pb


def retention_ms(settings: Settings) -> Mapping[JobState, int]:
    """Return how long finished jobs are kept, by state."""
    return {
        JobState.COMPLETED: int(settings.retention_completed.total_seconds() * 1_000),
        JobState.FAILED: int(settings.retention_failed.total_seconds() * 1_000),
        JobState.CANCELLED: int(settings.retention_cancelled.total_seconds() * 1_000),
    }


class JobWriter:
    """Writes jobs into messages.

    Args:
        template_of: The spec of a job type, as far as it is known now.
        retention: How long finished jobs are kept, ms by state.
    """

    def __init__(
        self, template_of: Callable[[str], pb.JobSpec | None], retention: Mapping[JobState, int]
    ) -> None:
        self._template_of = template_of
        self._retention = retention

    def fill(self, message: pb.Job, job: Job, *, full: bool) -> None:
        """Fill an empty message in."""
        fill_job(message, job, full=full, template=self._template_of(job.type), retention_ms=self._retention)
