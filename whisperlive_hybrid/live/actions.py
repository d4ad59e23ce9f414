"""What a live session wants done: returned by the state machine, carried out by whoever runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.engine.window import Window
from whisperlive_hybrid.live.events import Event


@dataclass(frozen=True, slots=True)
class Send:
    """Tell the client."""

    event: Event


@dataclass(frozen=True, slots=True)
class Run:
    """Have the engine transcribe the window."""

    window: Window


@dataclass(frozen=True, slots=True)
class Cancel:
    """The window is not wanted any more."""

    window_id: int


@dataclass(frozen=True, slots=True, eq=False)
class Listen:
    """Find out who speaks in a segment whose final was told: float32 `samples` from second `start` on."""

    segment: int
    start: float
    samples: Samples


@dataclass(frozen=True, slots=True)
class Close:
    """Everything is told."""

    reason: str


Action: TypeAlias = Send | Run | Cancel | Listen | Close
