"""What the server and its diarization process say to each other: length-prefixed MessagePack over two pipes. Pure.

The server asks, the process answers with the same `id`: any number of `Progress`, then one of the others.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec
import numpy as np

from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.diarization.clustering import KnownVoice
from whisperlive_hybrid.diarization.turns import SpeakerOptions, Turn
from whisperlive_hybrid.diarization.voices import Region

DEVICE_LINE: Final = "speakers are told apart on "
"""Begins the line of the process's log that says which device it took."""


class Packed(msgspec.Struct, frozen=True):
    """A Region."""

    start: float
    end: float
    n: int
    vectors: bytes


class Voice(msgspec.Struct, frozen=True):
    """A KnownVoice."""

    name: str
    vector: bytes


class Embed(msgspec.Struct, tag=True, frozen=True):
    """Find the voices in float32 `samples`. Answered by Heard."""

    id: int
    samples: bytes


class Cluster(msgspec.Struct, tag=True, frozen=True):
    """Tell the voices of a file apart. Answered by Told. Of `options` the known speakers' audio is left out."""

    id: int
    regions: list[Packed]
    options: SpeakerOptions
    known: list[Voice]


class RunPipeline(msgspec.Struct, tag=True, frozen=True):
    """Run pyannote's pipeline over the float32 samples in the file at `path`. Answered by Told."""

    id: int
    path: str
    options: SpeakerOptions


class Progress(msgspec.Struct, tag=True, frozen=True):
    """How far a pipeline is, 0 to 1."""

    id: int
    share: float


class Heard(msgspec.Struct, tag=True, frozen=True):
    """The regions of speech in what was to be embedded."""

    id: int
    regions: list[Packed]


class Told(msgspec.Struct, tag=True, frozen=True):
    """Who speaks when."""

    id: int
    turns: list[Turn]


class Failed(msgspec.Struct, tag=True, frozen=True):
    """It cannot be done. `code` and `ways_out` as of ModelUnavailable and Unavailable."""

    id: int
    code: str
    message: str
    ways_out: list[str] = []


Request: TypeAlias = Embed | Cluster | RunPipeline
Answer: TypeAlias = Progress | Heard | Told | Failed

_encode = msgspec.msgpack.Encoder().encode
_requests = msgspec.msgpack.Decoder(Request)
_answers = msgspec.msgpack.Decoder(Answer)


def frame(message: Request | Answer) -> bytes:
    """The message as it goes through a pipe: its length as 4 bytes, little-endian, and its body."""
    body = _encode(message)
    return len(body).to_bytes(4, "little") + body


def read_request(body: bytes) -> Request:
    """The request in a frame's body."""
    request: Request = _requests.decode(body)
    return request


def read_answer(body: bytes) -> Answer:
    """The answer in a frame's body."""
    answer: Answer = _answers.decode(body)
    return answer


def pack_region(region: Region) -> Packed:
    """The region as it travels."""
    return Packed(region.start, region.end, len(region.vectors), region.vectors.astype(np.float32).tobytes())


def unpack_region(packed: Packed) -> Region:
    """The inverse of `pack_region`."""
    return Region(packed.start, packed.end, np.frombuffer(packed.vectors, np.float32).reshape(packed.n, -1))


def pack_voice(voice: KnownVoice) -> Voice:
    """The known voice as it travels."""
    return Voice(voice.name, voice.vector.astype(np.float32).tobytes())


def unpack_voice(voice: Voice) -> KnownVoice:
    """The inverse of `pack_voice`."""
    return KnownVoice(voice.name, np.frombuffer(voice.vector, np.float32))


def pack_samples(samples: Samples) -> bytes:
    """float32 [n] as bytes."""
    return np.ascontiguousarray(samples, np.float32).tobytes()


def unpack_samples(data: bytes) -> Samples:
    """The inverse of `pack_samples`."""
    return np.frombuffer(data, np.float32)
