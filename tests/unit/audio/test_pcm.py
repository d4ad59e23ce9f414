from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlive_hybrid.audio.pcm import PcmDecoder
from whisperlive_hybrid.errors import UndecodableAudio


def test_integers_are_scaled_to_one() -> None:
    decoder = PcmDecoder("s16le", sample_rate=16_000, channels=1)
    samples = decoder.feed(np.array([0, 16384, -32768, 32767], "<i2").tobytes())
    np.testing.assert_array_equal(samples, np.float32([0, 0.5, -1, 32767 / 32768]))


def test_bytes_are_centred_on_128() -> None:
    decoder = PcmDecoder("u8", sample_rate=16_000, channels=1)
    np.testing.assert_array_equal(decoder.feed(bytes([128, 0, 64, 255])), np.float32([0, -1, -0.5, 127 / 128]))


def test_channels_are_averaged() -> None:
    decoder = PcmDecoder("s16le", sample_rate=16_000, channels=2)
    samples = decoder.feed(np.array([16384, 0, -8192, 8192], "<i2").tobytes())
    np.testing.assert_array_equal(samples, np.float32([0.25, 0]))


def test_floats_that_are_no_numbers_become_silence_and_loud_ones_are_limited() -> None:
    decoder = PcmDecoder("f32le", sample_rate=16_000, channels=1)
    samples = decoder.feed(np.array([np.nan, np.inf, -np.inf, 7, -7, 0.5], "<f4").tobytes())
    np.testing.assert_array_equal(samples, np.float32([0, 0, 0, 1, -1, 0.5]))


@given(st.lists(st.integers(-32768, 32767), max_size=50), st.lists(st.integers(0, 100), max_size=5))
def test_odd_bytes_wait_for_the_next_message(values: list[int], cuts: list[int]) -> None:
    data = np.array(values, "<i2").tobytes()
    decoder = PcmDecoder("s16le", sample_rate=16_000, channels=1)
    borders = [0, *sorted(min(c, len(data)) for c in cuts), len(data)]
    samples = [decoder.feed(data[a:b]) for a, b in itertools.pairwise(borders)]
    np.testing.assert_array_equal(np.concatenate(samples) * 32768, values)
    assert len(decoder.flush()) == 0


@pytest.mark.parametrize(("sample_format", "channels", "extra"), [("s16le", 1, 1), ("s16le", 2, 2), ("f32le", 1, 3)])
def test_a_stream_that_ends_within_a_sample_is_an_error_after_everything_before_it(
    sample_format: str, channels: int, extra: int
) -> None:
    decoder = PcmDecoder(sample_format, sample_rate=16_000, channels=channels)  # type: ignore[arg-type]
    whole = bytes(channels * (2 if sample_format == "s16le" else 4) * 10)
    assert len(decoder.feed(whole + bytes(extra))) == 10
    with pytest.raises(UndecodableAudio) as caught:
        decoder.flush()
    assert caught.value.code == "odd_pcm_length"
    assert str(extra) in caught.value.message


def test_the_bytes_of_a_message_may_be_reused_afterwards() -> None:
    decoder = PcmDecoder("f32le", sample_rate=16_000, channels=1)
    message = bytearray(np.float32([0.5, 0.25]).tobytes())
    samples = decoder.feed(message)  # type: ignore[arg-type]
    message[:] = bytes(len(message))
    np.testing.assert_array_equal(samples, np.float32([0.5, 0.25]))
