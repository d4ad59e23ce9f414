"""WAV headers for samples that come without one, so that what decodes files can read them. Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, Literal

HEAD_BYTES: Final = 12
"""So many first bytes tell a container."""
_CODES: Final = {"pcm_s16le": (1, 16), "pcm_f32le": (3, 32), "pcm_alaw": (6, 8), "pcm_mulaw": (7, 8)}
"""Format tag and bits of a sample (RFC 2361)."""
_MAGIC: Final = (b"fLaC", b"OggS", b"\x1a\x45\xdf\xa3", b"ID3", b"RIFF", b"RF64", b"FORM", b"caff", b".snd", b"#!AMR")


@dataclass(frozen=True, slots=True)
class SampleLayout:
    """Interleaved samples: what each is, how many a second (Hz), of how many channels."""

    codec: Literal["pcm_s16le", "pcm_f32le", "pcm_alaw", "pcm_mulaw"] = "pcm_s16le"
    sample_rate: int = 16_000
    channels: int = 1


def wav_header(samples: SampleLayout) -> bytes:
    """The 44 bytes before samples that go on to the end of the file, however many there are."""
    tag, bits = _CODES[samples.codec]
    frame = samples.channels * bits // 8
    shape = (tag, samples.channels, samples.sample_rate, samples.sample_rate * frame, frame, bits)
    return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36, b"WAVE", b"fmt ", 16, *shape, b"data", 0)


def is_container(head: bytes) -> bool:
    """Whether a file's first HEAD_BYTES are those of a container, or of an MP3 with a tag: not samples alone."""
    return head.startswith(_MAGIC) or head[4:8] == b"ftyp"
