"""Opus packets to samples: what the three live Opus wires (raw packets, Ogg, WebM) share.

Opus decodes at 16 kHz mono by itself, so nothing is resampled. Positions and durations inside Opus are counted at
48 kHz (RFC 6716, RFC 7845); names ending in `48` are such counts.
"""

from __future__ import annotations

import ctypes
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from whisperlive_hybrid.audio.libopus import decoder_api
from whisperlive_hybrid.audio.samples import EMPTY, SAMPLE_RATE, Samples
from whisperlive_hybrid.audio.snapshot import State, bad_snapshot
from whisperlive_hybrid.errors import HybridError, TooLarge, UndecodableAudio

MAX_PACKET_BYTES = 1275 * 6
"""Six 20 ms frames of the largest size: no encoder writes more (RFC 6716 §3.4)."""
MAX_FEED_S = 300
"""Audio one message may decode to. A packet of two bytes can stand for 120 ms, so bytes alone bound nothing."""

CONVERGENCE48 = 14_400
"""Audio after which a new libopus decoder gives what one that heard everything does, to a thousandth of full scale on
speech; after the 80 ms that RFC 7845 §4.6 asks for it is still off by one in twenty."""

_STEP48 = 48_000 // SAMPLE_RATE
_MAX_DURATION48 = 5760
_FRAME48 = (
    *(480, 960, 1920, 2880) * 3,  # SILK: 10, 20, 40, 60 ms in three bandwidths
    *(480, 960) * 2,  # hybrid: 10, 20 ms in two
    *(120, 240, 480, 960) * 4,  # CELT: 2.5, 5, 10, 20 ms in four
)
_BAD_LIMIT = 5.0
_GOOD_CREDIT = 0.1


@dataclass(frozen=True, slots=True)
class OpusHead:
    """The identification header (RFC 7845 §5.1); WebM's CodecPrivate and WebCodecs' description hold the same."""

    channels: int = 1
    pre_skip48: int = 0
    gain: float = 1.0
    """Factor applied to the output."""

    @classmethod
    def parse(cls, data: bytes) -> OpusHead:
        """Raises UndecodableAudio when it is cut short, of an unknown version, or more than stereo."""
        if len(data) < 19 or not data.startswith(b"OpusHead"):
            raise UndecodableAudio("the Opus header is damaged", param="audio", code="bad_opus_header")
        if data[8] >> 4:
            raise UndecodableAudio(f"Opus header version {data[8]} is not known", code="bad_opus_header")
        channels = data[9]
        if channels not in (1, 2):
            raise UndecodableAudio(
                f"Opus with {channels} channels is not decoded live",
                param="channels",
                accepted=("1", "2"),
                code="unsupported_channels",
            )
        gain_q8 = int.from_bytes(data[16:18], "little", signed=True)
        return cls(channels, int.from_bytes(data[10:12], "little"), 10.0 ** (gain_q8 / (20 * 256)))


def _plausible(packet: bytes) -> bool:
    return not packet or packet_duration48(packet) is not None


def packet_duration48(packet: bytes) -> int | None:
    """Samples at 48 kHz the packet stands for (RFC 6716 §3.1), or None when its first bytes cannot be Opus."""
    if not packet or len(packet) > MAX_PACKET_BYTES:
        return None
    frames = (1, 2, 2, 0)[packet[0] & 3]
    if frames == 0:
        if len(packet) < 2:
            return None
        frames = packet[1] & 0x3F
    duration48 = _FRAME48[packet[0] >> 3] * frames
    return duration48 if 0 < duration48 <= _MAX_DURATION48 else None


class TrackState(State, tag="opus track"):
    """What an OpusTrack goes on from. `recent`: the last packets, b"" for one that was concealed."""

    head: OpusHead
    concealed: int
    position48: int
    trimmed48: int
    skip: int
    emitted: int
    last48: int
    bad: float
    recent: tuple[bytes, ...]


