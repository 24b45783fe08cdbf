"""What travels between a worker and its children."""

from __future__ import annotations

from jobsvc.model.job import ErrorCategory, JobError, Progress
from jobsvc.worker import wire
from jobsvc.worker.execution import Task
from jobsvc.worker.raised import Ended


def test_wire_carries_everything_there_and_back() -> None:
    given = Task("j", "17", "a.b", "q", 2, 3, "b", '{"x":"é\U0001f600\\n"}', 1_000)
    error = JobError(ErrorCategory.TIMEOUT, "a.B", "m\n", "t", "C", retryable=True)
    ends = (Ended(result='"é"'), Ended(error=error, after_ms=0), Ended(error=error))
    progress = Progress(1.5, "s", "m", 1, 2, "u")

    assert wire.unpack_task(wire.pack_task(given)) == given
    assert [wire.unpack_end(wire.pack_end(ended)) for ended in ends] == list(ends)
    assert wire.unpack_progress(wire.pack_progress(progress)) == progress
    assert wire.unpack_progress(wire.pack_progress(Progress())) == Progress()
    assert wire.unpack_log(wire.pack_log("info", "t é", 5)) == ["info", "t é", 5]
    assert wire.unpack_stop(wire.pack_stop("17", "cancel")) == ("17", "cancel")
