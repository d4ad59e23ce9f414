"""One utterance of a live session while it runs, and while its final is made. Values and bookkeeping, no decisions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples, seconds
from whisperlive_hybrid.engine.hypothesis import Hypothesis, Segment, Word
from whisperlive_hybrid.engine.rest import rest_of
from whisperlive_hybrid.engine.window import Window
from whisperlive_hybrid.live.seam import n_repeated
from whisperlive_hybrid.live.transcript import UtteranceTranscript, key_of

if TYPE_CHECKING:
    from whisperlive_hybrid.live.asking import Asking


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
class Speculation:
    """A final asked for in a pause, before anybody knows that the utterance has ended."""

    window: Window
    hypothesis: Hypothesis | None = None
    """None while it is under way."""


@dataclass(frozen=True, slots=True, eq=False)
class HeardPartial:
    """The newest partial that was answered, to be verified by the next."""

    start: int
    end: int
    tokens: tuple[int, ...]


@dataclass(eq=False, slots=True)
class RunningUtterance:
    """Speech that goes on. Positions are samples on the session's clock."""

    segment: int
    audio: AudioBuffer
    transcript: UtteranceTranscript
    after_cut: bool
    """It continues an utterance that was cut by force; its first moment repeats that one's last."""
    heard: int = 0
    """End of the newest window asked for."""
    newest: HeardPartial | None = None
    silent_from: int | None = None
    """The speaker pauses since then."""
    quiet: bool = False
    """All that was said before the pause was heard and verified."""
    speculation: Speculation | None = None
    speculated: int | None = None
    """The pause in which a final was speculated on: once is enough."""

    def hear(self, at: int, samples: Samples, overlap: int) -> None:
        """More audio. In a pause no more than `overlap` of it comes: when more does, the pause is over."""
        self.audio.append(at, samples)
        if self.silent_from is not None and self.audio.end > self.silent_from + overlap:
            self.silent_from, self.quiet = None, False

    def speculation_of(self, window_id: int) -> Speculation | None:
        """The speculation whose window this is and which is under way."""
        speculation = self.speculation
        if speculation is None or speculation.hypothesis is not None or speculation.window.id != window_id:
            return None
        return speculation


@dataclass(eq=False, slots=True)
class EndingUtterance:
    """Speech that ended and waits for its final."""

    segment: int
    asking: Asking
    """How its windows are made."""
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
    silent_from: int | None = None
    """The speaker had been silent since then; None where the utterance did not end in a pause."""
    parts: list[Hypothesis] = field(default_factory=list)
    asked: int = 0
    """Start of the window under way."""
    tries: int = 0
    retry_at: float | None = None
    """When a failed window is tried again."""
    window_id: int | None = None
    """The window under way."""
    continued_at: int | None = None
    """Where the utterance after a forced cut begins."""
    in_doubt: tuple[Hypothesis, ...] = ()
    """What was heard in another language than the session's, until it is heard in that one too."""
    complete: bool = False
    failed: str | None = None
    """Why there will be no text from the engine."""

    @classmethod
    def of(cls, running: RunningUtterance, asking: Asking, end: int, *, cut: bool, deadline: float) -> EndingUtterance:
        """What ran until `end`."""
        return cls(
            running.segment,
            asking,
            running.audio,
            end,
            cut=cut,
            after_cut=running.after_cut,
            shown=running.transcript.shown,
            fallback=running.transcript.text(),
            deadline=deadline,
            silent_from=running.silent_from,
            asked=running.audio.start,
        )

    @property
    def segments(self) -> list[Segment]:
        """Everything heard."""
        return [s for part in self.parts for s in part.segments]

    @property
    def n_samples(self) -> int:
        """Length of its audio."""
        return self.end - self.audio.start

    def add(self, hypothesis: Hypothesis) -> None:
        """One more window of it was heard. Complete, unless the model left a rest that is worth another one."""
        self.window_id, self.tries = None, 0
        self.parts.append(hypothesis)
        rest_s = rest_of(hypothesis, seconds(self.end - self.asked), len(self.parts))
        if rest_s is not None:
            self.asked += round(rest_s * SAMPLE_RATE)
            return
        self.complete = True

    def doubt(self) -> None:
        """Hear it all once more, in the language of the session."""
        self.in_doubt, self.parts = tuple(self.parts), []
        self.asked, self.complete = self.audio.start, False

    def choose_language(self, sure: float) -> None:
        """Of two languages the detected one counts if it is `sure`, and its text is the more probable."""
        first = next((p for p in self.in_doubt if p.segments), None)
        other = confidence_of([s for part in self.in_doubt for s in part.segments])
        if first is not None and first.language_probability >= sure and other > self.confidence:
            self.in_doubt, self.parts = tuple(self.parts), list(self.in_doubt)

    def fail(self, message: str) -> None:
        """No (more) text will come from the engine."""
        self.complete = True
        if self.in_doubt:
            self.in_doubt, self.parts = (), list(self.in_doubt)
        else:
            self.failed = message

    @property
    def confidence(self) -> float:
        """Mean probability of a token of what was heard, 0 to 1; 0 when nothing was."""
        return confidence_of(self.segments)


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


def confidence_of(segments: Sequence[Segment]) -> float:
    """Mean probability of a token, 0 to 1; 0 without segments."""
    n_tokens = sum(max(1, len(s.tokens)) for s in segments)
    total = sum(s.avg_log_probability * max(1, len(s.tokens)) for s in segments)
    return min(1.0, math.exp(total / n_tokens)) if n_tokens else 0.0


def heard_in(ending: EndingUtterance, seam: Sequence[Word], cut_at: int | None) -> Heard:
    """The text of `ending`. `seam`: the words told before a forced cut at `cut_at` that it follows, else none."""
    segments = ending.segments
    if not segments:
        return Heard()
    words = tuple(w for s in segments for w in s.words)
    text = "".join(s.text for s in segments).strip()
    if ending.after_cut and cut_at is not None:
        n = n_repeated(seam, words, seconds(cut_at))
        if n:
            words = words[n:]
            text = "".join(w.text for w in words).strip()
    if not key_of(text):  # punctuation alone is nothing that was said
        return Heard()
    first = next(p for p in ending.parts if p.segments)
    return Heard(text, words, first.language, first.language_probability, confidence_of(segments))
