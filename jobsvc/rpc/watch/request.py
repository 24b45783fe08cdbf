"""What a StreamProgress request asks for, checked."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration

from jobsvc.model.errors import InvalidRequest, Violation
from jobsvc.model.ids import check_id
from jobsvc.rpc.features import refuse_later
from jobsvc.rpc.watch.watcher import BatchTarget, JobTarget, Target, Watcher
from jobsvc.rpc.watch.wire import read_resume_token
from jobsvc_proto.v1 import job_service_pb2 as pb

MAX_TARGETS = 1_000
INTERVALS_S = (0.02, 60.0)
HEARTBEATS_S = (1.0, 60.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a stream watches and how often it tells.

    Attributes:
        ids: Kind and id of each target, which resume tokens are made for.
        resumed: The caller has seen something before.
    """

    watcher: Watcher
    ids: tuple[str, ...]
    heartbeat_s: float
    resumed: bool


def read_request(request: pb.StreamProgressRequest, *, interval_s: float, heartbeat_s: float) -> Plan:
    """Check a request.

    Args:
        request: As the caller sent it.
        interval_s: Used when the request has no ``min_interval``.
        heartbeat_s: Used when the request has no ``heartbeat_interval``.

    Raises:
        InvalidRequest: It has no targets, too many, or one twice.
        MalformedId: An id of a target cannot be one.
        FeatureNotAvailable: A kind of target is not available.
    """
    if not 0 < len(request.targets) <= MAX_TARGETS:
        problem = f"has {len(request.targets)} targets; 1 to {MAX_TARGETS} are allowed"
        raise InvalidRequest(f"targets {problem}", [Violation("targets", problem)])
    watcher = Watcher(
        interval_s=_clamped(request, "min_interval", interval_s, INTERVALS_S), wants_logs=request.include_logs
    )
    ids: dict[str, int] = {}
    for index, target in enumerate(request.targets):
        name = _name(target, f"targets[{index}]")
        if ids.setdefault(name, index) != index:
            problem = f"is the same as targets[{ids[name]}]"
            raise InvalidRequest(f"targets[{index}] {problem}", [Violation(f"targets[{index}]", problem)])
    versions = [target.known_version for target in request.targets]
    told = read_resume_token(tuple(ids), request.resume_token) if request.resume_token else None
    if told is not None:
        versions = [max(pair) for pair in zip(versions, told, strict=True)]
    watcher.targets = [
        _target(target, watcher, max(0, version))
        for target, version in zip(request.targets, versions, strict=True)
    ]
    return Plan(
        watcher=watcher,
        ids=tuple(ids),
        heartbeat_s=_clamped(request, "heartbeat_interval", heartbeat_s, HEARTBEATS_S),
        resumed=any(version > 0 for version in versions),
    )


def _name(target: pb.WatchTarget, path: str) -> str:
    refuse_later(target, f"{path}.")
    which = target.WhichOneof("target")
    if which is None:
        problem = "one of job_id and batch_id must be set"
        raise InvalidRequest(f"{path}: {problem}", [Violation(path, problem)])
    return f"{which} {check_id(getattr(target, which), f'{path}.{which}')}"


def _target(target: pb.WatchTarget, watcher: Watcher, known: int) -> Target:
    if target.HasField("job_id"):
        return JobTarget(target.job_id, watcher, known)
    return BatchTarget(target.batch_id, watcher, known, include_jobs=target.include_jobs)


def _clamped(
    request: pb.StreamProgressRequest, field: str, default_s: float, limits: tuple[float, float]
) -> float:
    if not request.HasField(field):  # type: ignore[arg-type]
        return default_s
    span: Duration = getattr(request, field)
    return min(max(span.seconds + span.nanos / 1e9, limits[0]), limits[1])
