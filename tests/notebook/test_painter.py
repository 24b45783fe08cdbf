"""How often is painted: counted with a clock that the tests turn, and once with a real one."""

from __future__ import annotations

import gc
import threading
import time
from collections import Counter

from jobsvc_sdk.display.painter import MESSAGES_PER_SECOND, Budget, Painter


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class _Card:
    interval_s = 0.2

    def __init__(self, clock: _Clock | None = None, messages: int = 1) -> None:
        self.clock = clock or _Clock()
        self.messages = messages
        self.paints: list[tuple[float, bool]] = []
        self.done = threading.Event()

    def cost(self, *, final: bool) -> int:
        return self.messages

    def paint(self, *, final: bool) -> int:
        self.paints.append((self.clock(), final))
        if final:
            self.done.set()
        return self.messages


class _Broken(_Card):
    def paint(self, *, final: bool) -> int:
        raise RuntimeError("the page is gone")


def _most_in_a_second(times: list[float]) -> int:
    return max((sum(1 for at in times if start <= at < start + 1.0) for start in times), default=0)


def _run(painter: Painter, clock: _Clock, seconds: float, every: float, step: object = None) -> None:
    """Turn the clock and paint, as the thread would; ``step`` is called at each tick."""
    for _ in range(round(seconds / every)):
        if callable(step):
            step()
        painter.paint_due()
        clock.now += every


def test_one_card_is_painted_five_times_a_second() -> None:
    clock = _Clock()
    painter, card = Painter(clock=clock, threaded=False), _Card(clock)

    _run(painter, clock, 10, 0.01, lambda: painter.offer(card))

    assert _most_in_a_second([at for at, _ in card.paints]) <= 6
    assert len(card.paints) >= 45


def test_sixty_cards_share_fifty_messages_a_second_fairly() -> None:
    clock = _Clock()
    painter, cards = Painter(clock=clock, threaded=False), [_Card(clock) for _ in range(60)]

    def all_change() -> None:
        for card in cards:
            painter.offer(card)

    _run(painter, clock, 6, 0.02, all_change)

    times = [at for card in cards for at, _ in card.paints]
    assert _most_in_a_second(times) <= MESSAGES_PER_SECOND
    shares = Counter(len(card.paints) for card in cards)
    assert max(shares) - min(shares) <= 1
    assert min(shares) >= 3


def test_an_end_is_painted_at_once_though_all_cards_are_busy() -> None:
    clock = _Clock()
    painter, cards = Painter(clock=clock, threaded=False), [_Card(clock) for _ in range(60)]

    def all_change() -> None:
        for card in cards:
            painter.offer(card)

    _run(painter, clock, 3, 0.02, all_change)
    painter.offer(cards[7], final=True)
    painter.paint_due()

    assert cards[7].paints[-1] == (clock.now, True)


def test_many_ends_at_once_keep_to_the_limit_and_all_come() -> None:
    clock = _Clock()
    painter, cards = Painter(clock=clock, threaded=False), [_Card(clock, messages=3) for _ in range(60)]
    for card in cards:
        painter.offer(card, final=True)

    _run(painter, clock, 6, 0.02)

    assert all([final for _, final in card.paints] == [True] for card in cards)
    assert _most_in_a_second([at for card in cards for at, _ in card.paints]) * 3 <= MESSAGES_PER_SECOND


def test_an_end_is_painted_exactly_once() -> None:
    clock = _Clock()
    painter, card = Painter(clock=clock, threaded=False), _Card(clock)
    painter.offer(card)
    painter.offer(card, final=True)
    painter.offer(card)

    _run(painter, clock, 5, 0.1)

    assert [final for _, final in card.paints] == [True]


def test_a_quiet_card_ticks_once_a_second() -> None:
    clock = _Clock()
    painter, card = Painter(clock=clock, threaded=False), _Card(clock)
    painter.offer(card)

    _run(painter, clock, 5, 0.05)

    assert 5 <= len(card.paints) <= 6


def test_a_dropped_card_is_forgotten() -> None:
    clock = _Clock()
    painter, card = Painter(clock=clock, threaded=False), _Card(clock)
    painter.offer(card)
    del card
    gc.collect()

    assert painter.paint_due() > 1
    assert not painter._entries


def test_a_broken_card_does_not_take_the_others_with_it() -> None:
    clock = _Clock()
    painter, broken, sound = Painter(clock=clock, threaded=False), _Broken(clock), _Card(clock)
    painter.offer(broken)
    painter.offer(sound)

    _run(painter, clock, 2, 0.1)

    assert len(sound.paints) >= 2
    assert len(painter._entries) == 1


def test_the_thread_paints_and_goes_away_when_nothing_is_left() -> None:
    painter, card = Painter(), _Card()
    painter.offer(card)
    painter.offer(card, final=True)

    assert card.done.wait(5)
    deadline = time.monotonic() + 5
    while any(thread.name == "jobsvc-paint" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
    painter.offer(again := _Card(), final=True)
    assert again.done.wait(5)


def test_flush_returns_when_the_ends_are_on_the_page() -> None:
    painter, cards = Painter(), [_Card() for _ in range(20)]
    for card in cards:
        painter.offer(card, final=True)

    painter.flush()

    assert all(card.done.is_set() for card in cards)


def test_pumping_leaves_the_painting_to_the_caller() -> None:
    painter, card = Painter(), _Card()
    with painter.pumped():
        painter.offer(card, final=True)
        assert not card.done.wait(0.3)
        painter.pump(0.01)

        assert card.done.is_set()


def test_budget_opens_when_the_oldest_second_is_over() -> None:
    budget = Budget(limit=3)
    for at in (10.0, 10.2, 10.4):
        budget.spend(1, at)

    assert abs(budget.wait(1, 10.5) - 0.5) < 1e-9
    assert abs(budget.wait(2, 10.5) - 0.7) < 1e-9
    assert budget.wait(1, 11.0) == 0
