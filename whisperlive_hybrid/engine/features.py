"""Log-mel features, the encoder's input."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.engine.gate import FULL_FRAMES, UNMEASURED, Gate, Padding, size_for
from whisperlive_hybrid.engine.mel import SAMPLES_PER_FRAME, MelFrames, OwnersMel
from whisperlive_hybrid.engine.window import Lane

Features: TypeAlias = NDArray[np.float32]
"""float32 [n_mels, n_frames], 100 frames a second."""

FRAMES_PER_SECOND = 100


def frames_for(lane: Lane, n_samples: int, gate: Gate = UNMEASURED) -> int:
    """Frames to pad a window to, as the model's gate has it."""
    steps = gate.partials if lane is Lane.PARTIAL else gate.finals
    return size_for(steps, content_frames(n_samples) + gate.tail_frames)


def content_frames(n_samples: int) -> int:
    """Frames that hold audio, at most 30 s."""
    return min(n_samples // SAMPLES_PER_FRAME, FULL_FRAMES)


class LogMel:
    """Computes features as the model was trained on; safe to call from several threads."""

    def __init__(self, n_mels: int) -> None:
        self._frames = MelFrames(n_mels)

    def __call__(
        self,
        samples: Samples,
        n_frames: int = FULL_FRAMES,
        padding: Padding = "zero",
        owners: OwnersMel | None = None,
    ) -> Features:
        """[n_mels, n_frames], of samples of which at least 41 are needed.

        30 s are always padded with 0.0 (not the value of silence), as faster-whisper pads. `owners`: where frames that
        other windows of the owner have in common with this one are kept.
        """
        # One frame more than there is content: it counts for the loudest value, as in faster-whisper.
        n = len(samples) // SAMPLES_PER_FRAME + 1
        raw = self._frames.between(samples, 0, n) if owners is None else owners.frames(self._frames, samples, n)
        scaled = (np.maximum(raw, raw.max() - 8.0) + 4.0) / 4.0
        return padded(scaled[:, : min(content_frames(len(samples)), n_frames)], n_frames, padding)


def padded(content: Features, n_frames: int, padding: Padding = "zero") -> Features:
    """`content` [n_mels, n] with what goes behind it: [n_mels, n_frames]. In 30 s that is always 0.0."""
    n_mels, n = content.shape
    silence = 0.0
    if padding == "silence" and n_frames < FULL_FRAMES and n:
        # Log-mel is clamped 8 below its maximum, then divided by 4: complete silence is 2 below the loudest.
        silence = float(content.max()) - 2.0
    whole = np.full((n_mels, n_frames), silence, np.float32)
    whole[:, :n] = content
    return whole


def to_full(features: Features, n_content: int) -> Features:
    """Short features padded to 30 s instead, as if they had been so from the start: [n_mels, 3000]."""
    return padded(features[:, :n_content], FULL_FRAMES)
