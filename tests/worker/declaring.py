"""Handlers that bring their queue along."""

from __future__ import annotations

from jobsvc import handler, queue

queue("pdf", max_concurrency=3, timeout="2m")


@handler("test.render", queue="pdf")
def render() -> None:
    """Do nothing."""
