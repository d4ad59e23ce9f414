"""What the engine heard in a window. Times are seconds on the owner's clock (the window's start already added)."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Word:
    """One word as the model wrote it, with its leading space."""

    text: str
    start: float
    end: float
    probability: float
    speaker: str | None = None
    """Who said it, where that was asked for and is known."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a text, as bytes: a character may be spread over several.

    `log_probability`: natural logarithm of what the model gives the token among all text tokens, at temperature 1, when
    it has heard the window and written the window's text before it. It is measured in one more pass over the finished
    text, without prompt and timestamps, so it means the same whatever beam or temperature the text was found with.
    """

    spelling: bytes
    log_probability: float


@dataclass(frozen=True, slots=True)
class Segment:
    """One stretch between two timestamps of the model."""

    start: float
    end: float
    text: str
    """As written, leading space kept."""
    tokens: tuple[int, ...]
    temperature: float
    avg_log_probability: float
    compression_ratio: float
    no_speech_probability: float
    words: tuple[Word, ...] = ()
    """Empty unless word times were asked for."""
    speaker: str | None = None
    """Who said it, where that was asked for and is known."""
    text_tokens: tuple[Token, ...] = ()
    """Those of `tokens` that are text. Empty unless token probabilities were asked for."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time of a window went, in seconds."""

    queued_s: float = 0.0
    encode_s: float = 0.0
    decode_s: float = 0.0
    align_s: float = 0.0
    batch_size: int = 1


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """The result of one window; no segments means no speech."""

    window_id: int
    segments: tuple[Segment, ...]
    language: str
    language_probability: float
    consumed_s: float
    """Seconds of the window this text covers: where the next window of the same audio should begin when the model
    stopped inside a segment (Whisper's seek rule), else the window's whole length."""
    timing: Timing = field(default_factory=Timing)
    verified: bool = False
    """The tokens of `Window.verify` still hold: this is their text, with new times."""
    n_prompt_tokens: int = 0
    """Tokens of hotwords and previous text that the decoder was given."""
    doubt: str | None = None
    """Why the text is not to be believed, though it is the best there is."""

    @property
    def text(self) -> str:
        """All segments' text, stripped."""
        return "".join(s.text for s in self.segments).strip()

    @property
    def words(self) -> tuple[Word, ...]:
        """All words in order."""
        return tuple(w for s in self.segments for w in s.words)
