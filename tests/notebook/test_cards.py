"""Cards with real widgets and no kernel: what is published, what is sent, and what a click does."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import ipywidgets
import pytest

from jobsvc_sdk.display.cards import Card, card_for
from jobsvc_sdk.display.painter import MESSAGES_PER_SECOND, Painter
from jobsvc_sdk.display.widgets import WIDGET_MIME, Face
from tests.notebook.fake import NOW, FakeHub, batch, failed_job, job


class Page:
    """Records what a card publishes, and a clock that tests turn."""

    def __init__(self) -> None:
        self.published: list[tuple[dict[str, Any], str, bool]] = []
        self.now = NOW
        self.seconds = 0.0
        self.painter = Painter(clock=lambda: self.seconds, threaded=False)

    def publish(self, bundle: dict[str, Any], display_id: str, *, update: bool) -> None:
        self.published.append((bundle, display_id, update))

    def card(self, hub: FakeHub, *, face: Any = Face) -> Card:
        return Card(hub.source(), self.painter, self.publish, face=face, clock=lambda: self.now)

    def turn(self, seconds: float) -> None:
        self.seconds += seconds
        self.now += timedelta(seconds=seconds)
        self.painter.paint_due()


@pytest.fixture
def page() -> Page:
    return Page()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Times at which any widget sent a comm message after it was opened."""
    times: list[float] = []
    send = ipywidgets.Widget._send

    def counted(widget: Any, message: Any, buffers: Any = None) -> None:
        times.append(time.monotonic())
        send(widget, message, buffers)

    monkeypatch.setattr(ipywidgets.Widget, "_send", counted)
    yield times
    ipywidgets.Widget.close_all()


def _html(card: Card) -> str:
    assert card._face is not None
    return str(card._face._html.value)


def _button(card: Card) -> Any:
    assert card._face is not None
    return card._face._button


def test_card_displays_widget_html_and_text_while_live(page: Page) -> None:
    page.card(FakeHub(job())).show()

    bundle, display_id, update = page.published[0]
    assert set(bundle) == {WIDGET_MIME, "text/html", "text/plain"}
    assert display_id
    assert not update


def test_card_of_what_is_over_needs_no_widget(page: Page) -> None:
    card = page.card(FakeHub(failed_job()))
    card.show()

    assert [set(bundle) for bundle, _, _ in page.published] == [{"text/html", "text/plain"}]
    assert card._face is None


def test_card_end_leaves_html_and_text_under_the_same_id(page: Page) -> None:
    hub = FakeHub(job())
    card = page.card(hub)
    card.show()

    hub.push(job("completed"))
    page.turn(0.01)

    (_, first, _), (bundle, last, update) = page.published
    assert (first, update) == (last, True)
    assert set(bundle) == {"text/html", "text/plain"}
    assert "completed" in bundle["text/plain"]
    assert "completed" in _html(card)
    assert card._face is not None
    assert _button(card) not in card._face._box.children
    assert card._face._box.comm is not None
    assert card.ended.is_set()
    assert not hub.listeners


def test_card_republishes_on_changes_of_state_only(page: Page) -> None:
    hub = FakeHub(job("queued", percent=None))
    page.card(hub).show()

    for percent in range(0, 90, 5):
        hub.push(job(percent=float(percent)))
        page.turn(0.25)

    states = [bundle["text/plain"].split()[-1] for bundle, _, _ in page.published]
    assert len(states) == 2
    assert WIDGET_MIME in page.published[1][0]


def test_card_ignores_an_older_version(page: Page) -> None:
    hub = FakeHub(job(version=7))
    card = page.card(hub)
    card.show()

    card.on_status(job("failed", version=3))
    page.turn(1)

    assert "processing" in _html(card)


def test_card_displayed_twice_has_one_widget_and_two_ends(page: Page) -> None:
    hub = FakeHub(job())
    source = hub.source()
    cards = [card_for(replace(source), lambda it: page.card(hub)) for _ in range(2)]
    for card in cards:
        card.show()

    hub.push(job("cancelled"))
    page.turn(0.01)

    assert cards[0] is cards[1]
    assert len(hub.listeners) == 0
    assert len({bundle[WIDGET_MIME]["model_id"] for bundle, _, _ in page.published[:2]}) == 1
    assert {display for _, display, update in page.published if update} == {
        d for _, d, _ in page.published[:2]
    }


def test_card_shows_that_it_is_reconnecting(page: Page) -> None:
    hub = FakeHub(job())
    card = page.card(hub)
    card.show()
    page.turn(0)

    hub.connection[0](False, "reconnecting")
    page.turn(0.3)
    assert "reconnecting" in _html(card)

    hub.connection[0](True, "")
    page.turn(0.3)
    assert "reconnecting" not in _html(card)


def test_card_says_when_no_more_news_will_come(page: Page) -> None:
    hub = FakeHub(job())
    card = page.card(hub)
    card.show()
    page.turn(0)

    hub.lose(RuntimeError("there is no such job any more"))
    page.turn(0.01)

    assert "no longer watched: there is no such job any more" in page.published[-1][0]["text/plain"]
    assert card.ended.is_set()


def test_card_catches_up_with_its_handle_before_the_hub_tells_it(page: Page) -> None:
    hub = FakeHub(job())
    card = page.card(hub)
    card.show()
    page.turn(0)
    hub.status = job("completed", version=9)

    card.catch_up()
    page.turn(0)

    assert "completed" in page.published[-1][0]["text/plain"]


