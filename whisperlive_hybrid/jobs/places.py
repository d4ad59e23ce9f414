"""Where the words of a search stand in a transcript: the segments with some text around the words. Pure.

Words are what the databases' text searches take for words, letters and digits, compared without case and accents.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from whisperlive_hybrid.engine.hypothesis import Segment

SNIPPET_CHARS: Final = 160
"""Longer segments are cut."""
BEFORE_CHARS: Final = 50
"""How much of a cut segment stays before its first word that was sought."""
_WORD: Final = re.compile(r"(?:[^\W_]|[\u0300-\u036f])+")


@dataclass(frozen=True, slots=True)
class Sought:
    """Words that are looked for, as `key` has them."""

    words: frozenset[str]
    beginning: str | None = None
    """A word that begins so counts, too."""

    def has(self, word: str) -> str | None:
        """Which of the words it is, if any."""
        found = key(word)
        if found in self.words:
            return found
        return self.beginning if self.beginning is not None and found.startswith(self.beginning) else None


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a snippet."""

    text: str
    match: bool


@dataclass(frozen=True, slots=True)
class Place:
    """One segment with at least one of the words."""

    segment: int
    start: float
    """Seconds: of the first of the words where word times are known, else of the segment."""
    end: float
    speaker: str | None
    snippet: tuple[Piece, ...]


def sought(text: str, *, prefix: bool = False) -> Sought:
    """The words of a query. `prefix`: the last one may be the beginning of a word."""
    words = [key(match[0]) for match in _WORD.finditer(text)]
    return Sought(frozenset(words[:-1] if prefix else words), words[-1] if prefix and words else None)


def key(word: str) -> str:
    """Equal for words that a search takes for the same."""
    if word.isascii():
        return word.lower()
    return "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c)).casefold()


def places_of(segments: Iterable[Segment], words: Sought, most: int) -> tuple[tuple[Place, ...], int]:
    """At most `most` places in order of time, those with most of the words, and how many there are in all."""
    found: list[tuple[int, int, Segment, list[re.Match[str]]]] = []
    for number, segment in enumerate(segments):
        hits = [(match, known) for match in _WORD.finditer(segment.text) if (known := words.has(match[0])) is not None]
        if hits:
            found.append((len({known for _, known in hits}), number, segment, [match for match, _ in hits]))
    best = sorted(sorted(found, key=lambda each: (-each[0], each[1]))[:most], key=lambda each: each[1])
    return tuple(_place(number, segment, hits) for _, number, segment, hits in best), len(found)


def _place(number: int, segment: Segment, hits: Sequence[re.Match[str]]) -> Place:
    start = _time_of(segment, hits[0].start())
    return Place(number, start, segment.end, segment.speaker, tuple(_snippet(segment.text, hits)))


def _time_of(segment: Segment, at: int) -> float:
    """When the word at this character begins."""
    end = 0
    for word in segment.words:
        end += len(word.text)
        if at < end:
            return word.start
    return segment.start


def _snippet(text: str, hits: Sequence[re.Match[str]]) -> Iterator[Piece]:
    start, end = len(text) - len(text.lstrip()), len(text.rstrip())
    first, last = start, end
    if end - start > SNIPPET_CHARS:
        first = _word_start(text, max(start, min(hits[0].start() - BEFORE_CHARS, end - SNIPPET_CHARS)), hits[0].start())
        last = max(_word_end(text, min(end, first + SNIPPET_CHARS), hits[0].end()), hits[0].end())
    at, before = first, "…" if first > start else ""
    for hit in hits:
        if hit.end() > last:
            break
        if between := before + text[at : hit.start()]:
            yield Piece(between, False)
        yield Piece(hit[0], True)
        at, before = hit.end(), ""
    if rest := text[at:last] + ("…" if last < end else ""):
        yield Piece(rest, False)


def _word_start(text: str, at: int, until: int) -> int:
    """The first word that begins at `at` or later; `at` where none does before `until`."""
    if at == 0 or text[at - 1].isspace():
        return at
    found = re.compile(r"\s+").search(text, at, until)
    return at if found is None else found.end()


def _word_end(text: str, at: int, after: int) -> int:
    """Where the last word ends that ends at `at` or before; `at` where none does behind `after`."""
    if at >= len(text) or text[at].isspace():
        return at
    cut = max(text.rfind(" ", after, at), text.rfind("\n", after, at))
    return at if cut < 0 else cut
