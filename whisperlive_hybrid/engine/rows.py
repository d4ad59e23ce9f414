"""The windows of a batch on their way from request to hypothesis."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from whisperlive_hybrid.audio.samples import SAMPLE_RATE
from whisperlive_hybrid.engine.backend import Request
from whisperlive_hybrid.engine.fallback import Attempt
from whisperlive_hybrid.engine.features import FRAMES_PER_SECOND
from whisperlive_hybrid.engine.gate import FULL_FRAMES
from whisperlive_hybrid.engine.hypothesis import Hypothesis, Segment, Timing, Token, Word
from whisperlive_hybrid.engine.prompt import Vocabulary
from whisperlive_hybrid.engine.segments import Draft
from whisperlive_hybrid.engine.window import DecodeOptions, Lane

_LEAST_PROBABILITY = 1e-30


@dataclass(slots=True, eq=False)
class Row:
    """One window of the batch. Without an attempt, nobody wants its result any more."""

    index: int
    request: Request
    language: str = "en"
    language_probability: float = 1.0
    attempt: Attempt | None = None
    """What was chosen."""
    drafts: list[Draft] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    """Of the drafts' text tokens, where they were asked for."""
    consumed_s: float = 0.0
    closed: bool = True
    """Nothing is spoken after its last segment."""
    verified: bool = False
    redo: bool = False
    """It failed in a short encoder input: once more in 30 s."""

    def __post_init__(self) -> None:
        self.consumed_s = self.duration_s

    @property
    def options(self) -> DecodeOptions:
        """How it is decoded."""
        return self.request.window.options

    @property
    def duration_s(self) -> float:
        """Seconds of audio."""
        return self.request.content_frames / FRAMES_PER_SECOND

    @property
    def may_be_redone(self) -> bool:
        """Whether its text matters enough to pay for 30 s, and it was not given them yet."""
        return self.request.window.lane is not Lane.PARTIAL and self.request.features.shape[1] < FULL_FRAMES

    def hypothesis(self, vocabulary: Vocabulary) -> Hypothesis:
        """What was heard; times on the owner's clock."""
        return Hypothesis(
            window_id=self.request.window.id,
            segments=self._segments(vocabulary, self.attempt) if self.attempt is not None else (),
            language=self.language,
            language_probability=self.language_probability,
            consumed_s=self.consumed_s,
            verified=self.verified,
            n_prompt_tokens=max(len(self.request.previous) - 1, 0),
            doubt=self.attempt.fault if self.attempt is not None and self.drafts else None,
        )

    def _segments(self, vocabulary: Vocabulary, attempt: Attempt) -> tuple[Segment, ...]:
        offset = self.request.window.start / SAMPLE_RATE
        segments = []
        probabilities = iter(self.probabilities)
        for draft in self.drafts:
            text = vocabulary.text(draft.tokens)
            # Of a draft that is left out, too: they are those of all drafts in order.
            text_tokens = _text_tokens(vocabulary, draft, probabilities) if self.probabilities else ()
            if draft.start == draft.end or not text.strip():
                continue
            segments.append(
                Segment(
                    start=round(offset + draft.start, 3),
                    end=round(offset + draft.end, 3),
                    text=text,
                    tokens=tuple(draft.tokens),
                    temperature=attempt.temperature,
                    avg_log_probability=attempt.avg_log_probability,
                    compression_ratio=attempt.compression_ratio,
                    no_speech_probability=attempt.no_speech_probability,
                    words=tuple(
                        Word(w.text, round(offset + w.start, 3), round(offset + w.end, 3), w.probability)
                        for w in draft.words
                    ),
                    text_tokens=text_tokens,
                )
            )
        return tuple(segments)


def _text_tokens(vocabulary: Vocabulary, draft: Draft, probabilities: Iterator[float]) -> tuple[Token, ...]:
    return tuple(
        # A probability may be too small for the device's numbers.
        Token(vocabulary.spelling(token), math.log(max(next(probabilities), _LEAST_PROBABILITY)))
        for token in draft.tokens
        if token < vocabulary.end_of_text
    )


class Watch:
    """Where the time of a batch goes, in seconds."""

    def __init__(self) -> None:
        self.encode_s = self.decode_s = self.align_s = 0.0
        self._last = time.perf_counter()

    def lap(self) -> float:
        """Seconds since the last one."""
        before, self._last = self._last, time.perf_counter()
        return self._last - before

    def timing(self, batch_size: int) -> Timing:
        """All of it."""
        return Timing(encode_s=self.encode_s, decode_s=self.decode_s, align_s=self.align_s, batch_size=batch_size)

    def and_then(self, hypothesis: Hypothesis) -> Hypothesis:
        """The result of another run that came after all of it."""
        other = hypothesis.timing
        timing = replace(
            other,
            encode_s=self.encode_s + other.encode_s,
            decode_s=self.decode_s + other.decode_s,
            align_s=self.align_s + other.align_s,
        )
        return replace(hypothesis, timing=timing)
