"""Who speaks in a live session: voices told apart while they come, with memory for the newest and each speaker. Pure.

Theory of operation
-------------------
The book remembers each speaker as one settled voice (a sum of vectors and how many seconds it is made of), and the
newest pieces of speech one by one. With each segment, its pieces, the newest ones and the settled voices are joined
anew, by average linkage as for files. So a piece may change its speaker as long as it is remembered: that is told as a
correction of its segment. What is forgotten is added to its speaker's settled voice.

Of the clusters that come out, each speaker keeps the one that holds most of them. A cluster of nobody is a new speaker
once it has `new_s` of speech (the first one sooner), is its nearest speaker's if it is alike enough, and else nobody's
for now (*unsure*). Two speakers in one cluster become the one who spoke more (*merge*); a speaker in two clusters keeps
the larger, and the other is a new speaker (*split*). Known speakers have a name and a voice from the start, and are
never joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from whisperlive_hybrid.diarization.clustering import KnownVoice, average_linkage, labels_after
from whisperlive_hybrid.diarization.turns import MAX_SPEAKERS, label
from whisperlive_hybrid.diarization.voices import Piece, Vectors, unit


@dataclass(frozen=True, slots=True)
class BookRules:
    """Numbers of the book, measured by `python -m benchmarks.diarization`."""

    change: float = 0.6
    """A region is split where the voices before and after are less alike."""
    same: float = 0.3
    """Mean similarity from which two clusters are one speaker."""
    nearest: float = 0.2
    """Similarity from which little speech is its nearest speaker's."""
    new_s: float = 2.0
    """Speech of a new speaker."""
    first_s: float = 0.5
    """Speech of the first one: there is nobody else to mistake them for."""
    remembered: int = 48
    """Pieces that may still change their speaker."""
    known_s: float = 10.0
    """A known speaker's reference counts as so much speech."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """One piece of speech: `vector` is float16 [d] as bytes, `speaker` a number or None."""

    segment: int
    start: float
    end: float
    vector: bytes
    speaker: int | None


@dataclass(frozen=True, slots=True)
class BookSpeaker:
    """One speaker: `voice` is the float32 [d] mean of `seconds` of settled speech, as bytes."""

    number: int
    name: str
    voice: bytes
    seconds: float
    known: bool = False


@dataclass(frozen=True, slots=True)
class Book:
    """All that is remembered: plain values, to be kept with the session."""

    speakers: tuple[BookSpeaker, ...] = ()
    newest: tuple[Remembered, ...] = ()
    n_named: int = 0
    """Speakers who got a number so far, known ones left out."""

    def name_of(self, number: int | None) -> str | None:
        """A speaker's name or label."""
        return next((s.name for s in self.speakers if s.number == number), None)


@dataclass(frozen=True, slots=True)
class Named:
    """What is to be told: the speaker of a segment, its turns where there are several, corrections of earlier ones."""

    segment: int
    speaker: str | None
    confidence: float
    turns: tuple[tuple[float, float, str | None], ...] = ()
    also: tuple[tuple[int, str | None], ...] = ()


def book_with(known: Sequence[KnownVoice], rules: BookRules) -> Book:
    """A book of known speakers."""
    return Book(
        tuple(
            BookSpeaker(-1 - i, voice.name, voice.vector.astype(np.float32).tobytes(), rules.known_s, known=True)
            for i, voice in enumerate(known)
        )
    )


def add(
    book: Book, segment: int, pieces: Sequence[Piece], rules: BookRules, max_speakers: int | None = None
) -> tuple[Book, Named]:
    """The book with one segment more, whose speech is `pieces` (none: nobody), and what is to be told of it."""
    before = _speakers_by_segment(book)
    new = tuple(
        Remembered(segment, piece.start, piece.end, piece.vector.astype(np.float16).tobytes(), None) for piece in pieces
    )
    book = _settled(replace(book, newest=book.newest + new), rules)
    confidence = 0.0
    if new:
        book, confidence = _joined(book, segment, rules, max_speakers or MAX_SPEAKERS)
    after = _speakers_by_segment(book)
    also = tuple((s, book.name_of(k)) for s, k in after.items() if s != segment and (k != before.get(s)))
    turns = tuple((p.start, p.end, book.name_of(p.speaker)) for p in book.newest if p.segment == segment)
    several = len({name for _, _, name in turns}) > 1
    return book, Named(segment, book.name_of(after.get(segment)), confidence, turns if several else (), also)


