"""What is stored of jobs, as bytes and back. Pure.

JSON with the fields' own names: what a newer version adds has a default, what it drops is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import msgspec

from whisperlive_hybrid.jobs.chunk import Chunk
from whisperlive_hybrid.jobs.transcript import FileOptions, Transcript
from whisperlive_hybrid.storage.idempotency import digest

_options = msgspec.json.Decoder(FileOptions)
_chunk = msgspec.json.Decoder(Chunk)
_transcript = msgspec.json.Decoder(Transcript)
_encoder = msgspec.json.Encoder(order="sorted")


def encode_options(options: FileOptions) -> bytes:
    """What was asked for."""
    return _encoder.encode(options)


def decode_options(data: bytes) -> FileOptions:
    """What was asked for."""
    return _options.decode(data)


def encode_chunk(chunk: Chunk) -> bytes:
    """What a window gave."""
    return _encoder.encode(chunk)


def decode_chunks(data: Iterable[bytes]) -> list[Chunk]:
    """What windows gave."""
    return [_chunk.decode(each) for each in data]


def encode_transcript(transcript: Transcript) -> bytes:
    """All of it but the options, which are the job's."""
    return _encoder.encode(replace(transcript, options=FileOptions()))


def decode_transcript(data: bytes, options: FileOptions) -> Transcript:
    """What became of a job with these options."""
    return replace(_transcript.decode(data), options=options)


def content_key(sha256: str, options: FileOptions, model: str) -> str:
    """Equal where the results are: the same bytes, options and model."""
    return digest(sha256, model, encode_options(replace(options, model=None)))
