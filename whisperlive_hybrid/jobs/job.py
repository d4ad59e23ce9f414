"""What can become of a job. Pure.

queued ──take──► running ──finish──► done
  ▲  │              │ ├────fail────► failed ────┐
  │  └──cancel──┐   │ └───cancel───► cancelled ─┤
  │             └───┼──────────────► cancelled  │
  ├────put back─────┘                           │
  └──────────────────retry──────────────────────┘
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias, get_args

from whisperlive_hybrid.errors import Conflict

State: TypeAlias = Literal["queued", "running", "done", "failed", "cancelled"]
Step: TypeAlias = Literal["take", "put back", "finish", "fail", "cancel", "retry"]

STATES: Final[tuple[State, ...]] = get_args(State)
TRANSITIONS: Final[Mapping[tuple[State, Step], State]] = {
    ("queued", "take"): "running",
    ("queued", "cancel"): "cancelled",
    ("running", "put back"): "queued",
    ("running", "finish"): "done",
    ("running", "fail"): "failed",
    ("running", "cancel"): "cancelled",
    ("failed", "retry"): "queued",
    ("cancelled", "retry"): "queued",
}
LOW, NORMAL, HIGH = -10, 0, 10
"""Priorities. Those above NORMAL say that somebody waits for the result."""
OVER: Final[frozenset[State]] = frozenset({"done", "failed", "cancelled"})
"""Nothing more happens to these by itself."""
SERVER_FAULTS: Final = frozenset(
    {
        "internal_error",
        "unavailable",
        "worker_lost",
        "deadline_exceeded",
        "storage_failed",
        "storage_busy",
        "audio_lost",
        "disk_full",
        "decoder_unavailable",
        "full",
        "draining",
        "shutting_down",
        "superseded",
        "interrupted",
    }
)
"""Codes of failed jobs that are no mistake of who asked for them."""


def before(step: Step) -> tuple[State, ...]:
    """The states in which this step can be taken."""
    return tuple(state for state, taken in TRANSITIONS if taken == step)


def after(state: State, step: Step) -> State:
    """The state that follows. Raises Conflict, which leaves all as it was."""
    following = TRANSITIONS.get((state, step))
    if following is None:
        allowed = " or ".join(before(step))
        raise Conflict(f"The job is {state}; only one that is {allowed} can {_verb(step)}.", code=f"job_{state}")
    return following


def _verb(step: Step) -> str:
    verbs = {"cancel": "be cancelled", "retry": "be tried again"}
    return verbs.get(step, f"{step}")