def _speakers_by_segment(book: Book) -> dict[int, int | None]:
    """Who speaks longest in each segment that is remembered."""
    seconds: dict[int, dict[int | None, float]] = {}
    for piece in book.newest:
        of = seconds.setdefault(piece.segment, {})
        of[piece.speaker] = of.get(piece.speaker, 0.0) + piece.end - piece.start
    return {segment: max(of, key=lambda k: (k is not None, of[k])) for segment, of in seconds.items()}


def _settled(book: Book, rules: BookRules) -> Book:
    """With no more pieces than are remembered: older ones become part of their speaker's voice."""
    n = len(book.newest) - rules.remembered
    if n <= 0:
        return book
    voices = {s.number: (_voice(s) * s.seconds, s.seconds) for s in book.speakers}
    for piece in book.newest[:n]:
        if piece.speaker is not None:
            total, seconds = voices[piece.speaker]
            length = piece.end - piece.start
            voices[piece.speaker] = total + _vector(piece) * length, seconds + length
    speakers = tuple(
        replace(
            s,
            voice=(voices[s.number][0] / max(voices[s.number][1], 1e-9)).astype(np.float32).tobytes(),
            seconds=voices[s.number][1],
        )
        for s in book.speakers
    )
    return replace(book, speakers=speakers, newest=book.newest[n:])


def _voice(speaker: BookSpeaker) -> NDArray[np.float64]:
    return np.frombuffer(speaker.voice, np.float32).astype(np.float64)


def _vector(piece: Remembered) -> NDArray[np.float64]:
    return np.frombuffer(piece.vector, np.float16).astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class _Points:
    """What is joined: the voices of `anchors` (settled speakers), then the newest pieces. Labels are their clusters."""

    anchors: tuple[BookSpeaker, ...]
    vectors: Vectors
    weights: NDArray[np.float64]
    labels: NDArray[np.intp]

    def center(self, members: NDArray[np.bool_] | list[int]) -> Vectors:
        """The mean voice of some."""
        return unit((self.vectors[members] * self.weights[members, None]).sum(axis=0))

    def seconds(self) -> NDArray[np.float64]:
        """Of each cluster."""
        return np.bincount(self.labels, self.weights).astype(np.float64)


def _joined(book: Book, segment: int, rules: BookRules, most: int) -> tuple[Book, float]:
    """The book with every remembered piece given to a speaker anew; how sure the newest segment's is."""
    anchors = tuple(s for s in book.speakers if s.seconds > 0)
    vectors = unit(np.stack([*(_voice(s) for s in anchors), *(_vector(p) for p in book.newest)]))
    weights = np.array([*(s.seconds for s in anchors), *(p.end - p.start for p in book.newest)])
    labels = _clusters(vectors, weights, [s.known for s in anchors], rules, most)
    points = _Points(anchors, vectors, weights, labels)
    numbers, speakers, n_named = _owners(book, points, rules)
    numbers = _nearest(numbers, points, rules)
    of_piece = [numbers[k] for k in labels[len(anchors) :]]
    newest = tuple(replace(p, speaker=k) for p, k in zip(book.newest, of_piece, strict=True))
    used = {p.speaker for p in newest}
    kept = tuple(s for s in speakers if s.known or s.seconds > 0 or s.number in used)
    own = [len(anchors) + i for i, piece in enumerate(newest) if piece.segment == segment]
    return _merged(Book(kept, newest, n_named), numbers, points), _confidence(numbers, points, own)


def _clusters(
    vectors: Vectors, weights: NDArray[np.float64], known: Sequence[bool], rules: BookRules, most: int
) -> NDArray[np.intp]:
    apart = [(i, j) for i in range(len(known)) for j in range(i) if known[i] and known[j]]
    merges = average_linkage(vectors, weights, apart)
    n = len(vectors)
    level = sum(similarity >= rules.same for similarity, _, _ in merges)
    while level < len(merges):
        sizes = np.bincount(labels_after(merges[:level], n), weights)
        if (sizes >= rules.new_s).sum() <= most:
            break
        level += 1
    return labels_after(merges[:level], n)


