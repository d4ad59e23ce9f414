"""What one inference needs. A window is stateless: nothing of a session or file has to be looked up to run it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, Literal, TypeAlias

from whisperlive_hybrid.audio.samples import Samples

Task: TypeAlias = Literal["transcribe", "translate"]

MAX_WINDOW_S = 30.0
"""Whisper's encoder sees at most 30 s (Radford et al. 2022, §2.2)."""

_ids = itertools.count(1)


class Lane(IntEnum):
    """Who waits for the result. Lower goes first."""

    FINAL = 0
    PARTIAL = 1
    FILE = 2


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """How a window is decoded. The defaults are those of faster-whisper's `transcribe`."""

    language: str | None = None
    """ISO 639-1 code; None detects."""
    task: Task = "transcribe"
    beam_size: int = 5
    best_of: int = 5
    """Samples drawn at a temperature above zero."""
    patience: float = 1.0
    length_penalty: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    temperatures: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    """Tried in turn while a threshold below is broken (Radford et al. 2022, §4.5)."""
    compression_ratio_threshold: float | None = 2.4
    log_prob_threshold: float | None = -1.0
    no_speech_threshold: float | None = 0.6
    prompt: str | None = None
    """Text before this window: an initial prompt, or what was said before."""
    prompt_tokens: tuple[int, ...] | None = None
    """The same as token ids of the model; wins over `prompt`."""
    hotwords: str | None = None
    suppress_blank: bool = True
    suppress_tokens: tuple[int, ...] = (-1,)
    """-1 stands for the model's list of non-speech symbols."""
    timestamps: bool = True
    """Let the model write segment timestamps."""
    word_times: bool = False
    """Align words; sets `Segment.words`, and lets them decide where the rest of a window begins, as Whisper does."""
    words_aside: bool = False
    """Set `Segment.words`, and leave everything else as it is without."""
    token_probabilities: bool = False
    """Score the text's tokens; sets `Segment.text_tokens`."""
    max_new_tokens: int | None = None
    languages: tuple[str, ...] = ()
    """When detecting, choose among these only; empty is all."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One inference.

    `samples`: float32 [n], 16 kHz mono, n at most 30 s; the first is number `start` on the owner's clock.
    `deadline`: seconds on the event loop's (monotonic) clock by which the result is wanted; the earliest goes first.
    A newer PARTIAL window of the same owner replaces an older one that has not started.
    `verify`: tokens that an earlier window from the same `start` gave; where they still hold nothing is generated.
    `speculative`: a FINAL that is only wanted should its owner's speech have ended there; the first to be refused.
    `background`: a FILE that nobody waits for; those that somebody does go first.
    """

    owner: str
    lane: Lane
    deadline: float
    start: int
    samples: Samples
    model: str
    options: DecodeOptions = field(default_factory=DecodeOptions)
    verify: tuple[int, ...] = ()
    speculative: bool = False
    background: bool = False
    id: int = field(default_factory=lambda: next(_ids))

    @property
    def end(self) -> int:
        """Number of the sample after the last."""
        return self.start + len(self.samples)


_EACH_ROW: dict[str, Any] = {
    "language": None,
    "task": "transcribe",
    "compression_ratio_threshold": None,
    "log_prob_threshold": None,
    "no_speech_threshold": None,
    "prompt": None,
    "prompt_tokens": None,
    "hotwords": None,
    "word_times": False,
    "words_aside": False,
    "token_probabilities": False,
    "languages": (),
}
"""Options that windows of one batch need not share."""


def search_options(options: DecodeOptions) -> DecodeOptions:
    """What all windows of one batch must agree on: `options` without those that each row has for itself."""
    return replace(options, **_EACH_ROW)
