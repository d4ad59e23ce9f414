"""Log-mel features, the encoder's input."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.engine.window import Lane

Features: TypeAlias = NDArray[np.float32]
"""float32 [n_mels, n_frames], 100 frames a second."""

FRAMES_PER_SECOND = 100
SAMPLES_PER_FRAME = 160
FULL_FRAMES = 3000
"""Frames of 30 s, which Whisper was trained on."""

SHORT_PARTIALS = True
"""Partials may use a shorter encoder input than 30 s. Finals and files never do, so their text is that of 30 s.

Some models take short input badly (CTranslate2 issue 2100); those would need a gate here.
"""
_PARTIAL_BUCKETS = (500, 1000, 1500, FULL_FRAMES)
_TAIL_FRAMES = 100
"""Empty frames kept behind the content: without them Whisper drops or repeats the last word."""


def frames_for(lane: Lane, n_samples: int) -> int:
    """Frames to pad a window to. A few sizes only, so that windows of different lengths share a batch."""
    if lane is not Lane.PARTIAL or not SHORT_PARTIALS:
        return FULL_FRAMES
    wanted = content_frames(n_samples) + _TAIL_FRAMES
    return next((size for size in _PARTIAL_BUCKETS if size >= wanted), FULL_FRAMES)


def content_frames(n_samples: int) -> int:
    """Frames that hold audio, at most 30 s."""
    return min(n_samples // SAMPLES_PER_FRAME, FULL_FRAMES)


class LogMel:
    """Computes features as the model was trained on; safe to call from several threads."""

    def __init__(self, n_mels: int) -> None:
        self._extract = FeatureExtractor(feature_size=n_mels)

    def __call__(self, samples: Samples, n_frames: int = FULL_FRAMES) -> Features:
        """[n_mels, n_frames]; what is past the audio is 0.0 (not the value of silence), as faster-whisper pads."""
        content = min(content_frames(len(samples)), n_frames)
        mel = self._extract(samples)[:, :content]
        padded = np.zeros((mel.shape[0], n_frames), np.float32)
        padded[:, :content] = mel
        return padded
