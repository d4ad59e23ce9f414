"""Values of the speech room. Positions are samples at 16 kHz on the session's (or file's) clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from whisperlive_hybrid.audio.samples import Samples

EndReason: TypeAlias = Literal["silence", "max_length", "flush"]


@dataclass(frozen=True, slots=True)
class SpeechOptions:
    """When speech begins, ends and is cut. Defaults live here and nowhere else."""

    threshold: float = 0.5
    """Speech starts at this Silero probability."""
    negative_threshold: float | None = None
    """Speech ends below this one (hysteresis); None is `threshold` - 0.15."""
    min_speech_ms: int = 200
    """Shorter bursts are not speech. Of 300 digits spoken alone 4 are lost at 100 ms, 7 at 200, 12 at 250; half an hour
    of knocks gives 34 texts at 100 ms, 4 at 200, 3 at 250."""
    min_silence_ms: int = 600
    """Silence that ends an utterance."""
    pre_roll_ms: int = 200
    """Audio kept from before the first speech frame."""
    overlap_ms: int = 200
    """Audio kept after the last speech frame, and repeated from before a forced cut."""
    max_utterance_s: float = 28.0
    """Longer utterances are cut at their quietest point."""


FILE_SPEECH = SpeechOptions(min_silence_ms=400, pre_roll_ms=400, overlap_ms=800, max_utterance_s=30.0)
"""What files start from: nobody waits for an utterance's end, and windows are packed from many of them.

What is kept around speech leaves pauses up to 1.2 s as they are, since Whisper reads natural pauses better than cut
ones; each second kept fills windows. `python -m benchmarks.packing` weighs the two, docs/performance.md has its table.
More is kept after than before speech, since models like to put the first timestamp at the window's beginning.
"""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Speech begins at sample `at` (pre-roll included)."""

    at: int


@dataclass(frozen=True, slots=True, eq=False)
class SpeechAudio:
    """Audio of the running utterance: `samples` float32 [n] whose first sample is number `start`."""

    start: int
    samples: Samples


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """The speaker has been silent since sample `at`, but not yet long enough to end the utterance (an early hint)."""

    at: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The utterance ends before sample `at`.

    After `max_length` the cut lies at the quietest point of the last seconds: audio already handed out from `at` on
    belongs to the next utterance, which starts at once, `overlap_ms` earlier, and is handed out again from there.
    """

    at: int
    reason: EndReason


SpeechEvent: TypeAlias = SpeechStarted | SpeechAudio | SpeechPaused | SpeechEnded


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Where a file's utterances go on, behind one of them, as if nothing had come between."""

    hear_from: int
    """First sample that is heard again: voice activity is known there."""
    vad: bytes
    """Voice activity's state before that sample (`VadStream.snapshot`); empty at the beginning of a file."""
    deaf_until: int
    """Where the segmenter ended the utterance: none begins before."""
    speaking_from: int | None
    """Where the next one begins, if the utterance was cut at its maximum length."""
    heard: int
    """End of the utterance, with what is kept after it."""


BEGINNING = Bookmark(0, b"", 0, None, 0)


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """One stretch of speech: `samples` float32 [n], the first of which is number `start`."""

    start: int
    samples: Samples
    behind: Bookmark | None = None
    """How a file goes on after it, where that is known."""

    @property
    def end(self) -> int:
        """Number of the sample after the last."""
        return self.start + len(self.samples)
