from __future__ import annotations

import av
import numpy as np
import pytest

from whisperlive_hybrid.audio.codecs import make_decoder
from whisperlive_hybrid.audio.g711 import ALAW, MULAW


def by_ffmpeg(codec: str, data: bytes) -> np.ndarray:
    """int16 [n], what FFmpeg's decoder makes of the bytes."""
    decoder = av.CodecContext.create(codec, "r")
    decoder.sample_rate, decoder.layout = 8000, "mono"
    return np.concatenate([f.to_ndarray().reshape(-1) for f in decoder.decode(av.Packet(data))])


@pytest.mark.parametrize(("codec", "table"), [("pcm_mulaw", MULAW), ("pcm_alaw", ALAW)])
def test_every_byte_is_the_sample_that_ffmpeg_makes_of_it(codec: str, table: np.ndarray) -> None:
    every = bytes(range(256))
    np.testing.assert_array_equal(np.round(table * 32768).astype(int), by_ffmpeg(codec, every))
    assert table.dtype == np.float32


@pytest.mark.parametrize("codec", ["pcm_mulaw", "pcm_alaw"])
def test_a_stream_at_the_rate_of_the_model_is_the_table(codec: str) -> None:
    decoder = make_decoder(codec, sample_rate=16_000)  # type: ignore[arg-type]
    samples = decoder.feed(b"\x00\x7f\x80\xff")
    np.testing.assert_array_equal(samples, (MULAW if codec == "pcm_mulaw" else ALAW)[[0, 127, 128, 255]])
    assert len(decoder.flush()) == 0
