"""What is known of everything that is watched, and what a message from the server adds to it. Pure: no I/O, no clock.

Versions order all news, whatever way they come, so nothing here ever goes backwards.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from jobsvc_proto.v1 import job_service_pb2 as pb

from . import _convert
from .values import BatchStatus, JobStatus

Kind: TypeAlias = Literal["job", "batch"]
Key: TypeAlias = tuple[Kind, str]
Status: TypeAlias = JobStatus | BatchStatus

_FRESH_ATTEMPT: dict[str, Any] = {
    "percent": None,
    "step": "",
    "message": "",
    "completed_units": None,
    "total_units": None,
    "unit": "",
    "finish_p50": None,
    "finish_p90": None,
}


def newest(known: JobStatus | None, incoming: JobStatus) -> JobStatus:
    """Return the newer of two statuses of a job, with the details that only the other one has.

    Of two with the same version the one with arguments, attempts and result wins.
    """
    if known is None:
        return incoming
    if incoming.version < known.version or (incoming.version == known.version and not incoming.full):
        return known
    if incoming.full:
        return incoming
    return replace(
        incoming,
        arguments_json=incoming.arguments_json or known.arguments_json,
        attempts=incoming.attempts or known.attempts,
        full=known.full and known.version == incoming.version,
    )


@dataclass(slots=True)
class News:
    """What one message told.

    Attributes:
        statuses: The newest status of everything that changed.
        ended: Targets whose last status is among ``statuses``.
        missing: Ids that do not exist or are not visible.
        gaps: Jobs that were told of without enough to know their state: they have to be asked for.
        reconnect_after_s: Set when the server asked for a new stream: how long to wait before it.
    """

    statuses: dict[Key, Status] = field(default_factory=dict)
    ended: set[Key] = field(default_factory=set)
    missing: list[str] = field(default_factory=list)
    gaps: set[str] = field(default_factory=set)
    reconnect_after_s: float | None = None


class Tracker:
    """The newest status of each watched job and batch."""

    def __init__(self) -> None:
        self._known: dict[Key, Status] = {}

    def get(self, key: Key) -> Status | None:
        """Return what is known, None when nothing is."""
        return self._known.get(key)

    def learn(self, status: Status) -> None:
        """Take a status that came another way."""
        key = key_of(status)
        known = self._known.get(key)
        if isinstance(status, JobStatus):
            self._known[key] = newest(known if isinstance(known, JobStatus) else None, status)
        elif known is None or status.version >= known.version:
            self._known[key] = status

    def forget(self, keys: Iterable[Key]) -> None:
        """Drop what is known of things that nobody watches any more."""
        for key in keys:
            self._known.pop(key, None)

    def forget_jobs_of(self, batch_id: str) -> None:
        """Drop the jobs that were known through their batch."""
        self.forget(
            [
                key
                for key, status in self._known.items()
                if isinstance(status, JobStatus) and status.batch_id == batch_id
            ]
        )

    def version(self, key: Key) -> int:
        """Return the newest version known, 0 when nothing is known."""
        known = self._known.get(key)
        return known.version if known else 0

    def apply(self, response: pb.StreamProgressResponse, direct: Container[Key]) -> News:
        """Take one message of a stream.

        The end of a target that was asked for by its own id counts when its completion message is there: only that
        one has the result. Until then the end is not noted either, so that a stream that breaks in between is
        asked for it again.

        Args:
            response: The message.
            direct: The targets of the stream.
        """
        news = News()
        for event in response.events:
            which = event.WhichOneof("event")
            if which == "snapshot":
                self._snapshot(event.snapshot, direct, news)
            elif which == "progress":
                self._progress(event.progress, news)
            elif which == "state_change":
                moment = _convert.time_of(event, "event_time") or datetime.now(UTC)
                self._state_change(event.state_change, moment, direct, news)
            elif which == "batch":
                self._batch(_convert.batch(event.batch), direct, news)
            elif which == "completed":
                self._completed(event.completed, news)
            elif which == "reconnect":
                news.reconnect_after_s = event.reconnect.after.ToTimedelta().total_seconds()
        return news

    def _snapshot(self, snapshot: pb.Snapshot, direct: Container[Key], news: News) -> None:
        for message in snapshot.jobs:
            status = _convert.job(message, full=False)
            if not (status.terminal and ("job", status.id) in direct):
                self._note(status, news)
        for progress in snapshot.batches:
            self._batch(_convert.batch(progress), direct, news)
        news.missing.extend(snapshot.missing_ids)

    def _progress(self, update: pb.ProgressUpdate, news: News) -> None:
        known = self._known.get(("job", update.job_id))
        if not isinstance(known, JobStatus):
            news.gaps.add(update.job_id)
        elif update.version > known.version and not known.terminal:
            fields = _convert.progress_fields(update.progress)
            self._note(replace(known, version=update.version, full=False, **fields), news)  # type: ignore[arg-type]

    def _state_change(
        self, change: pb.StateChange, moment: datetime, direct: Container[Key], news: News
    ) -> None:
        key: Key = ("job", change.job_id)
        known = self._known.get(key)
        state = _convert.state_name(change.state)
        if not isinstance(known, JobStatus):
            news.gaps.add(change.job_id)
            return
        if change.version <= known.version:
            return
        status = replace(
            known,
            version=change.version,
            state=state,
            attempt=max(change.attempt, known.attempt),
            error=_convert.error(change.error) if change.HasField("error") else None,
            end_time=None,  # it may have been queued again after it had failed
            full=False,
        )
        if state == "processing" and change.attempt > known.attempt:
            status = replace(status, start_time=moment, **_FRESH_ATTEMPT)
        if status.terminal:
            if key in direct:
                return
            status = replace(status, end_time=moment)
        self._note(status, news)

    def _batch(self, status: BatchStatus, direct: Container[Key], news: News) -> None:
        if not (status.terminal and ("batch", status.id) in direct):
            self._note(status, news)

    def _completed(self, completed: pb.Completed, news: News) -> None:
        if completed.HasField("job"):
            status: Status = _convert.job(completed.job, full=True)
        else:
            status = _convert.batch(completed.batch)
        key = key_of(status)
        # A Redis that lost its last second counts from a lower version; the end is the end all the same.
        status = replace(status, version=max(status.version, self.version(key)))
        self._known[key] = news.statuses[key] = status
        news.ended.add(key)

    def _note(self, status: Status, news: News) -> None:
        key = key_of(status)
        before = self._known.get(key)
        self.learn(status)
        now = self._known[key]
        if now is not before and now != before:
            news.statuses[key] = now


def key_of(status: Status) -> Key:
    """Return what a status is about."""
    return ("job" if isinstance(status, JobStatus) else "batch", status.id)
