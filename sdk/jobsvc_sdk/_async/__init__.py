"""The client for asyncio; `jobsvc_sdk._sync` is generated from this package, but for three modules."""

from __future__ import annotations
