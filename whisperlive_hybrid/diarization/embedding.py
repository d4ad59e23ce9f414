"""Voices in audio: speech is found, cut into windows, and each window's voice becomes a vector. Loads torch."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples, n_samples
from whisperlive_hybrid.diarization.libraries import Model, torch
from whisperlive_hybrid.diarization.voices import SHORTEST_S, Region, Vectors, unit, windows_of
from whisperlive_hybrid.speech.segmenter import Segmenter
from whisperlive_hybrid.speech.silero import FRAME, START, FramesDue, Silero
from whisperlive_hybrid.speech.speech import SpeechEnded, SpeechOptions, SpeechStarted

BUNDLED: Final = Path(__file__).with_name("bundled") / "campplus"
BATCH: Final = 16
"""Windows embedded together."""
TIGHT: Final = SpeechOptions(min_silence_ms=250, pre_roll_ms=30, overlap_ms=30, max_utterance_s=29.0)
"""Where voices are: shorter pauses end a region than end an utterance, and next to no silence is in it."""


class Voices:
    """The embedding model on `device` ("cpu", "cuda:1"). Blocking; one thread at a time."""

    def __init__(self, device: str = "cpu", folder: Path = BUNDLED) -> None:
        self._device = torch.device(device)
        self._model = Model.from_pretrained(folder)
        self._model.eval().to(self._device)
        self._silero = Silero()

    def regions(self, samples: Samples) -> list[Region]:
        """Regions of speech in float32 [n_samples], their times in seconds from its first sample."""
        spans = self._spans(samples)
        windows = [windows_of(*span) for span in spans]
        vectors = self.vectors([_cut(samples, *window) for of_region in windows for window in of_region])
        out = []
        for span, of_region in zip(spans, windows, strict=True):
            out.append(Region(*span, vectors[: len(of_region)]))
            vectors = vectors[len(of_region) :]
        return out

    def vectors(self, clips: list[Samples]) -> Vectors:
        """The voice in each clip: float32 [n, dimension]."""
        found = np.zeros((len(clips), self._model.dimension), np.float32)
        by_length = sorted(range(len(clips)), key=lambda i: len(clips[i]))
        for _, same in groupby(by_length, key=lambda i: len(clips[i])):
            alike = list(same)
            for begin in range(0, len(alike), BATCH):
                rows = alike[begin : begin + BATCH]
                batch = torch.from_numpy(np.stack([clips[i] for i in rows]))[:, None]
                with torch.inference_mode():
                    found[rows] = self._model(batch.to(self._device)).float().cpu().numpy()
        return unit(found)

    def _spans(self, samples: Samples) -> list[tuple[float, float]]:
        probabilities = self._probabilities(samples)
        segmenter = Segmenter(TIGHT)
        events = [*segmenter.feed(samples, probabilities), *segmenter.flush()]
        spans: list[tuple[float, float]] = []
        start = 0
        for event in events:
            if isinstance(event, SpeechStarted):
                # A forced cut repeats a moment; here nothing is heard twice.
                start = max(event.at, n_samples(spans[-1][1]) if spans else 0)
            elif isinstance(event, SpeechEnded) and event.at > start:
                spans.append((start / SAMPLE_RATE, min(event.at, len(samples)) / SAMPLE_RATE))
        return spans

    def _probabilities(self, samples: Samples) -> NDArray[np.float32]:
        whole = len(samples) // FRAME * FRAME
        scored = self._silero.score([FramesDue(START, np.ascontiguousarray(samples[:whole]))])
        return scored[0].probabilities


def _cut(samples: Samples, start: float, end: float) -> Samples:
    clip = samples[n_samples(start) : n_samples(end)]
    shortest = n_samples(SHORTEST_S)
    return np.resize(clip, shortest) if len(clip) < shortest else clip
