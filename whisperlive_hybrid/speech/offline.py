"""Files: all their speech as utterances, and utterances packed into windows for one inference each.

A live session ends an utterance where a speaker is done; a file's utterances are only what windows are packed from.
`FILE_SPEECH` therefore splits at shorter pauses, so that windows are well filled and end in one.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from dataclasses import dataclass

import numpy as np

from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples
from whisperlive_hybrid.speech.segmenter import Segmenter
from whisperlive_hybrid.speech.silero import FRAME
from whisperlive_hybrid.speech.speech import (
    BEGINNING,
    Bookmark,
    SpeechEnded,
    SpeechEvent,
    SpeechOptions,
    SpeechStarted,
    Utterance,
)
from whisperlive_hybrid.speech.tail import Tail
from whisperlive_hybrid.speech.vad_batcher import VadBatcher


async def utterances(
    blocks: AsyncIterable[Samples],
    vad: VadBatcher,
    options: SpeechOptions,
    begin: Bookmark = BEGINNING,
) -> AsyncGenerator[Utterance]:
    """The utterances of a file, in order; no two share a sample (a forced cut repeats nothing here).

    The first sample in `blocks` is number `begin.hear_from`. With the bookmark of an utterance, and the same options
    and block boundaries, those behind it come again, to the sample. Takes the next block only when the last one's
    utterances are taken. Raises BadInput (bad_snapshot).
    """
    stream = vad.open("file", begin.vad or None)
    segmenter = Segmenter(
        options,
        begin.hear_from,
        unscored=stream.unscored,
        deaf_until=begin.deaf_until,
        speaking_from=begin.speaking_from,
    )
    collector = _Collector(options, begin)
    try:
        async for block in blocks:
            collector.mark(stream.snapshot())
            probabilities = await stream.probabilities(block)
            collector.audio.append(block)
            for utterance in collector.receive(segmenter.feed(block, probabilities)):
                yield utterance
        for utterance in collector.receive(segmenter.flush(), last=True):
            yield utterance
    finally:
        stream.close()


class _Collector:
    """Makes utterances of a segmenter's events and the audio they speak of."""

    def __init__(self, options: SpeechOptions, begin: Bookmark) -> None:
        self.audio = Tail(begin.hear_from)
        self._start: int | None = None
        """Where the running utterance began."""
        self._ended: tuple[int, int, int] | None = None
        """Start and end of the last utterance, and how far its end may still be moved."""
        self._heard = begin.heard
        """End of the last utterance."""
        self._marks: deque[tuple[int, bytes]] = deque()
        """Places, in order, with the state of voice activity there; those that a bookmark may need."""
        # A segmenter that ends an utterance after a shorter silence than the overlap has not yet heard all of that.
        silence = -(-options.min_silence_ms * SAMPLE_RATE // 1000 // FRAME) * FRAME
        self._extra = max(options.overlap_ms * SAMPLE_RATE // 1000 - silence, 0)
        self._max_length = int(options.max_utterance_s * SAMPLE_RATE)
        self._look_back = (options.pre_roll_ms + options.min_speech_ms) * SAMPLE_RATE // 1000 + 2 * FRAME

    def mark(self, vad: bytes) -> None:
        """The state of voice activity behind the audio so far."""
        self._marks.append((self.audio.end, vad))

    def receive(self, events: list[SpeechEvent], *, last: bool = False) -> Iterator[Utterance]:
        """Utterances that are complete with these events."""
        for event in events:
            match event:
                case SpeechStarted(at=at):
                    yield from self._complete(at)
                    self._start = max(at, self._heard)
                case SpeechEnded(at=at, reason=reason) if self._start is not None:
                    longest = max(self._start + self._max_length, at)
                    self._ended = self._start, at, min(at + self._extra, longest) if reason == "silence" else at
                    self._heard = at
                    self._start = None
        if self._ended is not None and (last or self.audio.end >= self._ended[2]):
            yield from self._complete(self.audio.end)
        needed = [self.audio.end - self._look_back]
        needed += [] if self._start is None else [self._start]
        needed += [] if self._ended is None else [self._ended[0]]
        self.audio.forget(min(needed))
        while len(self._marks) > 1 and self._marks[1][0] <= min(needed):
            self._marks.popleft()

    def _complete(self, limit: int) -> Iterator[Utterance]:
        """The utterance that ended, as long as may be before `limit`, where the next one starts if that is known."""
        if self._ended is not None:
            start, end, may_end = self._ended
            self._ended = None
            self._heard = max(end, min(may_end, limit))
            # Only a cut makes the next one start before the end, to repeat something.
            behind = self._bookmark(end, limit if limit < end else None)
            yield Utterance(start, self.audio.cut(start, self._heard), behind)

    def _bookmark(self, end: int, speaking_from: int | None) -> Bookmark:
        point = end if speaking_from is None else speaking_from
        at, vad = next(mark for mark in reversed(self._marks) if mark[0] <= point)
        return Bookmark(at, vad, end, speaking_from, self._heard)


@dataclass(frozen=True, slots=True)
class Piece:
    """Samples `begin` to `end` of a window are the file's from sample `start` on."""

    begin: int
    end: int
    start: int


@dataclass(frozen=True, slots=True, eq=False)
class PackedWindow:
    """Utterances of a file put together without the silence between them: `samples` float32 [n]."""

    samples: Samples
    pieces: tuple[Piece, ...]
    behind: Bookmark | None = None
    """How the file goes on after it; None where it ends within an utterance."""

    @property
    def start_s(self) -> float:
        """Where its speech begins on the file's clock."""
        return self.pieces[0].start / SAMPLE_RATE

    @property
    def end(self) -> int:
        """Sample of the file that follows its speech."""
        last = self.pieces[-1]
        return last.start + last.end - last.begin

    @property
    def end_s(self) -> float:
        """Where its speech ends on the file's clock."""
        return self.end / SAMPLE_RATE

    def to_clock(self, seconds_in_window: float, *, end: bool = False) -> float:
        """Seconds on the file's clock.

        A time exactly between two utterances is the second one's start, or with `end` the first one's end.
        """
        position = seconds_in_window * SAMPLE_RATE
        return self._in_piece(self._piece_at(position, end), position)

    def span_to_clock(self, start: float, end: float) -> tuple[float, float]:
        """A word's start and end on the file's clock, both in the utterance in which its middle lies.

        A word never spans the silence that was taken out.
        """
        piece = self._piece_at((start + end) / 2 * SAMPLE_RATE, False)
        return self._in_piece(piece, start * SAMPLE_RATE), self._in_piece(piece, end * SAMPLE_RATE)

    def rest(self, seconds_in_window: float) -> PackedWindow:
        """What is left of the window from there on."""
        cut = min(max(round(seconds_in_window * SAMPLE_RATE), 0), len(self.samples))
        pieces = tuple(
            Piece(max(p.begin - cut, 0), p.end - cut, p.start + max(cut - p.begin, 0))
            for p in self.pieces
            if p.end > cut
        )
        return PackedWindow(self.samples[cut:], pieces)

    def _piece_at(self, position: float, end: bool) -> Piece:
        begins = [piece.begin for piece in self.pieces]
        find = bisect.bisect_left if end else bisect.bisect_right
        return self.pieces[max(find(begins, position) - 1, 0)]

    @staticmethod
    def _in_piece(piece: Piece, position: float) -> float:
        return (piece.start + min(max(position, piece.begin), piece.end) - piece.begin) / SAMPLE_RATE


async def pack(speech: AsyncIterable[Utterance], max_s: float) -> AsyncGenerator[PackedWindow]:
    """Windows of at most `max_s` seconds, each with as many whole utterances as fit.

    An utterance longer than that gives several windows; give the segmenter a maximum length to have it cut in quiet.
    """
    limit = int(max_s * SAMPLE_RATE)
    waiting: list[Utterance] = []
    length = 0
    async for utterance in speech:
        if waiting and length + len(utterance.samples) > limit:
            yield _packed(waiting)
            waiting, length = [], 0
        while len(utterance.samples) > limit:
            yield _packed([Utterance(utterance.start, utterance.samples[:limit])])
            utterance = Utterance(utterance.start + limit, utterance.samples[limit:], utterance.behind)
        if len(utterance.samples):
            waiting.append(utterance)
            length += len(utterance.samples)
    if waiting:
        yield _packed(waiting)


def _packed(together: list[Utterance]) -> PackedWindow:
    pieces: list[Piece] = []
    position = 0
    for utterance in together:
        end = position + len(utterance.samples)
        pieces.append(Piece(position, end, utterance.start))
        position = end
    return PackedWindow(np.concatenate([u.samples for u in together]), tuple(pieces), together[-1].behind)
