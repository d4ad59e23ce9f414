"""Speakers for the segments of a file: words get those of their turns, segments are split at words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

from whisperlive_hybrid.diarization.assign import speakers_of
from whisperlive_hybrid.diarization.turns import Turn
from whisperlive_hybrid.engine.hypothesis import Segment, Word


def with_speakers(segments: Iterable[Segment], turns: Sequence[Turn]) -> tuple[Segment, ...]:
    """The segments with their speakers; one whose speaker changes inside becomes several. The text stays the same."""
    return tuple(piece for segment in segments for piece in _pieces(segment, turns))


def without_words(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """The segments without words, which were needed only to split them."""
    return tuple(replace(segment, words=()) for segment in segments)


def _pieces(segment: Segment, turns: Sequence[Turn]) -> list[Segment]:
    words = segment.words
    if not words or "".join(word.text for word in words) != segment.text:
        return [_named(segment, turns)]
    named = [
        replace(word, speaker=speaker)
        for word, speaker in zip(words, _filled(speakers_of([(w.start, w.end) for w in words], turns)), strict=True)
    ]
    groups = [tuple(group) for _, group in groupby(named, key=lambda word: word.speaker)]
    if len(groups) == 1:
        return [replace(segment, words=groups[0], speaker=groups[0][0].speaker)]
    return [_piece(segment, group) for group in groups]


def _named(segment: Segment, turns: Sequence[Turn]) -> Segment:
    speaker = speakers_of([(segment.start, segment.end)], turns)[0]
    return replace(segment, speaker=speaker, words=tuple(replace(word, speaker=speaker) for word in segment.words))


def _filled(speakers: Sequence[str | None]) -> list[str | None]:
    """A word of nobody is the speaker's before it, or after it: nobody else was heard."""
    filled: list[str | None] = []
    for speaker in speakers:
        filled.append(speaker or (filled[-1] if filled else None))
    known = next((speaker for speaker in filled if speaker is not None), None)
    return [speaker or known for speaker in filled]


def _piece(segment: Segment, words: Sequence[Word]) -> Segment:
    """A part of a segment. Its tokens are not told apart, so it has none."""
    return replace(
        segment,
        start=words[0].start,
        end=words[-1].end,
        text="".join(word.text for word in words),
        tokens=(),
        text_tokens=(),
        words=tuple(words),
        speaker=words[0].speaker,
    )
