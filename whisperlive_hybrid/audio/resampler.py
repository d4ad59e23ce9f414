"""Any sample rate to 16 kHz, as a stream: however the input is cut, the same samples come out."""

from __future__ import annotations

from math import gcd

import av
import numpy as np

from whisperlive_hybrid.audio.samples import EMPTY, SAMPLE_RATE, Samples
from whisperlive_hybrid.audio.snapshot import State, bad_snapshot, from_bytes, to_bytes

MIN_RATE = 4_000
MAX_RATE = 192_000
_BLOCK_MS = 20


class ResamplerState(State, tag="resampler"):
    """What a Resampler goes on from: samples as bytes of float32."""

    rate: int
    waiting: bytes
    last: bytes
    n_pushed: int


class Resampler:
    """Streaming mono resampler from `rate` Hz to 16 kHz.

    Input is handed to libswresample in blocks of 20 ms, so that its output does not depend on where the caller cuts
    (with ratios that are not exact it otherwise differs in the last bit). At 16 kHz samples pass unchanged.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._block = rate * _BLOCK_MS // 1000
        self._period = rate // gcd(rate, SAMPLE_RATE)
        """Samples after which input and output are in step again."""
        self._waiting: Samples = EMPTY
        self._last: Samples = EMPTY
        """The newest block handed to libswresample; longer than its filter."""
        self._n_pushed = 0
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
        if not self._n_pushed:
            # swresample gives nothing at all for input shorter than its filter, so it gets silence behind it.
            wanted = -(-len(tail) * SAMPLE_RATE // self._rate)
            tail = np.pad(tail, (0, self._block - len(tail)))
        blocks = self._push(tail) if len(tail) else []
        blocks += self._arrays(self._swr.resample(None))
        return np.concatenate(blocks)[:wanted] if blocks else EMPTY

    def state(self) -> ResamplerState:
        """What another Resampler of the same rate goes on from, sample for sample."""
        return ResamplerState(self._rate, to_bytes(self._waiting), to_bytes(self._last), self._n_pushed)

    def restore(self, state: ResamplerState) -> None:
        """Go on from `state`, as the first call. Raises BadInput."""
        waiting, last = from_bytes(state.waiting), from_bytes(state.last)
        passes = self._rate == SAMPLE_RATE
        whole = 0 if passes or not state.n_pushed else self._block
        if state.rate != self._rate or len(last) != whole or len(waiting) >= self._block or state.n_pushed < 0:
            raise bad_snapshot()
        if whole:
            # libswresample cannot be saved. Fed the last block at the same point of the period it is in the same state:
            # its filter is shorter than a block, and its position within the period is a whole number.
            silence = (state.n_pushed - whole) % self._period
            for start in range(0, silence, self._block):
                self._push(np.zeros(min(self._block, silence - start), np.float32))
            self._push(last)
        self._waiting, self._n_pushed = waiting, state.n_pushed

    def _push(self, samples: Samples) -> list[Samples]:
        self._last = samples.copy()
        self._n_pushed += len(samples)
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="flt", layout="mono")
        frame.sample_rate = self._rate
        return self._arrays(self._swr.resample(frame))

    @staticmethod
    def _arrays(frames: list[av.AudioFrame]) -> list[Samples]:
        return [frame.to_ndarray().reshape(-1).astype(np.float32, copy=False) for frame in frames]
