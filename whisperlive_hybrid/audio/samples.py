"""The one form audio has inside the server: 16 kHz mono float32 in [-1, 1]."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Samples per second of every `Samples` array in the server."""

Samples: TypeAlias = NDArray[np.float32]
"""float32 [n_samples], 16 kHz mono, treated as read-only and passed on without copying."""

EMPTY: Samples = np.zeros(0, np.float32)
EMPTY.setflags(write=False)


def seconds(n_samples: int) -> float:
    """Length of `n_samples` in seconds."""
    return n_samples / SAMPLE_RATE


def n_samples(seconds_: float) -> int:
    """Samples in so many seconds, rounded to the nearest."""
    return round(seconds_ * SAMPLE_RATE)


def from_s16(data: bytes | memoryview | NDArray[np.int16]) -> Samples:
    """Little-endian 16-bit PCM as float32 [n_samples] in [-1, 1)."""
    pcm = data if isinstance(data, np.ndarray) else np.frombuffer(data, "<i2")
    return pcm.astype(np.float32) / np.float32(32768.0)
