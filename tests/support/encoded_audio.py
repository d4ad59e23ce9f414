"""Audio made on the spot: signals, files of every format, Opus packets, and messages cut anywhere."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator, Sequence

import av
import numpy as np
from numpy.typing import NDArray

from whisperlive_hybrid.audio.decoder import StreamDecoder
from whisperlive_hybrid.audio.libopus import opuslib
from whisperlive_hybrid.audio.opus import join
from whisperlive_hybrid.audio.samples import Samples


def melody(duration_s: float, rate: int = 48_000) -> NDArray[np.float32]:
    """Tones that change four times a second, so that every moment is told apart from the next: float32 [n]."""
    t = np.arange(round(duration_s * rate)) / rate
    frequency = 200.0 + 150.0 * (np.floor(t * 4) % 7)
    return (0.3 * np.sin(2 * np.pi * np.cumsum(frequency) / rate)).astype(np.float32)


def mux(
    samples: NDArray[np.float32],
    container: str,
    codec: str,
    *,
    rate: int = 48_000,
    channels: int = 1,
    options: dict[str, str] | None = None,
) -> bytes:
    """One file. `samples` float32 [n], repeated on every channel."""
    out = io.BytesIO()
    layout = {1: "mono", 2: "stereo", 3: "2.1", 6: "5.1", 8: "7.1"}[channels]
    with av.open(out, "w", format=container, options=options or {}) as output:
        stream = output.add_stream(codec, rate=rate)
        stream.layout = layout
        pcm = (np.repeat(samples, channels) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(pcm[np.newaxis], format="s16", layout=layout)
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    return out.getvalue()


def pyav_samples(data: bytes) -> Samples:
    """What PyAV makes of a file: float32 [n], 16 kHz mono."""
    with av.open(io.BytesIO(data)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=16_000)
        frames = [*container.decode(audio=0), None]
        return np.concatenate([out.to_ndarray().reshape(-1) for f in frames for out in resampler.resample(f)])


def opus_packets(samples: NDArray[np.float32], *, rate: int = 48_000, channels: int = 1) -> list[bytes]:
    """Opus packets of 20 ms."""
    encoder = opuslib().Encoder(rate, channels, "voip")
    frame = rate // 50
    pcm = (np.repeat(samples, channels) * 32767).astype(np.int16)
    step = frame * channels
    return [encoder.encode(pcm[i : i + step].tobytes(), frame) for i in range(0, len(pcm) - len(pcm) % step, step)]


def length_prefixed(packets: Sequence[bytes]) -> bytes:
    """The raw Opus wire."""
    return b"".join(len(p).to_bytes(2, "big") + p for p in packets)


def opus_head(pre_skip: int = 312, channels: int = 1, gain_q8: int = 0) -> bytes:
    """An OpusHead packet."""
    return (
        b"OpusHead\x01"
        + bytes([channels])
        + pre_skip.to_bytes(2, "little")
        + (48_000).to_bytes(4, "little")
        + gain_q8.to_bytes(2, "little", signed=True)
        + b"\0"
    )


def pieces(data: bytes, seed: int = 0) -> Iterator[tuple[str, list[bytes]]]:
    """The same bytes as messages: whole, byte by byte, in halves of seconds, and cut at random five times."""
    yield "whole", [data]
    yield "byte by byte", [data[i : i + 1] for i in range(len(data))]
    for n in range(5):
        rng = random.Random(seed * 100 + n)
        cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((3, 20, 200))))
        yield f"cut {n}", [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def decode_all(decoder: StreamDecoder, messages: Sequence[bytes]) -> Samples:
    """Everything the decoder gives for the messages, its tail included."""
    return join([*(decoder.feed(message) for message in messages), decoder.flush()])


def similarity(a: Samples, b: Samples) -> float:
    """Cosine of the angle between two signals of equal length; 1 is the same, and a shift by a sample shows."""
    return float(np.dot(a, b) / np.sqrt(np.dot(a, a) * np.dot(b, b)))
