"""pyannote.audio's own diarization pipeline, from the hub or a local folder, over samples in memory. Loads torch."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from whisperlive_hybrid.audio.samples import SAMPLE_RATE
from whisperlive_hybrid.diarization.hub_errors import WITHOUT_HUB, unavailable
from whisperlive_hybrid.diarization.libraries import Annotation, Pipeline, torch
from whisperlive_hybrid.diarization.turns import SpeakerOptions, Turn, label
from whisperlive_hybrid.errors import ModelUnavailable

LEAST_S: Final = 0.5
"""Nobody is told apart in less audio."""
_STEPS: Final = {"segmentation": (0.0, 0.35), "embeddings": (0.35, 1.0)}
"""Of the pipeline's steps those that take time: where each begins and ends, as shares of the whole."""


class PyannotePipeline:
    """The pipeline called `model`: a hub id, or a local folder with its config.yaml. Blocking.

    Raises ModelUnavailable with what can be done about it.
    """

    def __init__(self, model: str, *, token: str | None = None, cache: str | None = None, device: str = "cpu") -> None:
        self._pipeline = _load(model, token, cache)
        self._pipeline.to(torch.device(device))

    def turns(self, path: str | Path, options: SpeakerOptions, on_progress: Callable[[float], None]) -> list[Turn]:
        """Who speaks when in the float32 samples in the file at `path`. `on_progress` is told the share done."""
        if os.path.getsize(path) < LEAST_S * SAMPLE_RATE * 4:
            return []
        # Copied where it is written to, which nobody does: a long file is not in memory twice.
        samples = np.memmap(path, np.float32, mode="c")
        audio = {"waveform": torch.from_numpy(samples)[None], "sample_rate": SAMPLE_RATE, "uri": "audio"}

        done = 0.0

        def hook(step: str, _: Any, total: int | None = None, completed: int | None = None, **__: Any) -> None:
            nonlocal done
            if step in _STEPS and total and completed is not None:
                begin, end = _STEPS[step]
                # The segmentation may count more than its total.
                done = max(done, float(begin + (end - begin) * min(completed / total, 1.0)))
                on_progress(done)

        with torch.inference_mode():
            output = self._pipeline(
                audio,
                hook=hook,
                num_speakers=options.num_speakers,
                min_speakers=options.min_speakers,
                max_speakers=options.max_speakers,
            )
        return _turns(getattr(output, "exclusive_speaker_diarization", output))


def _turns(annotation: Annotation) -> list[Turn]:
    names: dict[Any, str] = {}
    turns = []
    for segment, _, speaker in annotation.itertracks(yield_label=True):
        name = names.setdefault(speaker, label(len(names)))
        turns.append(Turn(round(float(segment.start), 3), round(float(segment.end), 3), name))
    return turns


def _load(model: str, token: str | None, cache: str | None) -> Any:
    folder = Path(model).expanduser()
    local = folder.exists()
    try:
        pipeline = Pipeline.from_pretrained(folder if local else model, token=token, cache_dir=cache)
    except Exception as error:
        raise unavailable(model, token, error, local=local) from error
    if pipeline is None:
        raise ModelUnavailable(f"{model} is no pipeline of pyannote.audio.", model=model, ways_out=WITHOUT_HUB)
    return pipeline
