"""A WAV for the browser's fake microphone, put together from the test clips."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.support.clips import Clip

RATE = 16_000


def write_spoken_wav(path: Path, clips: Sequence[Clip], *, pause_s: float = 1.0, lead_s: float = 0.5) -> str:
    """Write the clips with silence before, between and (two seconds) behind them; returns what is said."""
    pause = np.zeros(int(pause_s * RATE), np.float32)
    parts = [np.zeros(int(lead_s * RATE), np.float32)]
    for clip in clips:
        parts += [clip.samples(), pause]
    parts.append(np.zeros(2 * RATE, np.float32))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.concatenate(parts).clip(-1, 1) * 32767).astype("<i2").tobytes())
    return " ".join(clip.text for clip in clips)
