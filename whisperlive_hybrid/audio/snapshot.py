"""The state of a decoder as bytes: a checksum and MessagePack, so that what is read back is data and never code."""

from __future__ import annotations

import zlib
from typing import TypeVar

import msgspec
import numpy as np

from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.errors import BadInput

_MAGIC = b"WHS1"
_CHECKSUM = 4
_State = TypeVar("_State", bound=msgspec.Struct)


class State(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """Base of what a decoder keeps. Subclasses have a tag of their own, so that one is never taken for another."""


def seal(state: msgspec.Struct) -> bytes:
    """`state` with a mark and a checksum before it."""
    body = msgspec.msgpack.encode(state)
    return _MAGIC + zlib.crc32(body).to_bytes(_CHECKSUM, "big") + body


def unseal(data: bytes, kind: type[_State]) -> _State:
    """What `seal` was given. Raises BadInput (bad_snapshot) when it is damaged or not of this kind."""
    begin = len(_MAGIC) + _CHECKSUM
    body = data[begin:]
    if data[: len(_MAGIC)] != _MAGIC or zlib.crc32(body).to_bytes(_CHECKSUM, "big") != data[len(_MAGIC) : begin]:
        raise bad_snapshot()
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except (msgspec.DecodeError, ValueError) as error:  # a ValidationError is a DecodeError
        raise bad_snapshot() from error


def bad_snapshot() -> BadInput:
    """The error for a snapshot that cannot be continued from."""
    return BadInput("the saved state of the audio stream is damaged", param="snapshot", code="bad_snapshot")


def to_bytes(samples: Samples) -> bytes:
    """float32 [n] as 4 n bytes, little-endian."""
    return samples.astype("<f4", copy=False).tobytes()


def from_bytes(data: bytes) -> Samples:
    """float32 [n] of 4 n bytes. Raises BadInput when it is no whole number of samples."""
    if len(data) % 4:
        raise bad_snapshot()
    return np.frombuffer(data, "<f4").astype(np.float32)
