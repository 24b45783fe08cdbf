"""The life of a job: its states, and the moves between them.

The table here is the reference: the Lua scripts carry it out, ``docs/lifecycle.md`` shows it, and tests compare all
three.
"""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """Where a job is in its life. The words are the same in Redis, on the wire and on screen."""

    BLOCKED = "blocked"
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether a job in this state will never change again by itself."""
        return self in TERMINAL


TERMINAL = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})
"""States that end a job."""

LIVE = tuple(state for state in JobState if state not in TERMINAL)
"""States in which a job still has something before it."""


class Outcome(StrEnum):
    """What an attempt produced. The set is closed: whatever happens is one of these."""

    COMPLETED = "completed"
    FAILED = "failed"
    RETRIED = "retried"
    SNOOZED = "snoozed"
    CANCELLED = "cancelled"
    RELEASED = "released"
    LOST = "lost"


TRANSITIONS: dict[tuple[JobState | None, str], JobState] = {
    (None, "submit"): JobState.QUEUED,
    (None, "submit with a delay"): JobState.SCHEDULED,
    (JobState.SCHEDULED, "due"): JobState.QUEUED,
    (JobState.QUEUED, "claim"): JobState.PROCESSING,
    (JobState.PROCESSING, Outcome.COMPLETED): JobState.COMPLETED,
    (JobState.PROCESSING, Outcome.FAILED): JobState.FAILED,
    (JobState.PROCESSING, Outcome.RETRIED): JobState.SCHEDULED,
    (JobState.PROCESSING, Outcome.SNOOZED): JobState.SCHEDULED,
    (JobState.PROCESSING, "snoozed too often"): JobState.FAILED,
    (JobState.PROCESSING, Outcome.CANCELLED): JobState.CANCELLED,
    (JobState.PROCESSING, Outcome.RELEASED): JobState.QUEUED,
    (JobState.PROCESSING, "released with a delay"): JobState.SCHEDULED,
    (JobState.PROCESSING, Outcome.LOST): JobState.QUEUED,
    (JobState.PROCESSING, "lost while told to stop"): JobState.CANCELLED,
    (JobState.PROCESSING, "lost too often"): JobState.FAILED,
    (JobState.FAILED, "retry"): JobState.QUEUED,
    (JobState.SCHEDULED, "cancel"): JobState.CANCELLED,
    (JobState.QUEUED, "cancel"): JobState.CANCELLED,
}
"""(state before, what happens) -> state after. ``None`` is a job that does not exist yet."""


def diagram() -> str:
    """Draw the table as a Mermaid state diagram, as ``docs/lifecycle.md`` shows it."""
    lines = ["stateDiagram-v2"]
    for (before, event), after in TRANSITIONS.items():
        lines.append(f"    {before or '[*]'} --> {after}: {event}")
    lines += [f"    {state} --> [*]" for state in JobState if state.terminal]
    return "\n".join(lines)
