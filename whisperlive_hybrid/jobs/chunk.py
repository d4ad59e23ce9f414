"""What is known of a file after each of its windows: enough to go on behind it in another process. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from whisperlive_hybrid.audio.samples import SAMPLE_RATE
from whisperlive_hybrid.engine.hypothesis import Segment
from whisperlive_hybrid.speech.silero import FRAME

WARM_UP_S: Final = 10.0
"""Audio before the place to go on at that voice activity hears again: it remembers little, and nothing for long."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One window of a file, heard. All but `segments` says how far the file is with it."""

    segments: tuple[Segment, ...]
    """New ones, on the file's clock; may be none."""
    end: int
    """Sample of the file that follows its speech."""
    speech: int
    """Samples of speech so far."""
    language: str | None = None
    """The file's language, once that is settled."""
    detected: tuple[str, float] | None = None
    """The surest language and its probability so far."""
    silent_windows: int = 0
    """Windows without text so far, while no language is settled."""
    said: tuple[str, ...] | None = None
    """Text that the next window is prompted with; None where the options' own prompt is."""
    n_prompt_tokens: int | None = None
    """Length of the first window's prompt."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file to go on."""

    hear_from: int
    """First sample that voice activity hears; a whole number of its frames."""
    deaf_until: int
    """No utterance begins before this sample: what is before is told."""


BEGINNING: Final = Place(0, 0)


def place_behind(chunks: Sequence[Chunk]) -> Place:
    """Where to go on after these chunks of a file, which are in order and the first ones."""
    if not chunks:
        return BEGINNING
    end = chunks[-1].end
    return Place(max(0, end - round(WARM_UP_S * SAMPLE_RATE)) // FRAME * FRAME, end)
