"""Progress where people look: live cards in a notebook, one-line bars in a terminal, text in the saved file.

`state` computes what to show from values, `live_html`, `static_html` and `text` write it, `painter` decides when,
`cards` and `widgets` put it on a notebook page, `watch` into a terminal, and `choose` picks the kind. ipywidgets and
IPython are imported only when a card is displayed.
"""

from __future__ import annotations
