"""Log-mel frames of live audio, computed once.

Windows of one session overlap: a partial hears again all but the newest part of what the one before it heard. A raw
log-mel frame depends on 400 samples around its middle and on nothing else; only the clamp and the scale depend on the
window it stands in. So raw frames are kept by their place on the owner's clock, and each window gets its own clamp and
scale. Frames that reach over the window's edge see what faster-whisper's padding puts there, so they are computed for
each window anew: the result is faster-whisper's, up to rounding, whatever was kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples

SAMPLES_PER_FRAME = 160
_N_FFT = 400
_HALF = _N_FFT // 2
_FIRST_WHOLE = 2
"""The first frame that does not reach over the window's beginning (its middle lies at 160 times its number)."""
_AT_ONCE = 8
"""Frames multiplied with the filters at once. For larger products OpenBLAS takes several threads, which then wait for
more to do by spinning for tens of milliseconds: far more than the product costs."""
_KEPT_FRAMES = 3000
"""Frames of one owner that are kept at most: 30 s, as many as a window has."""

RawMel: TypeAlias = NDArray[np.float32]
"""log10 of the mel bands' power, neither clamped nor scaled: float32 [n_mels, n]."""


class MelFrames:
    """Raw log-mel frames as faster-whisper's `FeatureExtractor` computes them; safe to call from several threads."""

    def __init__(self, n_mels: int) -> None:
        self.n_mels = n_mels
        self._filters = FeatureExtractor.get_mel_filters(SAMPLE_RATE, _N_FFT, n_mels).astype(np.float32)
        self._window = np.hanning(_N_FFT + 1)[:-1].astype(np.float32)

    def between(self, samples: Samples, first: int, after: int) -> RawMel:
        """Frames `first` to `after` (exclusive) of a window: [n_mels, after - first].

        Before the window lies its mirror image, behind it zeros: what faster-whisper pads with.
        """
        if after <= first:
            return np.empty((self.n_mels, 0), np.float32)
        begin, end = first * SAMPLES_PER_FRAME - _HALF, (after - 1) * SAMPLES_PER_FRAME + _HALF
        heard = samples[max(begin, 0) : end]
        if begin < 0 or end > len(samples):
            mirrored = samples[1 : 1 - begin][::-1] if begin < 0 else samples[:0]
            heard = np.concatenate([mirrored, heard, np.zeros(max(0, end - len(samples)), np.float32)])
        framed: Samples = np.lib.stride_tricks.sliding_window_view(heard, _N_FFT)[::SAMPLES_PER_FRAME]
        power = np.abs(np.fft.rfft(framed * self._window, axis=-1).astype(np.complex64).T) ** 2
        mel: RawMel = np.empty((self.n_mels, after - first), np.float32)
        for i in range(0, after - first, _AT_ONCE):
            mel[:, i : i + _AT_ONCE] = self._filters @ power[:, i : i + _AT_ONCE]
        return np.log10(np.maximum(mel, np.float32(1e-10)))


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Kept frames, by number on the owner's clock: the middle of frame i is sample 160 * i + `grid`."""

    grid: int
    begin: int
    mel: RawMel
    middles: Samples
    """The sample in the middle of each frame: audio that differs here is other audio."""

    @property
    def end(self) -> int:
        """Number of the frame after the last."""
        return self.begin + len(self.middles)

    def cut(self, begin: int, end: int) -> _Stretch:
        """Frames `begin` to `end` of it, as far as they are here."""
        begin, end = min(max(begin, self.begin), self.end), max(min(end, self.end), self.begin)
        part = slice(begin - self.begin, max(begin, end) - self.begin)
        return _Stretch(self.grid, begin, self.mel[:, part], self.middles[part])

    def fits(self, other: _Stretch) -> bool:
        """Whether both are of the same audio, on the same grid, without a gap between them."""
        if self.grid != other.grid or self.end < other.begin or self.begin > other.end:
            return False
        return np.array_equal(self.cut(other.begin, other.end).middles, other.cut(self.begin, self.end).middles)


