"""Messages of a stream, put together from encoded parts.

Protobuf messages that follow each other are one message: repeated fields are joined. So an event is encoded once, as a
message with this event alone, and shared by all streams that tell of it.
"""

from __future__ import annotations

import base64
import time
import zlib
from collections.abc import Iterable, Sequence

from jobsvc.rpc.conversion import set_time
from jobsvc_proto.v1 import job_service_pb2 as pb

_TOKEN_FORMAT = b"\x01"


def event_part(event: pb.StreamEvent) -> bytes:
    """Encode an event as a part of a message, with the time of now."""
    set_time(event.event_time, time.time_ns() // 1_000_000)
    return pb.StreamProgressResponse(events=[event]).SerializeToString()


def heartbeat_part() -> bytes:
    """Encode a sign of life."""
    return event_part(pb.StreamEvent(heartbeat=pb.Heartbeat()))


def token_part(token: str) -> bytes:
    """Encode a resume token as a part of a message."""
    return pb.StreamProgressResponse(resume_token=token).SerializeToString()


def write_resume_token(target_ids: Sequence[str], versions: Iterable[int]) -> str:
    """Make a resume token: the newest version told of each target. Any server can go on from it."""
    raw = bytearray(_TOKEN_FORMAT + _digest(target_ids))
    for version in versions:
        while version >= 0x80:
            raw.append(version & 0x7F | 0x80)
            version >>= 7
        raw.append(version)
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def read_resume_token(target_ids: Sequence[str], token: str) -> list[int] | None:
    """Return the versions of a token; ``None`` for one of other targets or of another kind of server."""
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    head = _TOKEN_FORMAT + _digest(target_ids)
    if not raw.startswith(head):
        return None
    versions: list[int] = []
    value = shift = 0
    for byte in raw[len(head) :]:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            versions.append(value)
            value = shift = 0
    return versions if len(versions) == len(target_ids) and not shift else None


def _digest(target_ids: Sequence[str]) -> bytes:
    return zlib.crc32("\n".join(target_ids).encode()).to_bytes(4, "big")
