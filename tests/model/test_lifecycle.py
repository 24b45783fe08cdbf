"""The table of a job's life."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jobsvc.model.job import Batch
from jobsvc.model.lifecycle import LIVE, TERMINAL, TRANSITIONS, JobState, Outcome, diagram

DOCS = Path(__file__).resolve().parents[2] / "docs" / "lifecycle.md"
LATER = {JobState.BLOCKED}
"""Words of the contract that no move reaches yet."""


def reachable() -> set[JobState]:
    found: set[JobState] = set()
    fresh: set[JobState | None] = {None}
    while fresh:
        fresh = {after for (before, _), after in TRANSITIONS.items() if before in fresh} - found  # type: ignore[assignment]
        found |= fresh  # type: ignore[arg-type]
    return found


def test_every_state_is_reached() -> None:
    assert reachable() == set(JobState) - LATER


@pytest.mark.parametrize("state", [state for state in LIVE if state not in LATER])
def test_every_live_state_is_left(state: JobState) -> None:
    assert [after for (before, _), after in TRANSITIONS.items() if before is state]


def test_nothing_follows_an_end_by_itself() -> None:
    assert [key for key in TRANSITIONS if key[0] in TERMINAL] == [(JobState.FAILED, "retry")]
    assert set(LIVE) | TERMINAL == set(JobState)
    assert [state for state in JobState if state.terminal] == [
        JobState.COMPLETED,
        JobState.FAILED,
        JobState.CANCELLED,
    ]


@pytest.mark.parametrize("state", [state for state in LIVE if state not in LATER])
def test_every_live_state_leads_to_every_end(state: JobState) -> None:
    found, fresh = {state}, {state}
    while fresh:
        fresh = {after for (before, _), after in TRANSITIONS.items() if before in fresh} - found
        found |= fresh

    assert found >= TERMINAL


def test_every_outcome_of_an_attempt_has_its_move() -> None:
    moves = {event for before, event in TRANSITIONS if before is JobState.PROCESSING}

    assert set(Outcome) <= moves


def test_documentation_shows_the_table() -> None:
    block = re.search(
        r"<!-- diagram: jobsvc.model.lifecycle -->\n```mermaid\n(.+?)\n```", DOCS.read_text(), re.DOTALL
    )

    assert block
    assert block[1] == diagram()


def batch(**counts: int) -> Batch:
    states = {state: counts.get(state.value, 0) for state in JobState}
    return Batch(id="b", version=1, counts=states, size=9, create_ms=1, named={2: "mine"})


def test_batch_has_ended_when_all_its_jobs_have() -> None:
    assert batch(completed=2, failed=1, cancelled=1).terminal
    assert not batch(completed=2, scheduled=1).terminal
    assert not batch().terminal
    assert batch(completed=2, queued=1).total == 3


def test_items_of_a_batch_have_ids() -> None:
    assert [batch().job_id(index) for index in (0, 2)] == ["b.0", "mine"]
