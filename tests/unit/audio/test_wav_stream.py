"""WAV files that come piece by piece."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.encoded_audio import decode_all, melody, mux
from whisperlive_hybrid.audio.wav import SampleLayout, wav_header
from whisperlive_hybrid.audio.wav_stream import MAX_HEADER_BYTES, WavDecoder
from whisperlive_hybrid.errors import UndecodableAudio

PCM = (melody(0.5, 16_000) * 32767).astype("<i2").tobytes()


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def wav(*chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 0) + b"WAVE" + b"".join(chunks)


def fmt(tag: int = 1, channels: int = 1, rate: int = 16_000, bits: int = 16) -> bytes:
    frame = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, bits))


def code_of(data: bytes) -> str:
    with pytest.raises(UndecodableAudio) as raised:
        decode_all(WavDecoder(), [data])
    return raised.value.code


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, len(PCM)])
def test_the_length_may_not_be_known(length: int) -> None:
    data = wav(fmt(), b"data" + struct.pack("<I", length) + PCM)
    samples = decode_all(WavDecoder(), [data])

    np.testing.assert_allclose(samples, np.frombuffer(PCM, "<i2") / 32768, atol=1e-4)


def test_what_follows_the_samples_is_no_audio() -> None:
    data = wav(fmt(), chunk(b"data", PCM), chunk(b"LIST", b"\xff" * 999))
    assert len(decode_all(WavDecoder(), [data])) == len(PCM) // 2


def test_other_chunks_before_the_samples_are_passed_over() -> None:
    data = wav(chunk(b"LIST", b"odd"), fmt(), chunk(b"fact", bytes(4)), chunk(b"data", PCM))
    assert len(decode_all(WavDecoder(), [data[i : i + 7] for i in range(0, len(data), 7)])) == len(PCM) // 2


@pytest.mark.parametrize(
    ("codec", "layout", "frame"),
    [
        ("pcm_f32le", SampleLayout("pcm_f32le", 48_000, 2), 8),
        ("pcm_alaw", SampleLayout("pcm_alaw", 8_000), 1),
        ("pcm_mulaw", SampleLayout("pcm_mulaw", 8_000), 1),
    ],
)
def test_what_our_own_header_says(codec: str, layout: SampleLayout, frame: int) -> None:
    data = wav_header(layout) + bytes(layout.sample_rate * frame)
    assert len(decode_all(WavDecoder(), [data])) == pytest.approx(16_000, abs=50)


def test_an_extensible_header() -> None:
    data = mux(melody(0.5), "wav", "pcm_f32le", channels=3)
    assert data[20:22] == b"\xfe\xff"
    assert len(decode_all(WavDecoder(), [data])) == pytest.approx(8000, abs=50)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"RIFF" + bytes(4) + b"AVI ", "not_wav"),
        (wav(chunk(b"data", PCM)), "not_wav"),
        (wav(fmt(bits=24), chunk(b"data", PCM)), "unsupported_codec"),
        (wav(fmt(tag=85, bits=0), chunk(b"data", PCM)), "unsupported_codec"),
        (wav(fmt(rate=1), chunk(b"data", PCM)), "not_wav"),
        (wav(fmt(channels=99), chunk(b"data", PCM)), "not_wav"),
        (wav(chunk(b"fmt ", b"short"), chunk(b"data", PCM)), "not_wav"),
        (wav(chunk(b"LIST", bytes(MAX_HEADER_BYTES + 9))), "not_wav"),
        (wav(fmt()), "not_wav"),
        (b"RIFF", "not_wav"),
    ],
)
def test_what_cannot_be_read(data: bytes, code: str) -> None:
    assert code_of(data) == code


@given(st.binary(max_size=200))
def test_no_header_is_a_fault(data: bytes) -> None:
    try:
        decode_all(WavDecoder(), [b"RIFF\0\0\0\0WAVE" + data])
    except UndecodableAudio as error:
        assert error.code in ("not_wav", "unsupported_codec", "odd_pcm_length")
