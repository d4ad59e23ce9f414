"""What is known of a file after each of its windows: enough to go on behind it in another process. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whisperlive_hybrid.engine.hypothesis import Segment
from whisperlive_hybrid.speech.speech import BEGINNING, Bookmark


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
    pieces: tuple[tuple[int, int], ...] = ()
    """Where its speech lies in the file: first samples, and those that follow."""
    behind: Bookmark | None = None
    """How the file goes on; None: nothing is known but `end`, and voice activity hears all again."""


def bookmark_behind(chunks: Sequence[Chunk]) -> Bookmark:
    """How a file goes on after these chunks of it, which are in order and the first ones."""
    if not chunks:
        return BEGINNING
    last = chunks[-1]
    return last.behind or Bookmark(0, b"", last.end, None, last.end)


def speech_of(chunks: Sequence[Chunk]) -> tuple[tuple[int, int], ...]:
    """Where the speech of these chunks lies in the file, in order."""
    return tuple(piece for chunk in chunks for piece in chunk.pieces)
