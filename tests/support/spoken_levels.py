"""Words as constant levels of a signal, and an engine and a voice activity detector that understand them.

A word is 0.3 s of the level number / 1000, followed by 0.1 s of zeros. So a test can say anything, at any length, and
knows what must be heard, while decoding, segmenting, committing and telling are the real ones.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import numpy as np

from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples
from whisperlive_hybrid.engine.hypothesis import Hypothesis, Segment, Word
from whisperlive_hybrid.engine.window import Lane, Window
from whisperlive_hybrid.errors import HybridError, WorkerLost
from whisperlive_hybrid.speech.silero import FRAME, FramesDue, Scored

WORD_S, GAP_S, SILENCE_S = 0.3, 0.1, 1.0


def speak(*sentences: Sequence[int]) -> Samples:
    """The sentences, a second of silence after each."""
    parts = [np.zeros(int(0.5 * SAMPLE_RATE), np.float32)]
    for sentence in sentences:
        for number in sentence:
            parts.append(np.full(int(WORD_S * SAMPLE_RATE), number / 1000, np.float32))
            parts.append(np.zeros(int(GAP_S * SAMPLE_RATE), np.float32))
        parts.append(np.zeros(int(SILENCE_S * SAMPLE_RATE), np.float32))
    return np.concatenate(parts)


def spoken_in(samples: Samples, start: int = 0) -> list[Word]:
    """The words whose most part is in `samples`, with times on the clock on which the first sample is `start`."""
    numbers = np.rint(samples * 1000).astype(int)
    borders = np.flatnonzero(np.diff(numbers)) + 1
    words = []
    for begin, end in zip([0, *borders], [*borders, len(numbers)], strict=True):
        if len(numbers) and numbers[begin] and end - begin > 0.6 * WORD_S * SAMPLE_RATE:
            at, until = (start + begin) / SAMPLE_RATE, (start + end) / SAMPLE_RATE
            words.append(Word(f" w{numbers[begin]}", at, until, 0.9))
    return words


class LevelVad:
    """Speech is what is not zero."""

    def score(self, due: Sequence[FramesDue]) -> list[Scored]:
        """See Silero."""
        return [Scored((np.abs(f.samples.reshape(-1, FRAME)).max(axis=1) > 0).astype(np.float32), f.state) for f in due]


class LevelEngine:
    """Hears levels. Fails and dawdles as told; remembers what it was asked."""

    def __init__(self, seed: int = 0, *, failures: float = 0.0, delay_s: float = 0.0) -> None:
        self._random = random.Random(seed)
        self._failures = failures
        self._delay_s = delay_s
        self.gate = asyncio.Event()
        """Windows wait for it."""
        self.gate.set()
        self.asked: list[Window] = []
        self.held: list[str] = []
        """Models that sessions use."""

    async def load(self, name: str | None) -> str:
        """See LiveEngine."""
        return name or "levels"

    def hold(self, name: str) -> None:
        """See LiveEngine."""
        self.held.append(name)

    def release(self, name: str) -> None:
        """See LiveEngine."""
        self.held.remove(name)

    def cancel(self, owner: str) -> None:
        """See LiveEngine."""

    async def transcribe(self, window: Window) -> Hypothesis:
        """See Transcriber."""
        self.asked.append(window)
        await asyncio.sleep(self._delay_s * self._random.random())
        await self.gate.wait()
        if self._random.random() < self._failures:
            error: HybridError = WorkerLost("the worker is gone")
            raise error
        words = spoken_in(window.samples, window.start)
        if window.lane is Lane.PARTIAL and self._random.random() < 0.2 and words:
            words[-1] = Word(" misheard", words[-1].start, words[-1].end, 0.2)
        length_s = len(window.samples) / SAMPLE_RATE
        text = "".join(w.text for w in words)
        times = tuple(words) if window.options.word_times else ()
        segments = (Segment(0.0, length_s, text, (1,), 0.0, -0.1, 1.0, 0.0, times),) if words else ()
        return Hypothesis(window.id, segments, "en", 1.0, length_s)
