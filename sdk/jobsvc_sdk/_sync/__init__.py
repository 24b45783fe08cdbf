"""The client for threads and notebooks, generated from `jobsvc_sdk._async` but for three modules."""

from __future__ import annotations
