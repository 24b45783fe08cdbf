"""Fields of the contract that later versions will understand. They are refused, never ignored."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import Message

from jobsvc.model.errors import FeatureNotAvailable
from jobsvc_proto.v1 import common_pb2
from jobsvc_proto.v1 import job_service_pb2 as pb
from jobsvc_proto.v1 import queue_service_pb2 as queue_pb

LATER: Mapping[type[Message], frozenset[str]] = {
    pb.SubmitRequest: frozenset({"dedup"}),
    pb.JobSpec: frozenset({"depends_on", "parent_job_id", "group", "rate_limit_key", "rate_limit_weight"}),
    common_pb2.Payload: frozenset({"data", "blob", "encodings"}),
    pb.SubmitBatchRequest: frozenset({"stagger", "failure_threshold", "callback"}),
    pb.WatchTarget: frozenset({"parent_job_id", "filter"}),
    queue_pb.Queue: frozenset({"group_weights", "max_concurrency_per_group"}),
    queue_pb.RateLimit: frozenset({"per_key"}),
    pb.CancelRequest: frozenset({"include_children"}),
}
"""Message -> fields that are not available yet."""


def refuse_later(message: Message, path: str = "") -> None:
    """Refuse a message that uses a field of a later version.

    Args:
        message: One of ``LATER``; messages inside it are not looked into.
        path: Where it stands in the request, with a dot at its end.

    Raises:
        FeatureNotAvailable: It does; ``facts["field"]`` names the field.
    """
    later = LATER[message.__class__]
    for field, _ in message.ListFields():
        if field.name in later:
            raise FeatureNotAvailable(
                f"{path}{field.name} is not available in this version of the server",
                field=f"{path}{field.name}",
            )
