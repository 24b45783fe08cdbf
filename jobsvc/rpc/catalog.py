"""CatalogService: what can be run, and what this server is."""

from __future__ import annotations

import time
from bisect import bisect_right

import structlog

from jobsvc import __version__
from jobsvc.config import Settings
from jobsvc.model.errors import InvalidRequest, StoreUnavailable, Violation
from jobsvc.rpc.catalog_cache import CatalogCache
from jobsvc.rpc.conversion import job_type_message, set_time
from jobsvc.rpc.guard import Context
from jobsvc.rpc.intake import MAX_NAME
from jobsvc.rpc.paging import page_size, read_token, write_token
from jobsvc.rpc.status import cut
from jobsvc_proto.v1 import catalog_service_pb2 as pb

MIN_CLIENT_VERSION = "0.1.0"
MAX_WAIT_S = 60

FEATURES = (
    "submit.validate_only",
    "batch",
    "batch.item_by_item",
    "batch.compact",
    "cancel",
    "cancel.batch",
    "list.filter",
    "logs.follow",
    "retry.delays",
    "retry.rules",
    "stats",
    "stream.batch",
    "stream.include_jobs",
    "stream.include_logs",
    "stream.resume",
    "wait",
)
"""What this server can do; what is not named is not available."""


class Catalog:
    """Answers the methods of CatalogService."""

    def __init__(self, cache: CatalogCache, settings: Settings) -> None:
        self._cache = cache
        self._settings = settings
        self._log = structlog.get_logger().bind()

    async def list_job_types(
        self, request: pb.ListJobTypesRequest, context: Context
    ) -> pb.ListJobTypesResponse:
        """Return one page of job types."""
        size = page_size(request.page_size)
        [after] = read_token("job types", request.page_token, str) or [""]
        types, live = await self._cache.all(), await self._cache.live_workers()
        first = bisect_right([one.name for one in types], after)
        page = types[first : first + size]
        response = pb.ListJobTypesResponse(
            job_types=[job_type_message(one, live.get(one.name, 0)) for one in page]
        )
        if first + size < len(types):
            response.next_page_token = write_token("job types", [page[-1].name])
        return response

    async def get_job_type(self, request: pb.GetJobTypeRequest, context: Context) -> pb.GetJobTypeResponse:
        """Return one job type."""
        if not 0 < len(request.name) <= MAX_NAME:
            problem = f"must have 1 to {MAX_NAME} characters"
            raise InvalidRequest(f"the name {problem}", [Violation("name", problem)])
        job_type, live = await self._cache.describe(request.name), await self._cache.live_workers()
        return pb.GetJobTypeResponse(job_type=job_type_message(job_type, live.get(job_type.name, 0)))

    async def get_server_info(
        self, request: pb.GetServerInfoRequest, context: Context
    ) -> pb.GetServerInfoResponse:
        """Say what this server is; also while Redis is away, and then it says so."""
        self._log.debug("a client asks who is there", client=cut(request.client_name, 100))
        response = pb.GetServerInfoResponse(
            server_version=__version__,
            min_client_version=MIN_CLIENT_VERSION,
            features=FEATURES,
            max_inline_payload_bytes=self._settings.inline_limit_bytes,
            max_batch_size=self._settings.max_batch,
        )
        response.max_wait.seconds = MAX_WAIT_S
        set_time(response.server_time, time.time_ns() // 1_000_000)
        try:
            response.worker_count = await self._cache.worker_count()
        except StoreUnavailable:
            response.degraded = True
        return response
