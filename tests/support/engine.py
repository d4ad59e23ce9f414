"""Building blocks for tests of the engine and of the rooms above it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.engine.backend import LanguageProbabilities, Request
from whisperlive_hybrid.engine.features import Features
from whisperlive_hybrid.engine.gate import Padding
from whisperlive_hybrid.engine.hypothesis import Hypothesis, Segment
from whisperlive_hybrid.engine.mel import OwnersMel
from whisperlive_hybrid.engine.scheduler import BatchKey
from whisperlive_hybrid.engine.window import DecodeOptions, Lane, Window


def make_window(
    owner: str = "someone",
    lane: Lane = Lane.FINAL,
    deadline: float = 1.0,
    *,
    seconds: float = 1.0,
    start: int = 0,
    model: str = "m",
    **options: Any,
) -> Window:
    """A window of faint noise."""
    samples = np.random.default_rng(0).normal(0, 1e-3, round(seconds * 16000)).astype(np.float32)
    return Window(owner, lane, deadline, start, samples, model, DecodeOptions(**options))


def make_key(window: Window, *, prompt: int = 0, frames: int = 3000, fits: int = 100) -> BatchKey:
    """The batch key of a window whose options are the defaults."""
    return BatchKey(window.model, "transcribe", window.lane, frames, prompt, DecodeOptions(), fits)


def make_hypothesis(window: Window, text: str) -> Hypothesis:
    """What a model that heard `text` would answer."""
    segment = Segment(0.0, 1.0, " " + text, (1, 2), 0.0, -0.1, 1.0, 0.01)
    return Hypothesis(window.id, (segment,), "en", 1.0, len(window.samples) / 16000)


class ScriptedBackend:
    """Answers each window with its owner's name; can be told to fail, and to wait for `go`."""

    multilingual = True

    def __init__(self, *, hold: bool = False) -> None:
        self.batches: list[list[str]] = []
        self.reloads = 0
        self.closed = 0
        self.failure: Callable[[Sequence[Request]], Exception | None] = lambda _: None
        self.go = threading.Event()
        self.busy = threading.Event()
        if not hold:
            self.go.set()

    def features(
        self, samples: Samples, n_frames: int, padding: Padding = "zero", owners: OwnersMel | None = None
    ) -> Features:
        return np.zeros((1, n_frames), np.float32)

    def previous_tokens(self, options: DecodeOptions, lane: Lane) -> tuple[int, ...]:
        return ()

    def has_language(self, language: str) -> bool:
        return True

    def windows_that_fit(self, options: DecodeOptions, lane: Lane, n_frames: int, n_previous: int) -> int:
        return 100

    def run(self, requests: Sequence[Request]) -> list[Hypothesis]:
        self.batches.append([r.window.owner for r in requests])
        self.busy.set()
        assert self.go.wait(30), "the test never let the backend go"
        error = self.failure(requests)
        if error is not None:
            raise error
        return [make_hypothesis(r.window, r.window.owner) for r in requests]

    def detect_languages(self, requests: Sequence[Request]) -> list[LanguageProbabilities]:
        return [[("en", 1.0)] for _ in requests]

    def reload(self) -> None:
        self.reloads += 1

    def close(self) -> None:
        self.closed += 1
