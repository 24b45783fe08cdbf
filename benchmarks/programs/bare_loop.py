"""The least that starting a stored job can cost: a process that is blocked in Redis wakes up, takes the job and stamps.

``python -m benchmarks.programs.bare_loop PORT NAMESPACE``. One round trip takes a job and says that the last one has
ended, with the very script that workers use; there are no slots, no handlers and no checks around it, and no server.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from benchmarks.programs.raw import RawConnection
from benchmarks.programs.stamp import stamp
from jobsvc.model.lifecycle import Outcome
from jobsvc.store import calls
from jobsvc.store.keys import Keys
from jobsvc.store.store import words_of

QUEUE = "bench"
LEASE_MS = 10_000


def main(port: int, namespace: str) -> None:
    """Take jobs for ever."""
    connection, keys = RawConnection(port), Keys(namespace)
    reports: list[calls.Report] = []
    number = 0
    while True:
        connection.ask("BZPOPMIN", keys.queue(QUEUE, "wake"), 0)
        claims: list[Any] = [None]
        while claims:
            number += 1
            call = calls.exchange(
                "bare", str(number), lease_ms=LEASE_MS, reports=reports, want=1, queues=[QUEUE]
            )
            _, claims, *_ = connection.ask(*words_of(call, keys))
            reports = []
            for job_id, token, *_, arguments, _ in claims:
                stamp(json.loads(arguments)["sent_ns"])
                reports.append(calls.Report(job_id.decode(), token.decode(), Outcome.COMPLETED, 0, "null"))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
