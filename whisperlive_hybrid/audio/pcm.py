"""Live audio sample by sample: 8- or 16-bit integers, 32-bit floats (little-endian), G.711; any rate, any channels."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import numpy as np

from whisperlive_hybrid.audio.g711 import ALAW, MULAW
from whisperlive_hybrid.audio.resampler import Resampler, ResamplerState
from whisperlive_hybrid.audio.samples import EMPTY, Samples, from_s16
from whisperlive_hybrid.audio.snapshot import State, bad_snapshot, seal, unseal
from whisperlive_hybrid.errors import UndecodableAudio

MAX_CHANNELS: Final = 8
SampleFormat: TypeAlias = Literal["s16le", "f32le", "u8", "mulaw", "alaw"]
SAMPLE_BYTES: Final[dict[SampleFormat, int]] = {"s16le": 2, "f32le": 4, "u8": 1, "mulaw": 1, "alaw": 1}


class PcmState(State, tag="pcm"):
    """What a PcmDecoder goes on from."""

    sample_format: SampleFormat
    channels: int
    rest: bytes
    resampler: ResamplerState


class PcmDecoder:
    """Interleaved PCM to samples; bytes of a sample that a message border cuts wait for the rest.

    Channels are averaged. Floats that are not numbers become silence, others are limited to [-1, 1].
    """

    def __init__(self, sample_format: SampleFormat, *, sample_rate: int, channels: int) -> None:
        self._format: SampleFormat = sample_format
        self._channels = channels
        self._frame_bytes = channels * SAMPLE_BYTES[sample_format]
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
        return seal(PcmState(self._format, self._channels, self._rest, self._resampler.state()))

    def restore(self, snapshot: bytes) -> None:
        """See StreamDecoder."""
        state = unseal(snapshot, PcmState)
        same = state.sample_format == self._format and state.channels == self._channels
        if not same or len(state.rest) >= self._frame_bytes:
            raise bad_snapshot()
        self._resampler.restore(state.resampler)
        self._rest = state.rest

    def _mono(self, data: memoryview) -> Samples:
        match self._format:
            case "f32le":
                values = np.frombuffer(data, "<f4").astype(np.float32)
                np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
                np.clip(values, -1.0, 1.0, out=values)
            case "s16le":
                values = from_s16(data)
            case "u8":
                values = (np.frombuffer(data, np.uint8).astype(np.float32) - np.float32(128)) / np.float32(128)
            case "mulaw" | "alaw":
                table = MULAW if self._format == "mulaw" else ALAW
                values = table[np.frombuffer(data, np.uint8)]
        if self._channels == 1:
            return values
        mono: Samples = values.reshape(-1, self._channels).mean(axis=1, dtype=np.float32)
        return mono
