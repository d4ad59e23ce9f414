"""WAV headers of samples that come without one."""

from __future__ import annotations

import io
import wave

import av
import numpy as np
import pytest

from whisperlive_hybrid.audio.wav import HEAD_BYTES, SampleLayout, is_container, wav_header


@pytest.mark.parametrize(
    ("samples", "codec"),
    [
        (SampleLayout(), "pcm_s16le"),
        (SampleLayout("pcm_f32le", 48_000, 2), "pcm_f32le"),
        (SampleLayout("pcm_alaw", 8_000), "pcm_alaw"),
        (SampleLayout("pcm_mulaw", 8_000, 2), "pcm_mulaw"),
    ],
)
def test_ffmpeg_reads_all_samples_behind_the_header(samples: SampleLayout, codec: str) -> None:
    frame = samples.channels * {"pcm_s16le": 2, "pcm_f32le": 4}.get(samples.codec, 1)
    with av.open(io.BytesIO(wav_header(samples) + bytes(1000 * frame))) as file:
        stream = file.streams.audio[0]
        shape = (stream.codec_context.name, stream.rate, stream.channels)
        n = sum(f.samples for f in file.decode(stream))

    assert shape == (codec, samples.sample_rate, samples.channels)
    assert n == 1000


def test_what_is_a_container() -> None:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
    noise = np.random.default_rng(0).integers(-3000, 3000, 6, dtype=np.int16).tobytes()

    assert is_container(out.getvalue()[:HEAD_BYTES])
    assert is_container(b"\0\0\0\x18ftypM4A ")
    assert not is_container(noise)
    assert not is_container(bytes(HEAD_BYTES))
    assert not is_container(b"")
