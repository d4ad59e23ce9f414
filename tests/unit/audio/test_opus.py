from __future__ import annotations

import numpy as np
import pytest

from tests.support.encoded_audio import melody, opus_head, opus_packets
from whisperlive_hybrid.audio.opus import OpusHead, OpusTrack, join, packet_duration48
from whisperlive_hybrid.errors import UndecodableAudio

PACKETS = opus_packets(melody(1.0))


def test_head() -> None:
    head = OpusHead.parse(opus_head(pre_skip=3840, channels=2, gain_q8=-256 * 6))
    assert (head.channels, head.pre_skip48) == (2, 3840)
    assert head.gain == pytest.approx(10 ** (-6 / 20))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (opus_head()[:18], "bad_opus_header"),
        (b"OpusTags" + bytes(20), "bad_opus_header"),
        (opus_head().replace(b"\x01", b"\x10", 1), "bad_opus_header"),
        (opus_head(channels=6), "unsupported_channels"),
        (opus_head(channels=0), "unsupported_channels"),
    ],
)
def test_wrong_heads_say_what_is_wrong(data: bytes, code: str) -> None:
    with pytest.raises(UndecodableAudio) as caught:
        OpusHead.parse(data)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("packet", "duration"),
    [
        (b"", None),
        (b"\x08", 960),  # SILK, 20 ms
        (b"\x18", 2880),  # SILK, 60 ms
        (b"\x1b\x02", 5760),  # two of them
        (b"\x1b\x03", None),  # 180 ms is over the limit
        (b"\xe3\x30", 5760),  # 48 frames of 2.5 ms
        (b"\xe3\x00", None),  # no frame
        (b"\xe3", None),  # no count
        (b"\xf1\x00\x00", 960),  # CELT, 2 x 10 ms
        (bytes(8000), None),  # no encoder writes this much
    ],
)
def test_packet_durations(packet: bytes, duration: int | None) -> None:
    assert packet_duration48(packet) == duration


def test_pre_skip_is_removed_once_even_when_longer_than_a_packet() -> None:
    plain, skipping = OpusTrack(), OpusTrack(OpusHead(pre_skip48=3840))
    expected = join([plain.decode(p) for p in PACKETS])
    np.testing.assert_array_equal(join([skipping.decode(p) for p in PACKETS]), expected[1280:])


def test_gain_is_applied() -> None:
    plain, half = OpusTrack(), OpusTrack(OpusHead(gain=0.5))
    np.testing.assert_allclose(half.decode(PACKETS[0]), plain.decode(PACKETS[0]) / 2, atol=1e-7)


def test_end_trimming_counts_at_48_khz() -> None:
    track = OpusTrack(OpusHead(pre_skip48=312))
    for packet in PACKETS[:-1]:
        track.decode(packet)
    last = track.decode(PACKETS[-1])
    assert len(track.trim_end(last, 100)) == 320 - 33  # 47 588 samples are left, every third one counts


def test_a_single_bad_packet_is_concealed_and_counted() -> None:
    track = OpusTrack()
    for packet in PACKETS[:10]:
        track.decode(packet)
    assert len(track.decode(b"\xe3")) == 320
    assert track.concealed == 1
    assert len(track.decode(PACKETS[10])) == 320


def test_a_first_packet_that_is_not_opus_is_an_error() -> None:
    with pytest.raises(UndecodableAudio) as caught:
        OpusTrack().decode(b"\xe3")
    assert caught.value.code == "bad_opus_packet"


def test_bad_packets_that_prevail_are_an_error() -> None:
    track = OpusTrack()
    track.decode(PACKETS[0])
    with pytest.raises(UndecodableAudio) as caught:
        for number in range(100):
            track.decode(PACKETS[number % 50] if number % 3 else b"\xe3")
    assert caught.value.code == "bad_opus_packet"
    assert 3 <= track.concealed <= 10


def test_a_loss_of_one_in_twelve_is_survived() -> None:
    track = OpusTrack()
    n = sum(len(track.decode(b"\xe3" if number % 12 == 11 else PACKETS[number % 50])) for number in range(600))
    assert n == 600 * 320
    assert track.concealed == 50


def test_concealment_before_the_first_packet_is_nothing() -> None:
    assert len(OpusTrack().conceal()) == 0
