"""Which method of the contract is answered by what. Methods that are not named here are refused as not available."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor

from jobsvc.config import Settings
from jobsvc.rpc.cancel import Cancel
from jobsvc.rpc.catalog import Catalog
from jobsvc.rpc.catalog_cache import CatalogCache
from jobsvc.rpc.intake import Intake
from jobsvc.rpc.letters import DeadLetters
from jobsvc.rpc.listing import Listing
from jobsvc.rpc.logs import StreamLogs
from jobsvc.rpc.queues import Queues
from jobsvc.rpc.read import Reader
from jobsvc.rpc.stats import Stats
from jobsvc.rpc.submit import Submit
from jobsvc.rpc.submit_batch import SubmitBatch
from jobsvc.rpc.views import JobWriter
from jobsvc.rpc.wait import Wait
from jobsvc.rpc.watch.hub import Hub
from jobsvc.rpc.watch.stream import StreamProgress
from jobsvc.rpc.workers import Workers
from jobsvc.store.async_store import AsyncStore
from jobsvc_proto.v1 import (
    admin_service_pb2,
    blob_service_pb2,
    catalog_service_pb2,
    job_service_pb2,
    queue_service_pb2,
    schedule_service_pb2,
)

Methods = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the methods work with."""

    settings: Settings
    store: AsyncStore
    catalog: CatalogCache
    writer: JobWriter
    hub: Hub


def services(parts: Parts) -> list[tuple[ServiceDescriptor, Methods]]:
    """Return every service of the contract with the methods that are answered."""
    catalog, workers = Catalog(parts.catalog, parts.settings), Workers(parts.store)
    return [
        (_service(job_service_pb2, "JobService"), _job_methods(parts)),
        (
            _service(catalog_service_pb2, "CatalogService"),
            {
                "ListJobTypes": catalog.list_job_types,
                "GetJobType": catalog.get_job_type,
                "GetServerInfo": catalog.get_server_info,
            },
        ),
        # A service gets a module of its own with its first method.
        (_service(queue_service_pb2, "QueueService"), _queue_methods(parts)),
        (_service(schedule_service_pb2, "ScheduleService"), {}),
        (_service(blob_service_pb2, "BlobService"), {}),
        (
            _service(admin_service_pb2, "AdminService"),
            {"ListWorkers": workers.list_workers, "DrainWorker": workers.drain_worker},
        ),
    ]


def _queue_methods(parts: Parts) -> Methods:
    queues, letters = (
        Queues(parts.store, parts.catalog),
        DeadLetters(parts.store, parts.catalog, parts.writer),
    )
    return {
        "ListQueues": queues.list_queues,
        "GetQueue": queues.get_queue,
        "UpdateQueue": queues.update_queue,
        "PauseQueue": queues.pause_queue,
        "ResumeQueue": queues.resume_queue,
        "DrainQueue": queues.drain_queue,
        "ClearDeadLetters": letters.clear,
        "PurgeQueue": letters.purge,
    }


def _service(module: Any, name: str) -> ServiceDescriptor:
    descriptor: ServiceDescriptor = module.DESCRIPTOR.services_by_name[name]
    return descriptor


def _job_methods(parts: Parts) -> Methods:
    settings, store, writer, hub = parts.settings, parts.store, parts.writer, parts.hub
    intake = Intake(parts.catalog, settings.inline_limit_bytes)
    reader = Reader(store, writer)
    interval_s = settings.stream_interval.total_seconds()
    heartbeat_s = settings.heartbeat.total_seconds()
    return {
        "Submit": Submit(store, parts.catalog, intake, writer),
        "SubmitBatch": SubmitBatch(store, parts.catalog, intake, writer, settings.max_batch),
        "GetStatus": reader.get_status,
        "BatchGetStatus": reader.batch_get_status,
        "Wait": Wait(hub, store, writer, interval_s=interval_s),
        "StreamProgress": StreamProgress(hub, store, writer, interval_s=interval_s, heartbeat_s=heartbeat_s),
        "Cancel": Cancel(store, writer),
        "Stats": Stats(store),
        "List": Listing(store, writer),
        "Retry": DeadLetters(store, parts.catalog, writer).retry,
        "StreamLogs": StreamLogs(hub, store, interval_s=interval_s, heartbeat_s=heartbeat_s),
    }
