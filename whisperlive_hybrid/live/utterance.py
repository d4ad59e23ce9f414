"""One utterance of a live session while it runs, and while its final is made. Values and bookkeeping, no decisions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples, seconds
from whisperlive_hybrid.engine.hypothesis import Hypothesis, Segment, Word
from whisperlive_hybrid.live.seam import n_repeated
from whisperlive_hybrid.live.transcript import UtteranceTranscript, key_of


class AudioBuffer:
    """Samples of an utterance from position `start` on. Nothing is overwritten: what was handed out stays valid."""

    def __init__(self, start: int) -> None:
        self.start = start
        self._data: Samples = np.empty(2 * SAMPLE_RATE, np.float32)
        self._n = 0

    @property
    def end(self) -> int:
        """Position after the last sample."""
        return self.start + self._n

    def append(self, at: int, samples: Samples) -> None:
        """Add `samples` whose first is number `at`. Raises ValueError unless they follow what is there."""
        if at != self.end:
            raise ValueError(f"audio at {at} does not follow {self.end}")
        n = self._n + len(samples)
        if n > len(self._data):
            grown = np.empty(max(n, 2 * len(self._data)), np.float32)
            grown[: self._n] = self._data[: self._n]
            self._data = grown
        self._data[self._n : n] = samples
        self._n = n

    def cut(self, begin: int, end: int | None = None) -> Samples:
        """Samples from position `begin` to `end` (or the last), without copying."""
        stop = self._n if end is None else min(end - self.start, self._n)
        return self._data[max(0, begin - self.start) : stop]


@dataclass(eq=False, slots=True)
class RunningUtterance:
    """Speech that goes on. Positions are samples on the session's clock."""

    segment: int
    audio: AudioBuffer
    transcript: UtteranceTranscript
    after_cut: bool
    """It continues an utterance that was cut by force; its first moment repeats that one's last."""
    heard: int = 0
    """End of the newest partial window asked for."""
    language: str | None = None
    """As a partial detected it."""


@dataclass(eq=False, slots=True)
class EndingUtterance:
    """Speech that ended and waits for its final."""

    segment: int
    audio: AudioBuffer
    end: int
    cut: bool
    """It was cut by force."""
    after_cut: bool
    shown: bool
    """The client has seen partials of it."""
    fallback: str
    """What the partials had."""
    deadline: float
    parts: list[Hypothesis] = field(default_factory=list)
    asked: int = 0
    """Start of the window under way."""
    tries: int = 0
    retry_at: float | None = None
    """When a failed window is tried again."""
    window_id: int | None = None
    """The window under way."""
    complete: bool = False
    failed: str | None = None
    """Why there will be no text from the engine."""

    @property
    def segments(self) -> list[Segment]:
        """Everything heard."""
        return [s for part in self.parts for s in part.segments]

    @property
    def n_samples(self) -> int:
        """Length of its audio."""
        return self.end - self.audio.start


@dataclass(frozen=True, slots=True)
class Heard:
    """What the engine heard in a whole utterance, all its windows together. Empty text: no speech after all."""

    text: str = ""
    words: tuple[Word, ...] = ()
    """Empty unless word times were asked for."""
    language: str = ""
    language_probability: float = 0.0
    confidence: float = 0.0
    """Mean probability of a token, 0 to 1."""


def heard_in(ending: EndingUtterance, before: EndingUtterance | None) -> Heard:
    """The text of `ending`; `before` is the utterance told before it where a forced cut lies between them."""
    segments = ending.segments
    if not segments:
        return Heard()
    words = tuple(w for s in segments for w in s.words)
    text = "".join(s.text for s in segments).strip()
    if before is not None and ending.after_cut:
        n = n_repeated([w for s in before.segments for w in s.words], words, seconds(before.end))
        if n:
            words = words[n:]
            text = "".join(w.text for w in words).strip()
    if not key_of(text):  # punctuation alone is nothing that was said
        return Heard()
    n_tokens = sum(max(1, len(s.tokens)) for s in segments)
    mean = sum(s.avg_log_probability * max(1, len(s.tokens)) for s in segments) / n_tokens
    first = next(p for p in ending.parts if p.segments)
    return Heard(text, words, first.language, first.language_probability, min(1.0, math.exp(mean)))