def _owners(book: Book, points: _Points, rules: BookRules) -> tuple[list[int | None], tuple[BookSpeaker, ...], int]:
    """The number of each cluster's speaker or None, all speakers, and how many were named."""
    labels, seconds = points.labels, points.seconds()
    owners = [*(s.number for s in points.anchors), *(p.speaker for p in book.newest)]
    held: dict[tuple[int, int], float] = {}
    for i, owner in enumerate(owners):
        if owner is not None:
            # A known speaker's voice is theirs, however little they have said.
            weight = points.weights[i] + (1e6 if i < len(points.anchors) and owner < 0 else 0.0)
            held[int(labels[i]), owner] = held.get((int(labels[i]), owner), 0.0) + weight
    numbers: list[int | None] = [None] * len(seconds)
    taken: set[int] = set()
    for cluster, owner in sorted(held, key=lambda key: -held[key]):
        if numbers[cluster] is None and owner not in taken:
            numbers[cluster] = owner
            taken.add(owner)
    speakers, n_named = book.speakers, book.n_named
    least = rules.new_s if book.speakers else rules.first_s
    silent = np.zeros(points.vectors.shape[1], np.float32).tobytes()
    for cluster in range(len(seconds)):
        if numbers[cluster] is None and seconds[cluster] >= least:
            speakers += (BookSpeaker(n_named, label(n_named), silent, 0.0),)
            numbers[cluster], n_named = n_named, n_named + 1
    return numbers, speakers, n_named


def _nearest(numbers: Sequence[int | None], points: _Points, rules: BookRules) -> list[int | None]:
    """Clusters of nobody that are alike enough to a speaker become theirs."""
    owned = [k for k, number in enumerate(numbers) if number is not None]
    if not owned:
        return list(numbers)
    centers = np.stack([points.center(points.labels == k) for k in range(len(numbers))])
    alike = centers @ centers[owned].T
    return [
        number if number is not None or alike[k].max() < rules.nearest else numbers[owned[int(alike[k].argmax())]]
        for k, number in enumerate(numbers)
    ]


def _merged(book: Book, numbers: Sequence[int | None], points: _Points) -> Book:
    """Speakers whose settled voice now lies in another's cluster become that one."""
    speakers = {s.number: s for s in book.speakers}
    for i, anchor in enumerate(points.anchors):
        target = numbers[int(points.labels[i])]
        gone = speakers.get(anchor.number)
        if target is None or target == anchor.number or gone is None or gone.known or target not in speakers:
            continue
        kept = speakers[target]
        seconds = kept.seconds + gone.seconds
        voice = (_voice(kept) * kept.seconds + _voice(gone) * gone.seconds) / max(seconds, 1e-9)
        speakers[target] = replace(kept, voice=voice.astype(np.float32).tobytes(), seconds=seconds)
        del speakers[anchor.number]
    pieces = tuple(p if p.speaker in speakers else replace(p, speaker=None) for p in book.newest)
    return replace(book, speakers=tuple(speakers.values()), newest=pieces)


def _confidence(numbers: Sequence[int | None], points: _Points, own: Sequence[int]) -> float:
    """0 to 1: how much more alike `own` pieces are to their speaker than to anybody else, or than strangers are."""
    voice = points.center(list(own))
    speaker = numbers[int(points.labels[max(own, key=lambda i: float(points.weights[i]))])]
    if speaker is None:
        return 0.0
    alike: dict[int | None, float] = {}
    for number in set(numbers):
        rest = [i for i, k in enumerate(points.labels) if numbers[int(k)] == number and i not in own]
        if rest:
            alike[number] = float(points.center(rest) @ voice)
    others = [value for number, value in alike.items() if number not in (speaker, None)]
    if speaker not in alike:  # the first time there is nothing to compare with but the others
        return float(np.clip(1.0 - max(others, default=0.0), 0.0, 1.0))
    return float(np.clip((alike[speaker] - max(0.2, *others)) / 0.4 + 0.5, 0.0, 1.0)) if others else 1.0
