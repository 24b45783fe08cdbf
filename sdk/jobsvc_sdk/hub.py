"""The one stream through which a client watches its jobs and batches."""

from __future__ import annotations

from ._sync.hub import Hub

__all__ = ["Hub"]
