"""What is written: nothing remote gets through unescaped, and the saved form survives a sanitiser."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobsvc_sdk.display import live_html, static_html
from jobsvc_sdk.display.cards import live_markup, static_bundle
from jobsvc_sdk.display.state import View, batch_view, job_view
from jobsvc_sdk.values import BatchStatus, ErrorValue, FailureValue, JobStatus
from tests.notebook.fake import NOW, batch, failed_job, job

VIEWS: list[View] = [
    job_view(job(), NOW, "reconnecting"),
    job_view(job("queued", percent=None), NOW),
    job_view(job("completed"), NOW),
    job_view(failed_job(), NOW),
    batch_view(batch(completed=121, processing=8, queued=66, failed=4, cancelled=1, failures=4), NOW),
    batch_view(batch(completed=20, failed=30, failures=5), NOW),
]

HOSTILE = st.one_of(
    st.text(),
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            '"><img src=x onerror=alert(1)>',
            "'; </style><b>",
            "</pre></details><a href=x>",
            "&lt;",
        ]
    ),
)


class _Seen(HTMLParser):
    """Collects tags, attributes and text, as a browser would read them."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _hostile_job(text: str, state: str) -> JobStatus:
    error = ErrorValue(category=text, type=text, message=text, stack_trace=text)
    return job(state, id=text, title=text, step=text, message=text, unit=text, completed_units=1, error=error)


def _hostile_batch(text: str) -> BatchStatus:
    error = ErrorValue(type=text, message=text)
    plain = batch(completed=1, failed=1, queued=1)
    return BatchStatus(
        id=text, title=text, counts=plain.counts, total=3, failures=(FailureValue(text, text, error),),
        running_step=text, running_message=text,
    )  # fmt: skip


def _all_markup(text: str, harmless: str) -> list[tuple[str, str]]:
    """Give each form of a view twice: with a remote text, and with a harmless one in its place."""

    def forms(remote: str) -> list[str]:
        views = [
            job_view(_hostile_job(remote, state), NOW, remote) for state in ("processing", "failed", remote)
        ]
        every: list[View] = [*views, batch_view(_hostile_batch(remote), NOW, remote)]
        return [
            markup for view in every for markup in (live_markup(view), static_bundle(view, NOW)["text/html"])
        ]

    return list(zip(forms(text), forms(harmless), strict=True))


@settings(deadline=None)
@given(HOSTILE.filter(lambda text: bool(text.strip())))
def test_markup_escapes_every_remote_text(text: str) -> None:
    # Text before and after, so that the cleaned remote text is never empty and no element appears or goes.
    for hostile, harmless in _all_markup(f"x{text}x", "xyx"):
        seen, expected = _Seen(hostile), _Seen(harmless)

        assert seen.tags == expected.tags
        assert [name for name, _ in seen.attributes] == [name for name, _ in expected.attributes]
        assert not seen.open


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: f"{type(view).__name__}-{view.state}")
def test_static_html_survives_a_sanitiser(view: View) -> None:
    markup = static_bundle(view, NOW)["text/html"]
    seen = _Seen(markup)

    assert not {"style", "svg", "script", "button", "link"} & set(seen.tags)
    assert {name for name, _ in seen.attributes} <= {"style"}
    assert "var(" not in markup
    assert "class=" not in markup
    assert view.state in markup
    assert view.id in markup


def test_static_html_tells_how_old_it_is_and_the_way_back() -> None:
    live = static_html.job_html(job_view(job(), NOW), "22:33:10")
    over = static_html.job_html(job_view(job("completed"), NOW), "22:33:10")

    assert "as of 22:33:10" in live
    assert "client.job(&quot;0-abcdefghjkmnpqrs&quot;)" in live
    assert "as of" not in over
    assert re.search(r"completed at 2025-03-04 \d\d:\d\d:\d\d", over)


def test_live_html_is_an_accessible_progress_bar() -> None:
    seen = dict(_Seen(live_html.job_html(job_view(job(), NOW))).attributes)

    assert seen["role"] == "progressbar"
    assert (seen["aria-valuenow"], seen["aria-valuemin"], seen["aria-valuemax"]) == ("46", "0", "100")
    assert seen["aria-label"] == "analytics.forecast"


def test_live_html_without_a_percentage_claims_none() -> None:
    markup = live_html.job_html(job_view(job(percent=None), NOW))

    assert "aria-valuenow" not in markup
    assert "unsure" in markup.partition("</style>")[2]


def test_live_html_announces_the_state_as_a_word() -> None:
    for view in VIEWS:
        assert f'role="status">{view.state}</span>' in live_markup(view)


def test_live_html_folds_the_traceback() -> None:
    markup = live_html.job_html(job_view(failed_job(), NOW))

    assert '<details><summary class="failed">ValueError: bad row 17</summary><pre>Traceback' in markup


def test_live_html_of_a_batch_hides_no_failure() -> None:
    markup = live_html.batch_html(batch_view(batch(completed=3, failed=17, failures=5), NOW))

    assert markup.count("<tr>") == 5
    assert "and 12 more: batch.failed" in markup


def test_markup_uses_only_classes_of_its_own() -> None:
    style = live_html.job_html(VIEWS[0]).partition("</style>")[0]  # type: ignore[arg-type]
    selectors = re.findall(r"(?:^|})\s*([^{}]+){", style.replace("<style>", ""))

    assert all(part.strip().startswith(".jobsvc") for selector in selectors for part in selector.split(","))
