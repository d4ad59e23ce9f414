"""A WAV file as a live stream: the header says what the samples behind it are. Pure.

RIFF (Microsoft/IBM 1991): chunks of a four-letter name, a 32-bit length and as many bytes, padded to an even number.
Who streams one often does not know its length: 0 and the largest number stand for "until the end".
"""

from __future__ import annotations

import struct
from typing import Final

from whisperlive_hybrid.audio.pcm import MAX_CHANNELS, PcmDecoder, SampleFormat
from whisperlive_hybrid.audio.resampler import MAX_RATE, MIN_RATE
from whisperlive_hybrid.audio.samples import EMPTY, Samples
from whisperlive_hybrid.audio.snapshot import State, bad_snapshot, seal, unseal
from whisperlive_hybrid.errors import UndecodableAudio

WAV_MAGIC: Final = b"RIFF"
MAX_HEADER_BYTES: Final = 2**16
"""Before the samples; pictures and long descriptions belong elsewhere."""
_EXTENSIBLE: Final = 0xFFFE
_ENDLESS: Final = 0x7FFFF000
"""Lengths from here on are no lengths."""
_FORMATS: Final[dict[tuple[int, int], SampleFormat]] = {
    (1, 8): "u8",
    (1, 16): "s16le",
    (3, 32): "f32le",
    (6, 8): "alaw",
    (7, 8): "mulaw",
}
"""Format tag and bits of a sample (RFC 2361)."""


class WavState(State, tag="wav"):
    """What a WavDecoder goes on from: the header as far as it came, or what it said."""

    head: bytes
    shape: tuple[SampleFormat, int, int] | None
    """Of the samples: format, Hz, channels."""
    left: int | None
    """Bytes of samples to come; None is until the end."""
    pcm: bytes


class WavDecoder:
    """Decodes a WAV file that comes piece by piece. What follows its samples is passed over."""

    def __init__(self) -> None:
        self._head = b""
        self._shape: tuple[SampleFormat, int, int] | None = None
        self._left: int | None = None
        self._pcm: PcmDecoder | None = None

    def feed(self, data: bytes) -> Samples:
        """See StreamDecoder. Raises UndecodableAudio (not_wav, unsupported_codec)."""
        if self._pcm is None:
            self._head += data
            begin = self._read_header()
            if begin is None:
                if len(self._head) > MAX_HEADER_BYTES:
                    raise _not_wav("no samples begin within its first 64 KiB")
                return EMPTY
            data, self._head = self._head[begin:], b""
        assert self._pcm is not None
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        return self._pcm.feed(data)

    def flush(self) -> Samples:
        """See StreamDecoder. Raises UndecodableAudio (not_wav) where not even the header is complete."""
        if self._pcm is None:
            raise _not_wav("it ends within its header")
        return self._pcm.flush()

    def snapshot(self) -> bytes:
        """See StreamDecoder; exact."""
        pcm = b"" if self._pcm is None else self._pcm.snapshot()
        return seal(WavState(self._head, self._shape, self._left, pcm))

    def restore(self, snapshot: bytes) -> None:
        """See StreamDecoder."""
        state = unseal(snapshot, WavState)
        if len(state.head) > MAX_HEADER_BYTES or (state.left is not None and state.left < 0):
            raise bad_snapshot()
        self._head, self._shape, self._left = state.head, state.shape, state.left
        if state.shape is not None:
            self._pcm = _decoder(state.shape)
            self._pcm.restore(state.pcm)

    def _read_header(self) -> int | None:
        """Where the samples begin; None while that has not come. Makes their decoder."""
        head = self._head
        if len(head) >= 12 and head[8:12] != b"WAVE":
            raise _not_wav("it is another kind of RIFF file")
        position, shape = 12, None
        while len(head) >= position + 8:
            name, length = head[position : position + 4], int.from_bytes(head[position + 4 : position + 8], "little")
            position += 8
            if name == b"data":
                if shape is None:
                    raise _not_wav("its samples come before what they are")
                self._shape, self._pcm = shape, _decoder(shape)
                self._left = None if length == 0 or length >= _ENDLESS else length
                return position
            if name == b"fmt " and len(head) >= position + length:
                shape = _shape(head[position : position + length])
            position += length + length % 2
        return None


def _shape(chunk: bytes) -> tuple[SampleFormat, int, int]:
    if len(chunk) < 16:
        raise _not_wav("it does not say what its samples are")
    tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == _EXTENSIBLE and len(chunk) >= 26:
        tag = int.from_bytes(chunk[24:26], "little")
    sample_format = _FORMATS.get((tag, bits))
    if sample_format is None:
        raise UndecodableAudio(
            f"a WAV stream of {bits}-bit samples with format tag {tag} is not taken",
            param="codec",
            accepted=tuple(_FORMATS.values()),
            code="unsupported_codec",
        )
    if not MIN_RATE <= rate <= MAX_RATE or not 1 <= channels <= MAX_CHANNELS:
        raise _not_wav(f"{rate} Hz and {channels} channels are not taken")
    return sample_format, rate, channels


def _decoder(shape: tuple[SampleFormat, int, int]) -> PcmDecoder:
    sample_format, rate, channels = shape
    return PcmDecoder(sample_format, sample_rate=rate, channels=channels)


def _not_wav(why: str) -> UndecodableAudio:
    return UndecodableAudio(f"the stream is no WAV that can be read: {why}", param="codec", code="not_wav")
