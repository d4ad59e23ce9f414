"""Segments of a packed window back on the file's clock. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from whisperlive_hybrid.engine.hypothesis import Segment, Word
from whisperlive_hybrid.speech.offline import PackedWindow


def to_file_clock(window: PackedWindow, segments: Iterable[Segment], not_before: float) -> tuple[Segment, ...]:
    """The window's `segments` (times in seconds within it) with times on the file's clock, rounded to 1 ms.

    Times never go back: nothing starts before `not_before`, before what precedes it, or ends before it starts. With
    words, a segment's times are those of its first and last word.
    """
    out = []
    for segment in segments:
        if segment.words:
            words = []
            for word in segment.words:
                mapped = _word(window, word, not_before)
                not_before = mapped.end
                words.append(mapped)
            out.append(replace(segment, start=words[0].start, end=words[-1].end, words=tuple(words)))
        else:
            start = max(round(window.to_clock(segment.start), 3), not_before)
            not_before = max(round(window.to_clock(segment.end, end=True), 3), start)
            out.append(replace(segment, start=start, end=not_before))
    return tuple(out)


def _word(window: PackedWindow, word: Word, not_before: float) -> Word:
    start, end = window.span_to_clock(word.start, word.end)
    start = max(round(start, 3), not_before)
    return replace(word, start=start, end=max(round(end, 3), start))
