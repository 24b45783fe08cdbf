"""Progress where people look: live cards in a notebook, one-line bars in a terminal, text in the saved file.

`state` computes what to show from values, `live_html`, `static_html` and `text` write it, `painter` decides when,
`cards` and `widgets` put it on a notebook page, `watch` into a terminal, and `choose` picks the kind. ipywidgets and
IPython are imported only when a card is displayed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .cards import static_bundle, view_of
from .handles import source_of
from .page import show, watch
from .watch import watch_text

if TYPE_CHECKING:
    from typing import TextIO

    from jobsvc_sdk.values import BatchStatus, JobStatus

    from .handles import Handle

__all__ = ["bundle", "repr_html", "show_batch", "show_job", "watch_bars", "watch_batch", "watch_job"]


def show_job(job: Handle) -> None:
    """Display a job: a live card with a Cancel button in a notebook, its line elsewhere. Returns at once.

    Args:
        job: A job of the sync client.
    """
    show(source_of(job, "job"))


def show_batch(batch: Handle) -> None:
    """Display a batch: a live card with a button for what has not ended, its line elsewhere. Returns at once.

    Args:
        batch: A batch of the sync client.
    """
    show(source_of(batch, "batch"))


def watch_job(job: Handle) -> None:
    """Show a job until it has ended: as a card in a notebook, as a one-line bar elsewhere.

    An interrupt ends the watching, not the job.

    Args:
        job: A job of the sync client.
    """
    watch(source_of(job, "job"))


def watch_batch(batch: Handle) -> None:
    """Show a batch until every job of it has ended, as `watch_job` does.

    Args:
        batch: A batch of the sync client.
    """
    watch(source_of(batch, "batch"))


def watch_bars(batches: list[Handle], stream: TextIO | None = None) -> None:
    """Show several batches as one-line bars below each other until all have ended.

    Args:
        batches: Batches of the sync client.
        stream: Where to write; standard error by default.
    """
    watch_text([source_of(batch, "batch") for batch in batches], stream)


def bundle(status: JobStatus | BatchStatus) -> dict[str, Any]:
    """Give the HTML and plain text of a job or batch as it is now, by MIME type."""
    now = datetime.now(UTC)
    return static_bundle(view_of(status, now), now)


def repr_html(status: JobStatus | BatchStatus) -> str:
    """Give the HTML of a job or batch as it is now: inline style only, safe for any page."""
    return str(bundle(status)["text/html"])


job_repr_html = repr_html
