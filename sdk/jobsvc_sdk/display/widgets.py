"""The face of a live card: ipywidgets core widgets only, because those work wherever ipywidgets works.

Import this module only where ipywidgets is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"

BUTTONS = {"job": "Cancel", "batch": "Cancel remaining"}


class Face:
    """HTML with a button below it. Every method may be called from any thread."""

    def __init__(self, html: str, kind: str, on_cancel: Callable[[], None]) -> None:
        """Open the widgets.

        Args:
            html: What to show first.
            kind: ``job`` or ``batch``: what the button says.
            on_cancel: Called on a click, in whatever thread the kernel handles it.
        """
        self._label = BUTTONS[kind]
        self._on_cancel = on_cancel
        self._html = ipywidgets.HTML(html)
        self._html.add_class("jobsvc-view")
        self._button = ipywidgets.Button(
            description=self._label, tooltip=f"{self._label}: stop what has not ended"
        )
        self._button.add_class("jobsvc-cancel")
        self._button.on_click(self._clicked)
        self._box = ipywidgets.VBox([self._html, self._button])
        self._box.add_class("jobsvc-card")

    @property
    def cost_of_end(self) -> int:
        """Messages that `finish` sends at most."""
        return 2

    def bundle(self) -> dict[str, Any]:
        """Give the part of a display bundle that shows the live widget."""
        return {WIDGET_MIME: {"version_major": 2, "version_minor": 0, "model_id": self._box.model_id}}

    def update(self, html: str) -> int:
        """Show new HTML; give the number of messages that took."""
        if html == self._html.value:
            return 0
        with self._html.hold_sync():
            self._html.value = html
        return 1

    def finish(self, html: str) -> int:
        """Show the end, without a button; give the number of messages that took.

        The widgets stay open: after the page was refreshed they are all the user has of this card.
        """
        self._button.on_click(self._clicked, remove=True)
        sent = self.update(html)
        self._box.children = (self._html,)
        return sent + 1

    def busy(self, text: str) -> None:
        """Take the button out of use and say why on it."""
        with self._button.hold_sync():
            self._button.disabled = True
            self._button.description = text

    def ready(self) -> None:
        """Give the button back."""
        with self._button.hold_sync():
            self._button.disabled = False
            self._button.description = self._label

    def _clicked(self, _button: object) -> None:
        self._on_cancel()
