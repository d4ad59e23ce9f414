"""What became of a file."""

from __future__ import annotations

from dataclasses import dataclass, field

from whisperlive_hybrid.diarization.turns import SpeakerOptions, Turn
from whisperlive_hybrid.engine.hypothesis import Segment
from whisperlive_hybrid.engine.window import DecodeOptions
from whisperlive_hybrid.speech.speech import FILE_SPEECH, SpeechOptions


@dataclass(frozen=True, slots=True)
class FileOptions:
    """What a caller asks of one file."""

    model: str | None = None
    """A name the engine can resolve; None is the default model."""
    decode: DecodeOptions = field(default_factory=DecodeOptions)
    speech: SpeechOptions = FILE_SPEECH
    condition_on_previous_text: bool = False
    """Decode windows one after another, each prompted with the text before it. Slower: windows cannot be batched."""
    diarization: SpeakerOptions | None = None
    """Tell speakers apart; None does not."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a file is. `done_s` of `total_s` seconds of audio; the total is None while it is unknown."""

    stage: str
    """decoding, transcribing, diarizing or done."""
    done_s: float
    total_s: float | None


@dataclass(frozen=True, slots=True)
class Transcript:
    """A finished file. Segment times are seconds on the file's clock."""

    segments: tuple[Segment, ...]
    language: str
    language_probability: float
    duration_s: float
    speech_s: float
    """Seconds left after voice activity detection."""
    model: str
    options: FileOptions
    elapsed_s: float = 0.0
    n_prompt_tokens: int = 0
    """Tokens of hotwords and prompt before the first window."""
    n_tokens: int = 0
    """Tokens that the model wrote, timestamps included."""
    turns: tuple[Turn, ...] = ()
    """Who speaks when, where that was asked for: in order, without overlap."""
    warning: str | None = None
    """What could not be done though the text is complete: speakers that could not be told apart."""

    @property
    def speakers(self) -> tuple[str, ...]:
        """Labels or names, in the order in which they first speak."""
        return tuple(dict.fromkeys(turn.speaker for turn in self.turns))

    @property
    def text(self) -> str:
        """All text, stripped."""
        return "".join(s.text for s in self.segments).strip()
