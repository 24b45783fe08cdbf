"""Names of everything that jobsvc keeps in Redis.

All keys of one shard begin with the same hash tag, so that every script works on one slot. ``lua/includes/keys.lua``
builds the same names; a test compares the two.
"""

from __future__ import annotations

import re

from jobsvc.model.errors import ConfigurationError

_NAMESPACE = re.compile(r"^[A-Za-z0-9._-]{1,64}$")


class Keys:
    """Key names of one shard.

    Args:
        namespace: Prefix that separates installations on one Redis; letters, digits, ``. _ -``, at most 64.
        shard: Number of the shard.

    Raises:
        ConfigurationError: The namespace has other characters.
    """

    def __init__(self, namespace: str = "jobsvc", shard: int = 0) -> None:
        if not _NAMESPACE.match(namespace):
            raise ConfigurationError(
                f"setting namespace (JOBSVC_NAMESPACE) is {namespace!r}; use 1 to 64 letters, digits, '.', '_' or '-'"
            )
        self.tag = f"{{{namespace}:{shard}}}"

    def job(self, job_id: str) -> str:
        """Hash: the compact record of a job."""
        return f"{self.tag}:job:{job_id}"

    def part(self, job_id: str, part: str) -> str:
        """A larger part of a job: arguments, result, progress, spec, cancel, attempts, logs or retried."""
        return f"{self.tag}:{part}:{job_id}"

    def queue(self, queue: str, part: str) -> str:
        """A part of a queue: ready, scheduled, leases, completed, failed or cancelled (sorted sets), wake, counters."""
        return f"{self.tag}:queue:{queue}:{part}"

    def batch(self, batch_id: str) -> str:
        """Hash: a batch and its counts."""
        return f"{self.tag}:batch:{batch_id}"

    def batch_part(self, batch_id: str, part: str) -> str:
        """A larger part of a batch: named (hash), failures (list), staged (set, until the batch is committed)."""
        return f"{self.tag}:batch-{part}:{batch_id}"

    def watch(self, target_id: str) -> str:
        """Channel that tells of changes of a job or of the jobs of a batch."""
        return f"{self.tag}:watch:{target_id}"

    @property
    def queues(self) -> str:
        """Set: names of all queues."""
        return f"{self.tag}:queues"

    @property
    def types(self) -> str:
        """Hash: published job types as JSON, by name."""
        return f"{self.tag}:types"

    @property
    def workers(self) -> str:
        """Sorted set: worker ids by the time of their last heartbeat."""
        return f"{self.tag}:workers"

    def worker(self, worker_id: str) -> str:
        """String: what a worker says of itself, as JSON."""
        return f"{self.tag}:worker:{worker_id}"

    def claim(self, worker_id: str, lane: str) -> str:
        """String: a worker's last request in a lane and the jobs that it got, in case that the answer is lost."""
        return f"{self.tag}:claim:{worker_id}:{lane}"

    def drain(self, worker_id: str) -> str:
        """String: why a worker is to end; it is there until it has."""
        return f"{self.tag}:drain:{worker_id}"

    @property
    def control(self) -> str:
        """Channel on which workers hear of cancellations."""
        return f"{self.tag}:control"

    @property
    def catalog(self) -> str:
        """Channel that tells of new job types and of workers that come and go."""
        return f"{self.tag}:catalog"
