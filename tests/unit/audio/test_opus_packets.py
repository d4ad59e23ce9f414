from __future__ import annotations

import random

import numpy as np
import pytest

from tests.support.encoded_audio import decode_all, length_prefixed, melody, opus_head, opus_packets, similarity
from whisperlive_hybrid.audio.opus_packets import OpusPacketDecoder
from whisperlive_hybrid.errors import TooLarge, UndecodableAudio

SIGNAL = melody(1.0)
PACKETS = opus_packets(SIGNAL)


def test_the_speech_comes_out_at_16_khz() -> None:
    samples = decode_all(OpusPacketDecoder(), [length_prefixed(PACKETS)])
    assert len(samples) == 16_000
    # The encoder delays by 6.5 ms: 104 samples.
    assert similarity(samples[104:], melody(1.0, 16_000)[:-104]) > 0.95


def test_a_description_as_first_packet_is_not_audio_and_sets_the_pre_skip() -> None:
    plain = decode_all(OpusPacketDecoder(), [length_prefixed(PACKETS)])
    described = decode_all(OpusPacketDecoder(), [length_prefixed([opus_head(pre_skip=312), *PACKETS])])
    np.testing.assert_array_equal(described, plain[104:])


@pytest.mark.parametrize("rate", [8_000, 12_000, 16_000, 24_000, 48_000])
def test_any_encoder_rate(rate: int) -> None:
    packets = opus_packets(melody(0.5, rate), rate=rate)
    assert len(decode_all(OpusPacketDecoder(), [length_prefixed(packets)])) == 8_000


def test_an_empty_packet_is_a_lost_one() -> None:
    decoder = OpusPacketDecoder()
    assert len(decoder.feed(length_prefixed([b""]))) == 0
    assert len(decoder.feed(length_prefixed([*PACKETS[:5], b"", *PACKETS[6:10]]))) == 10 * 320
    assert decoder.concealed == 0


def test_packets_without_lengths_are_told_apart() -> None:
    with pytest.raises(UndecodableAudio, match="16-bit big-endian") as caught:
        OpusPacketDecoder().feed(b"".join(PACKETS))
    assert caught.value.code == "bad_opus_packet"


@pytest.mark.parametrize("seed", range(10))
def test_a_stream_of_noise_is_an_error_within_a_second(seed: int) -> None:
    rng = random.Random(seed)
    noise = length_prefixed([rng.randbytes(60) for _ in range(50)])
    decoder = OpusPacketDecoder()
    with pytest.raises(UndecodableAudio) as caught:
        decode_all(decoder, [noise[i : i + 310] for i in range(0, len(noise), 310)])
    assert caught.value.code == "bad_opus_packet"


def test_a_stream_that_ends_within_a_packet_is_an_error() -> None:
    decoder = OpusPacketDecoder()
    assert len(decoder.feed(length_prefixed(PACKETS)[:-3])) == 49 * 320
    with pytest.raises(UndecodableAudio) as caught:
        decoder.flush()
    assert caught.value.code == "truncated_packet"


def test_a_message_cannot_stand_for_hours() -> None:
    """A packet of two bytes may hold 120 ms: a message of 1 MiB would be nine hours."""
    bomb = length_prefixed([PACKETS[0], *[b"\x1b\x02"] * 260_000])
    decoder = OpusPacketDecoder()
    samples = decoder.feed(bomb)
    assert len(samples) <= 301 * 16_000
    with pytest.raises(TooLarge):
        decoder.feed(b"")
