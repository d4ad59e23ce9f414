"""The spoken clips the tests are fed with (see tests/data/index.json)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from whisperlive_hybrid.audio.samples import Samples

DATA = Path(__file__).parent.parent / "data"


@dataclass(frozen=True)
class Clip:
    """One recording with its reference; `utterances` are (start s, end s, text)."""

    path: Path
    language: str
    text: str
    translation: str | None
    duration_s: float
    utterances: tuple[tuple[float, float, str], ...]

    def samples(self) -> Samples:
        """float32 [n_samples], 16 kHz mono."""
        with av.open(str(self.path)) as container:
            resampler = av.AudioResampler(format="flt", layout="mono", rate=16000)
            blocks = [
                out.to_ndarray().reshape(-1)
                for frame in [*container.decode(audio=0), None]
                for out in resampler.resample(frame)
            ]
        return np.concatenate(blocks).astype(np.float32)


def all_clips() -> list[Clip]:
    """Every clip, in the order of the index."""
    return [
        Clip(
            DATA / item["file"],
            item["language"],
            item["text"],
            item.get("translation"),
            item["duration_s"],
            tuple((u["start"], u["end"], u["text"]) for u in item["utterances"]),
        )
        for item in json.loads((DATA / "index.json").read_text())
    ]


def clips(language: str | None = None, *, conversations: bool = False) -> list[Clip]:
    """Single utterances (or conversations), of one language if named."""
    return [
        c
        for c in all_clips()
        if (len(c.utterances) > 1) == conversations and (language is None or c.language == language)
    ]


def words(text: str) -> list[str]:
    """Lower-case words without punctuation: what two transcripts are compared on."""
    return re.findall(r"\w+", text.lower())
