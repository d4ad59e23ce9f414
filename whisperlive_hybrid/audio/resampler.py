"""Any sample rate to 16 kHz, as a stream: however the input is cut, the same samples come out."""

from __future__ import annotations

import av
import numpy as np

from whisperlive_hybrid.audio.samples import EMPTY, SAMPLE_RATE, Samples

MIN_RATE = 4_000
MAX_RATE = 192_000
_BLOCK_MS = 20


class Resampler:
    """Streaming mono resampler from `rate` Hz to 16 kHz.

    Input is handed to libswresample in blocks of 20 ms, so that its output does not depend on where the caller cuts
    (with ratios that are not exact it otherwise differs in the last bit). At 16 kHz samples pass unchanged.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._block = rate * _BLOCK_MS // 1000
        self._waiting: Samples = EMPTY
        self._started = False
        self._swr = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)

    def feed(self, samples: Samples) -> Samples:
        """float32 [n] at `rate` to float32 [m] at 16 kHz, m about n * 16000 / rate, some held back."""
        if self._rate == SAMPLE_RATE:
            return samples
        samples = np.concatenate((self._waiting, samples)) if len(self._waiting) else samples
        whole = len(samples) - len(samples) % self._block
        blocks = [
            out for start in range(0, whole, self._block) for out in self._push(samples[start : start + self._block])
        ]
        self._waiting = samples[whole:].copy()
        return np.concatenate(blocks) if blocks else EMPTY

    def flush(self) -> Samples:
        """What is held back: float32 [m]. The resampler is used up."""
        if self._rate == SAMPLE_RATE:
            return EMPTY
        tail = self._waiting
        wanted: int | None = None
        if not self._started:
            # swresample gives nothing at all for input shorter than its filter, so it gets silence behind it.
            wanted = -(-len(tail) * SAMPLE_RATE // self._rate)
            tail = np.pad(tail, (0, self._block - len(tail)))
        blocks = self._push(tail) if len(tail) else []
        blocks += self._arrays(self._swr.resample(None))
        return np.concatenate(blocks)[:wanted] if blocks else EMPTY

    def _push(self, samples: Samples) -> list[Samples]:
        self._started = True
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="flt", layout="mono")
        frame.sample_rate = self._rate
        return self._arrays(self._swr.resample(frame))

    @staticmethod
    def _arrays(frames: list[av.AudioFrame]) -> list[Samples]:
        return [frame.to_ndarray().reshape(-1).astype(np.float32, copy=False) for frame in frames]
