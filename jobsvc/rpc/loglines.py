"""Log lines of jobs: what the worker wrote, as messages."""

from __future__ import annotations

import json

from jobsvc.rpc.conversion import LEVELS, set_time
from jobsvc_proto.v1 import job_service_pb2 as pb


def log_line(job_id: str, text: str) -> pb.LogLine:
    """Make the message of one stored line, a JSON object with line, attempt, time_ms, level and text."""
    value = json.loads(text)
    message = pb.LogLine(
        job_id=job_id,
        attempt=int(value.get("attempt", 0)),
        line_number=int(value["line"]),
        level=LEVELS.get(value.get("level", "info"), pb.LogLine.LEVEL_INFO),
        text=str(value.get("text", "")),
    )
    set_time(message.log_time, int(value.get("time_ms", 0)))
    return message