def test_card_clock_moves_without_news(page: Page) -> None:
    card = page.card(FakeHub(job(percent=None)))
    card.show()
    assert "12 s elapsed" in _html(card)

    page.turn(0)
    page.turn(3)

    assert "15 s elapsed" in _html(card)


def test_cancel_button_disables_itself_and_asks_once(page: Page) -> None:
    hub = FakeHub(job())
    card = page.card(hub)
    card.show()
    page.turn(0)

    _button(card).click()
    _button(card).click()
    page.turn(0.3)

    assert hub.cancels == [3.0]
    assert _button(card).disabled
    assert "asked to stop" in _html(card)


def test_cancel_button_comes_back_with_the_reason_when_it_failed(page: Page) -> None:
    hub = FakeHub(batch(processing=2, queued=3))
    hub.answer = RuntimeError("no answer from 127.0.0.1:7443")
    card = page.card(hub)
    card.show()
    page.turn(0)
    assert _button(card).description == "Cancel remaining"

    _button(card).click()
    page.turn(0.3)

    assert not _button(card).disabled
    assert "not cancelled: no answer from 127.0.0.1:7443" in _html(card)


def test_cancel_button_works_beside_the_main_thread(page: Page) -> None:
    hub = FakeHub(job())
    card = page.card(hub)
    card.show()

    clicking = [threading.Thread(target=_button(card).click) for _ in range(8)]
    for thread in clicking:
        thread.start()
    for thread in clicking:
        thread.join(10)

    assert hub.cancels == [3.0]


def test_card_lives_as_long_as_its_widgets(page: Page) -> None:
    hub = FakeHub(job())
    card = _shown(page, hub)
    gc.collect()
    assert card() is not None

    ipywidgets.Widget.close_all()
    gc.collect()

    assert card() is None
    hub.push(percent=50.0)
    assert not hub.listeners


def test_card_is_let_go_after_its_end(page: Page) -> None:
    hub = FakeHub(job())
    card = _shown(page, hub)
    hub.push(job("completed"))
    page.turn(0.01)
    gc.collect()

    assert card() is None


def _shown(page: Page, hub: FakeHub) -> weakref.ref[Card]:
    """Display a card and keep no reference to it."""
    card = page.card(hub)
    card.show()
    return weakref.ref(card)


def test_card_without_widgets_replaces_its_html_once_a_second(page: Page) -> None:
    hub = FakeHub(job(percent=0.0))
    card = page.card(hub, face=None)
    card.show()

    for percent in range(1, 41):
        hub.push(percent=float(percent))
        page.turn(0.1)
    hub.push(job("completed"))
    page.turn(0.01)

    assert 5 <= len(page.published) <= 7
    assert all(set(bundle) == {"text/html", "text/plain"} for bundle, _, _ in page.published)
    assert "completed" in page.published[-1][0]["text/html"]


def test_card_end_is_painted_whatever_comes_before_it(page: Page) -> None:
    for pushes in range(12):
        hub = FakeHub(job())
        card = page.card(hub)
        card.show()
        for _ in range(pushes):
            hub.push(percent=1.0)
            page.turn(0.03)
        hub.push(job("failed"))
        page.turn(0.0)
        page.turn(1.0)

        assert card.ended.is_set()
        assert "failed" in _html(card)


def test_batch_of_200_live_jobs_sends_six_messages_a_second_at_most(sent: list[float]) -> None:
    hub = FakeHub(batch(processing=200))
    ends: list[dict[str, Any]] = []
    card = Card(hub.source(), Painter(), lambda bundle, *_, **__: ends.append(bundle), face=Face)
    card.show()
    sent.clear()
    started = time.monotonic()

    # 200 jobs that report ten times a second; every fortieth report ends a job.
    pause = threading.Event()
    for report in range(5200):
        at = started + report / 2000
        done = report // 40
        hub.push(batch(processing=200 - done, completed=done))
        while time.monotonic() < at:
            pause.wait(0.0005)
    elapsed = time.monotonic() - started
    hub.push(batch(completed=200))
    assert card.ended.wait(5)

    busiest = max(sum(1 for at in sent if start <= at < start + 1) for start in sent)
    assert busiest <= 6  # also in the second in which the end falls
    assert len([at for at in sent if at < started + elapsed]) / elapsed <= 5
    assert len(sent) >= 8
    assert "200 completed" in ends[-1]["text/plain"]


def test_sixty_cards_send_fifty_messages_a_second_at_most(sent: list[float], page: Page) -> None:
    hubs = [FakeHub(replace(job(percent=0.0), id=f"0-{n:016}")) for n in range(60)]
    counted: list[float] = []

    def publish(bundle: dict[str, Any], display_id: str, *, update: bool) -> None:
        if update:
            counted.append(page.seconds)

    cards = [Card(hub.source(), page.painter, publish, face=Face, clock=lambda: page.now) for hub in hubs]
    for card in cards:
        card.show()

    for tick in range(300):
        before = len(sent)
        for hub in hubs:
            if tick % 5 == 0:
                hub.push(percent=tick / 3)
        page.turn(0.02)
        counted += [page.seconds] * (len(sent) - before)
    for hub in hubs:
        hub.push(job("completed", id=hub.status.id))
    for _ in range(400):
        before = len(sent)
        page.turn(0.02)
        counted += [page.seconds] * (len(sent) - before)

    assert all(card.ended.is_set() for card in cards)
    assert (
        max(sum(1 for at in counted if start <= at < start + 0.999) for start in counted)
        <= MESSAGES_PER_SECOND
    )
