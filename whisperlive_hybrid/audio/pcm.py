"""Uncompressed live audio: 16-bit integers or 32-bit floats, little-endian, any rate, any number of channels."""

from __future__ import annotations

from typing import Literal

import numpy as np

from whisperlive_hybrid.audio.resampler import Resampler, ResamplerState
from whisperlive_hybrid.audio.samples import EMPTY, Samples, from_s16
from whisperlive_hybrid.audio.snapshot import State, bad_snapshot, seal, unseal
from whisperlive_hybrid.errors import UndecodableAudio


class PcmState(State, tag="pcm"):
    """What a PcmDecoder goes on from."""

    floats: bool
    channels: int
    rest: bytes
    resampler: ResamplerState


class PcmDecoder:
    """Interleaved PCM to samples; bytes of a sample that a message border cuts wait for the rest.

    Channels are averaged. Floats that are not numbers become silence, others are limited to [-1, 1].
    """

    def __init__(self, sample_format: Literal["s16le", "f32le"], *, sample_rate: int, channels: int) -> None:
        self._floats = sample_format == "f32le"
        self._channels = channels
        self._frame_bytes = channels * (4 if self._floats else 2)
        self._rest = b""
        self._resampler = Resampler(sample_rate)

    def feed(self, data: bytes) -> Samples:
        """See StreamDecoder; never raises."""
        if self._rest:
            data = self._rest + data
        whole = len(data) - len(data) % self._frame_bytes
        self._rest = bytes(data[whole:])
        if not whole:
            return EMPTY
        return self._resampler.feed(self._mono(memoryview(data)[:whole]))

    def flush(self) -> Samples:
        """The resampler's tail. Raises UndecodableAudio (odd_pcm_length) when the stream ended within a sample.

        Everything up to the last whole sample has been returned by `feed`, apart from the resampler's last few
        milliseconds.
        """
        if self._rest:
            n_bytes, self._rest = len(self._rest), b""
            raise UndecodableAudio(
                f"the PCM stream ended within a sample: {n_bytes} bytes are left, a sample of {self._channels} "
                f"channel(s) has {self._frame_bytes}",
                param="audio",
                code="odd_pcm_length",
            )
        return self._resampler.flush()

    def snapshot(self) -> bytes:
        """See StreamDecoder; exact."""
        return seal(PcmState(self._floats, self._channels, self._rest, self._resampler.state()))

    def restore(self, snapshot: bytes) -> None:
        """See StreamDecoder."""
        state = unseal(snapshot, PcmState)
        same = state.floats == self._floats and state.channels == self._channels
        if not same or len(state.rest) >= self._frame_bytes:
            raise bad_snapshot()
        self._resampler.restore(state.resampler)
        self._rest = state.rest

    def _mono(self, data: memoryview) -> Samples:
        if self._floats:
            values = np.frombuffer(data, "<f4").astype(np.float32)
            np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
            np.clip(values, -1.0, 1.0, out=values)
        else:
            values = from_s16(data)
        if self._channels == 1:
            return values
        mono: Samples = values.reshape(-1, self._channels).mean(axis=1, dtype=np.float32)
        return mono
