"""ITU-T G.711, the telephone's eight bits a sample: tables from byte to sample. The usual rate is 8000 Hz."""

from __future__ import annotations

from typing import Final

import numpy as np

from whisperlive_hybrid.audio.samples import Samples


def _mulaw_table() -> Samples:
    """Table 2a/G.711, inverted on the wire: sign, three bits of exponent, four of mantissa; biased by 33 of 8192."""
    code = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (code >> 4) & 7, code & 15
    magnitude = ((2 * mantissa.astype(np.int32) + 33) << exponent) - 33
    return _signed(magnitude, negative=code >= 128, full_scale=8192)


def _alaw_table() -> Samples:
    """Table 1a/G.711, even bits inverted on the wire: the smallest exponent is linear with the one above it."""
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent, mantissa = ((code >> 4) & 7).astype(np.int32), (code & 15).astype(np.int32)
    step = 2 * mantissa + 1 + np.where(exponent > 0, 32, 0)
    magnitude = step << np.maximum(exponent - 1, 0)
    return _signed(magnitude, negative=code < 128, full_scale=4096)


def _signed(magnitude: np.ndarray, *, negative: np.ndarray, full_scale: int) -> Samples:
    return (np.where(negative, -magnitude, magnitude) / full_scale).astype(np.float32)


MULAW: Final = _mulaw_table()
"""float32 [256], sample of each µ-law byte."""
ALAW: Final = _alaw_table()
"""float32 [256], sample of each A-law byte."""
