"""What only a gRPC server can refuse with; the rest of the tree is in :mod:`jobsvc.model.errors`."""

from __future__ import annotations

from jobsvc.model.errors import JobsvcError


class MethodNotAvailable(JobsvcError):
    """The contract has the method, this server does not answer it yet."""

    reason = "NOT_IMPLEMENTED"


class ServerStopping(JobsvcError):
    """The server goes away; another one, or the same one later, can go on."""

    reason = "SERVER_STOPPING"