class OpusTrack:
    """One logical Opus stream: decodes packets in order, removes the pre-skip, conceals single bad packets.

    A packet that is not Opus is replaced by libopus' own loss concealment and counted in `concealed`. It is an error
    when it is the first one, or when bad packets are more than a few in a hundred: then the stream is not Opus.
    """

    def __init__(self, head: OpusHead | None = None) -> None:
        self.head = head or OpusHead()
        self.concealed = 0
        self.position48 = 0
        """Samples decoded so far, pre-skip included."""
        self._trimmed48 = 0
        self._skip = self.head.pre_skip48 // _STEP48
        self._emitted = 0
        self._last48 = 0
        self._bad = 0.0
        self._recent: deque[tuple[bytes, int]] = deque()
        """The packets of the last `CONVERGENCE48`, each with its length at 48 kHz."""
        self._recent48 = 0
        self._api = decoder_api()
        self._state = self._api.create_state(SAMPLE_RATE, 1)
        self._pcm = np.empty(_MAX_DURATION48 // _STEP48, np.float32)
        self._pcm_pointer = self._pcm.ctypes.data_as(ctypes.POINTER(ctypes.c_float))

    def __del__(self) -> None:
        if hasattr(self, "_state"):
            self._api.destroy(self._state)

    def decode(self, packet: bytes) -> Samples:
        """Samples of one packet: float32 [n]. Raises UndecodableAudio (bad_opus_packet) as said above."""
        duration48 = packet_duration48(packet)
        n = -1
        if duration48 is not None:
            n = self._api.libopus_decode_float(self._state, packet, len(packet), self._pcm_pointer, len(self._pcm), 0)
        if duration48 is None or n < 0:
            return self._conceal_bad(len(packet))
        self._bad = max(0.0, self._bad - _GOOD_CREDIT)
        self._last48 = duration48
        self._remember(packet, n)
        return self._take(n)

    def conceal(self) -> Samples:
        """Samples in place of a lost packet, as long as the one before it; none before the first packet."""
        if not self._last48:
            return EMPTY
        n = self._api.libopus_decode_float(self._state, None, 0, self._pcm_pointer, self._last48 // _STEP48, 0)
        self._remember(b"", n)
        return self._take(max(0, n))

    def trim_end(self, samples: Samples, n48: int) -> Samples:
        """`samples` (the newest) without the last `n48` samples of the stream, which are padding of the encoder."""
        self._trimmed48 += n48
        wanted = max(0, -(-(self.position48 - self.head.pre_skip48 - self._trimmed48) // _STEP48))
        excess = min(len(samples), max(0, self._emitted - wanted))
        self._emitted -= excess
        return samples[: len(samples) - excess]

    def state(self) -> TrackState:
        """What another track goes on from."""
        return TrackState(
            self.head,
            self.concealed,
            self.position48,
            self._trimmed48,
            self._skip,
            self._emitted,
            self._last48,
            self._bad,
            tuple(packet for packet, _ in self._recent),
        )

    @classmethod
    def restored(cls, state: TrackState) -> OpusTrack:
        """A track that goes on from `state`. Raises BadInput."""
        numbers = (state.position48, state.skip, state.emitted, state.last48)
        if min(numbers) < 0 or state.last48 > _MAX_DURATION48 or not all(map(_plausible, state.recent)):
            raise bad_snapshot()
        track = cls(state.head)
        for packet in state.recent:
            if packet:
                track.decode(packet)
            else:
                track.conceal()
        track.concealed, track.position48, track._trimmed48 = state.concealed, state.position48, state.trimmed48
        track._skip, track._emitted = state.skip, state.emitted
        track._last48, track._bad = state.last48, state.bad
        return track

    def _remember(self, packet: bytes, n: int) -> None:
        self._recent.append((packet, n * _STEP48))
        self._recent48 += n * _STEP48
        while self._recent48 - self._recent[0][1] >= CONVERGENCE48:
            self._recent48 -= self._recent.popleft()[1]

    def _conceal_bad(self, n_bytes: int) -> Samples:
        self._bad += 1
        if not self._last48 or self._bad > _BAD_LIMIT:
            raise UndecodableAudio(f"a packet of {n_bytes} bytes is not Opus", param="audio", code="bad_opus_packet")
        self.concealed += 1
        return self.conceal()

    def _take(self, n: int) -> Samples:
        self.position48 += n * _STEP48
        skipped = min(self._skip, n)
        self._skip -= skipped
        self._emitted += n - skipped
        samples: Samples = np.clip(self._pcm[skipped:n] * np.float32(self.head.gain), -1.0, 1.0)
        return samples


class ErrorState(State, tag="error"):
    """An error that was found and not yet raised."""

    message: str
    code: str


class OpusWireDecoder(ABC):
    """A StreamDecoder whose wire is read piece by piece (`_read`).

    An error in the middle of a message does not take away what was decoded before it: those samples are returned
    first, the error is raised by the next call, and by every call after it.
    """

    def __init__(self) -> None:
        self._error: HybridError | None = None

    @abstractmethod
    def snapshot(self) -> bytes:
        """See StreamDecoder."""

    @abstractmethod
    def restore(self, snapshot: bytes) -> None:
        """See StreamDecoder."""

    @abstractmethod
    def _read(self, data: bytes) -> Iterator[Samples]:
        """Blocks of samples that `data` completes; raises a HybridError where the stream breaks off."""

    def feed(self, data: bytes) -> Samples:
        """See StreamDecoder. Raises UndecodableAudio, or TooLarge when one message holds over `MAX_FEED_S`."""
        self._raise_earlier()
        blocks: list[Samples] = []
        total = 0
        try:
            for block in self._read(data):
                blocks.append(block)
                total += len(block)
                if total > MAX_FEED_S * SAMPLE_RATE:
                    raise TooLarge(
                        f"one message holds more than {MAX_FEED_S} s of audio",
                        limit=MAX_FEED_S,
                        param="audio",
                        code="too_much_audio",
                    )
        except HybridError as e:
            self._error = e
            if not total:
                raise
        return join(blocks)

    def flush(self) -> Samples:
        """Raises what was held back, or UndecodableAudio when the stream ended before any audio could."""
        self._raise_earlier()
        self._finish()
        return EMPTY

    def _error_state(self) -> ErrorState | None:
        """The error that the next call raises."""
        return ErrorState(self._error.message, self._error.code) if self._error is not None else None

    def _restore_error(self, state: ErrorState | None) -> None:
        if state is not None:
            self._error = UndecodableAudio(state.message, param="audio", code=state.code)

    @abstractmethod
    def _finish(self) -> None:
        """Raises UndecodableAudio when the stream may not end here."""

    def _raise_earlier(self) -> None:
        if self._error is not None:
            raise self._error


def join(blocks: list[Samples]) -> Samples:
    """The blocks one after the other: float32 [n], n may be 0."""
    if not blocks:
        return EMPTY
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
