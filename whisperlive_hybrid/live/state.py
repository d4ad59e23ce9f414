"""What a live session remembers of what it has told: all that another process needs to go on with it. Plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from whisperlive_hybrid.engine.hypothesis import Word

TIMINGS: Final = ("queued_s", "encode_s", "decode_s", "align_s")


@dataclass(frozen=True, slots=True)
class SessionState:
    """A session as of the last final it told. Audio after it is to be heard again; its segments get the same numbers.

    Every field is a plain value, so that it can be kept as JSON. Positions are samples on the session's audio clock.
    """

    next_segment: int = 0
    """The first segment that has no final yet."""
    language: str | None = None
    """Of the next windows; None detects."""
    history: str = ""
    """Newest text told, to prompt the next windows with."""
    history_language: str | None = None
    n_told: int = 0
    """Segments told, those without words left out."""
    n_words: int = 0
    timing: dict[str, float] = field(default_factory=lambda: dict.fromkeys(TIMINGS, 0.0))
    """Seconds that the windows of finals took in the engine, by kind."""
    told_end: int = 0
    """Nothing before it is heard again, except for what a forced cut repeats."""
    speaking_from: int | None = None
    """The last utterance was cut by force, and the next one runs from here; else None."""
    cut_at: int | None = None
    """Where it was cut."""
    seam: tuple[Word, ...] = ()
    """Its words, of which the next utterance may repeat the last ones."""
