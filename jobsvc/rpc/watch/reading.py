"""One round of reading: everything that changed, for all watchers of this server, in few round trips."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from jobsvc.model.job import Batch
from jobsvc.model.lifecycle import JobState
from jobsvc.rpc.loglines import log_line
from jobsvc.rpc.watch.feeds import BatchFeed, Feed, JobFeed
from jobsvc.rpc.watch.news import JobTrack
from jobsvc.rpc.watch.wire import event_part
from jobsvc.store import calls
from jobsvc.store.async_store import AsyncStore
from jobsvc_proto.v1 import job_service_pb2 as pb

FULL_AT_ONCE = 25
"""Results may be large: so many are read by one script, and so many completions are put together at a time."""

LOG_LINES_AT_ONCE = 100
_RUNNING_LOOKED_AT = 200

Tracks: TypeAlias = Mapping[Feed, Sequence[JobTrack]]


async def read_feeds(store: AsyncStore, feeds: Sequence[Feed]) -> None:
    """Read what the feeds want, and tell their listeners of what is new.

    Raises:
        StoreUnavailable: Redis cannot be reached; the feeds have to be read again.
    """
    batches = [feed for feed in feeds if isinstance(feed, BatchFeed)]
    full = [feed for feed in feeds if isinstance(feed, JobFeed) and feed.read_in_full]
    tracks: Tracks = {feed: feed.tracks_to_read() for feed in feeds if feed not in full}
    try:
        changed = await _read_tracks(store, tracks)
        changed |= await _read_full(store, full)
        changed |= await _read_log_lines(store, feeds, tracks)
        news = await _read_batches(store, batches)
    except BaseException:
        for batch_feed in batches:
            batch_feed.read_again(track.id for track in tracks[batch_feed])
        raise
    for feed in feeds:
        ids = {track.id for track in tracks.get(feed, ()) if (feed, track.id) in changed}
        if ids or feed in news or (feed, feed.id) in changed:
            feed.tell(ids)


Changed: TypeAlias = set[tuple[Feed, str]]
"""Jobs of which something is new, by feed."""


async def _read_tracks(store: AsyncStore, tracks: Tracks) -> Changed:
    wanted = [(feed, track) for feed, some in tracks.items() for track in some]
    records = await store.read([track.id for _, track in wanted])
    return {
        (feed, track.id) for (feed, track), record in zip(wanted, records, strict=True) if track.take(record)
    }


async def _read_full(store: AsyncStore, feeds: Sequence[JobFeed]) -> Changed:
    """Read jobs that have ended with their results, which are kept only as encoded completion messages."""
    changed: Changed = set()
    for at in range(0, len(feeds), FULL_AT_ONCE):
        part = feeds[at : at + FULL_AT_ONCE]
        for feed, job in zip(part, await store.read([feed.id for feed in part], full=True), strict=True):
            if job is not None:
                feed.take_full(job)
                job = replace(job, arguments=None, result=None, attempts=())
            if feed.track.take(job):
                changed.add((feed, feed.id))
    return changed


async def _read_log_lines(store: AsyncStore, feeds: Sequence[Feed], tracks: Tracks) -> Changed:
    """Read log lines for those who want them; after the records, so that the last lines come before the end."""
    wanted: list[tuple[Feed, JobTrack]] = []
    for feed in feeds:
        if feed.wants_logs:
            some = [feed.track] if isinstance(feed, JobFeed) else tracks[feed]
            wanted += [(feed, track) for track in some]
    found = await asyncio.gather(*(read_log_lines(store, track) for _, track in wanted))
    return {(feed, track.id) for (feed, track), new in zip(wanted, found, strict=True) if new}


async def read_log_lines(store: AsyncStore, track: JobTrack) -> bool:
    """Read the newest log lines of a job; returns whether there are new ones."""
    for newest in (LOG_LINES_AT_ONCE, 0):
        texts = await store.run(calls.read_logs(store.keys, track.id, newest=newest))
        lines = [log_line(track.id, text) for text in texts]
        if not lines or lines[-1].line_number <= track.last_line:
            return False
        if track.last_line == 0 or lines[0].line_number <= track.last_line + 1:
            break
    for line in lines:
        if line.line_number > track.last_line:
            track.logs.append((line.line_number, event_part(pb.StreamEvent(log=line))))
    track.last_line = lines[-1].line_number
    return True


async def _read_batches(store: AsyncStore, feeds: Sequence[BatchFeed]) -> set[Feed]:
    """Read the counts of batches, and the failures that are new; returns the feeds with news."""
    if not feeds:
        return set()
    now_ms, *batches = await store.run_many(
        [calls.clock(), *(calls.read_batch(feed.id, named=False) for feed in feeds)]
    )
    for feed, batch in zip(feeds, batches, strict=True):
        if batch is not None:
            await _read_failures(store, feed, batch)
            if feed.batch is None and feed.example is None and batch.counts[JobState.PROCESSING]:
                await _find_running(store, feed, batch)
    return {feed for feed, batch in zip(feeds, batches, strict=True) if feed.take(batch, now_ms)}


async def _read_failures(store: AsyncStore, feed: BatchFeed, batch: Batch) -> None:
    new = [job_id for job_id in batch.recent_failures if job_id not in feed.failed]
    if new:
        found = await store.read(new)
        kept = {job_id: job for job_id, job in feed.failed.items() if job_id in batch.recent_failures}
        feed.failed = kept | {job.id: job for job in found if job is not None}


async def _find_running(store: AsyncStore, feed: BatchFeed, batch: Batch) -> None:
    """Find a job of a batch that runs, for the line of text, before one announces itself."""
    [first] = await store.read([batch.job_id(0)])
    if first is None:
        return
    rows = await store.run(calls.page(store.keys, first.queue, JobState.PROCESSING, limit=_RUNNING_LOOKED_AT))
    for job_id, _ in rows:
        if job_id.startswith(f"{batch.id}."):
            feed.suppose_running(job_id)
            [record] = await store.read([job_id])
            if feed.example is not None and feed.example.id == job_id:
                feed.example.take(record)
            return