class MelCache:
    """Raw frames of many owners, `max_frames` in all; the owner that asked longest ago goes first. Safe in threads."""

    def __init__(self, max_frames: int = 200_000) -> None:
        self._max_frames = max_frames
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int], _Stretch] = OrderedDict()
        self._n_frames = 0

    @property
    def n_frames(self) -> int:
        """Frames kept just now; 100 are a second."""
        return self._n_frames

    def of(self, owner: str, start: int) -> OwnersMel:
        """Frames of a window of `owner` that begins at sample `start`."""
        return OwnersMel(self, owner, start)

    def drop(self, owner: str) -> None:
        """Forget an owner."""
        with self._lock:
            for key in [key for key in self._kept if key[0] == owner]:
                self._n_frames -= len(self._kept.pop(key).middles)

    def take(self, owner: str, n_mels: int) -> _Stretch | None:
        """What is kept of an owner."""
        with self._lock:
            return self._kept.get((owner, n_mels))

    def put(self, owner: str, n_mels: int, stretch: _Stretch) -> None:
        """Keep this of an owner, instead of what was, unless that is newer."""
        key = (owner, n_mels)
        with self._lock:
            before = self._kept.pop(key, None)
            if before is not None:
                self._n_frames -= len(before.middles)
                if before.end > stretch.end:
                    stretch = before
            self._kept[key] = stretch
            self._n_frames += len(stretch.middles)
            while self._n_frames > self._max_frames:
                self._n_frames -= len(self._kept.popitem(last=False)[1].middles)


@dataclass(frozen=True, slots=True)
class OwnersMel:
    """Frames of one window, kept for the windows that come after it."""

    cache: MelCache
    owner: str
    start: int

    def frames(self, mel: MelFrames, samples: Samples, n: int) -> RawMel:
        """Frames 0 to `n` of the window: [n_mels, n]."""
        first = self.start // SAMPLES_PER_FRAME
        after = max(_FIRST_WHOLE, min(n, (len(samples) - _HALF) // SAMPLES_PER_FRAME + 1))
        middles = samples[_FIRST_WHOLE * SAMPLES_PER_FRAME : after * SAMPLES_PER_FRAME : SAMPLES_PER_FRAME]
        nothing = np.empty((mel.n_mels, 0), np.float32)
        wanted = _Stretch(self.start % SAMPLES_PER_FRAME, first + _FIRST_WHOLE, nothing, middles)
        kept = self.cache.take(self.owner, mel.n_mels)
        if kept is None or not kept.fits(wanted):
            kept = _Stretch(wanted.grid, wanted.begin, nothing, middles[:0])
        shared = kept.cut(wanted.begin, wanted.end)
        before = mel.between(samples, _FIRST_WHOLE, shared.begin - first)
        behind = mel.between(samples, shared.end - first, after)
        whole = np.concatenate([before, shared.mel, behind], axis=1)
        if before.size or behind.size:
            self._keep(kept, _Stretch(wanted.grid, wanted.begin, whole, middles))
        edge = mel.between(samples, 0, min(_FIRST_WHOLE, n))
        return np.concatenate([edge, whole, mel.between(samples, after, n)], axis=1)

    def _keep(self, kept: _Stretch, new: _Stretch) -> None:
        """Keep the window's frames with those kept before and behind it, the last 30 s of all."""
        parts = (kept.cut(kept.begin, new.begin), new, kept.cut(new.end, kept.end))
        mel = np.concatenate([part.mel for part in parts], axis=1)
        middles = np.concatenate([part.middles for part in parts])
        surplus = max(0, len(middles) - _KEPT_FRAMES)
        if surplus:  # copied, since a view would keep all of it
            mel, middles = mel[:, surplus:].copy(), middles[surplus:].copy()
        begin = min(kept.begin, new.begin) + surplus
        self.cache.put(self.owner, mel.shape[0], _Stretch(new.grid, begin, mel, middles))
