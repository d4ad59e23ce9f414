"""What the worker asks of a model. One implementation runs CTranslate2; tests have scripted ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.engine.features import Features
from whisperlive_hybrid.engine.gate import Padding
from whisperlive_hybrid.engine.hypothesis import Hypothesis
from whisperlive_hybrid.engine.mel import OwnersMel
from whisperlive_hybrid.engine.window import DecodeOptions, Lane, Window

LanguageProbabilities: TypeAlias = list[tuple[str, float]]
"""(code, probability), likeliest first."""


def _never() -> bool:
    return False


def _ignore(_: Hypothesis) -> None:
    """Wait for the whole batch."""


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A window made ready for the device."""

    window: Window
    features: Features
    """float32 [n_mels, n_frames]."""
    content_frames: int
    """Frames of `features` that hold audio."""
    previous: tuple[int, ...]
    """Prompt tokens before `<|startoftranscript|>`."""
    dropped: Callable[[], bool] = _never
    """Whether nobody wants the result any more: then any hypothesis will do."""
    early: Callable[[Hypothesis], None] = _ignore
    """May be given the result before the rest of the batch is done."""


class Backend(Protocol):
    """One model on one device. Only the worker's thread calls `run`, `detect_languages`, `reload` and `close`."""

    multilingual: bool

    def features(
        self, samples: Samples, n_frames: int, padding: Padding = "zero", owners: OwnersMel | None = None
    ) -> Features:
        """The encoder's input; called from other threads. `owners`: frames that other windows of its owner share."""
        ...

    def previous_tokens(self, options: DecodeOptions, lane: Lane) -> tuple[int, ...]:
        """The prompt before `<|startoftranscript|>`; called from the event loop, so it must be quick."""
        ...

    def has_language(self, language: str) -> bool:
        """Whether the model knows a language code."""
        ...

    def windows_that_fit(self, options: DecodeOptions, lane: Lane, n_frames: int, n_previous: int) -> int:
        """Windows with so many frames and previous tokens that a batch has memory for; called as `previous_tokens`."""
        ...

    def run(self, requests: Sequence[Request]) -> list[Hypothesis]:
        """Transcribe windows that share a batch key, one hypothesis each, in order."""
        ...

    def detect_languages(self, requests: Sequence[Request]) -> list[LanguageProbabilities]:
        """Probabilities of all languages for each window."""
        ...

    def reload(self) -> None:
        """Drop the loaded weights and read them again: after a failure nothing of the old state is trusted."""
        ...

    def close(self) -> None:
        """Free the memory."""
        ...
