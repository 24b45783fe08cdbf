"""Cards on the page of the running kernel: one painter for all of them, and ends painted before a cell ends."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import Any

from . import choose
from .cards import Card, card_for, catch_up, static_bundle, view_of
from .painter import Painter
from .source import Source
from .watch import watch_card, watch_text

_painter = Painter()
_hooked: set[int] = set()


def show(source: Source) -> None:
    """Display a job or batch below the running cell; in a terminal, print its line.

    Args:
        source: The job or batch.
    """
    mode = choose.mode()
    if not choose.in_kernel():
        # Also when cards were asked for: there is no page to put them on.
        _print_line(source)
    elif mode in ("widget", "page"):
        _card(source, mode).show()
    else:
        _publish(_static(source), "", update=False)


def watch(source: Source) -> None:
    """Show a job or batch until it has ended, and return then.

    Args:
        source: The job or batch.
    """
    mode = choose.mode()
    if choose.in_kernel() and mode in ("widget", "page"):
        watch_card(_card(source, mode), _painter)
    else:
        watch_text([source], quiet=mode == "off")


def _card(source: Source, mode: choose.Mode) -> Card:
    _flush_before_a_cell_ends()
    face = None
    if mode == "widget":
        from .widgets import Face

        face = Face
    return card_for(source, lambda it: Card(it, _painter, _publish, face=face))


def _static(source: Source) -> dict[str, Any]:
    return static_bundle(view_of(source.latest() or source.first, now := datetime.now(UTC)), now)


def _print_line(source: Source) -> None:
    print(_static(source)["text/plain"])  # noqa: T201


def _publish(bundle: dict[str, Any], display_id: str, *, update: bool) -> None:
    from IPython.display import publish_display_data

    transient = {"display_id": display_id} if display_id else {}
    publish_display_data(bundle, transient=transient, update=update)  # type: ignore[no-untyped-call]


def _flush_before_a_cell_ends() -> None:
    """Paint every end that is known before the cell that is running ends.

    Whoever runs a notebook without a page (nbclient) takes up changes of an output only while a cell runs.
    """
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None or id(shell) in _hooked:
        return
    _hooked.add(id(shell))

    def flush(*_: object) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            catch_up()
            _painter.flush()

    shell.events.register("post_run_cell", flush)
