from __future__ import annotations

import numpy as np
import pytest

from tests.support.encoded_audio import decode_all, melody, opus_head, opus_packets, pieces, pyav_samples
from whisperlive_hybrid.audio import ogg as ogg_module
from whisperlive_hybrid.audio.ogg import OggOpusDecoder, PageReader, page_checksum
from whisperlive_hybrid.errors import UndecodableAudio

SIGNAL = melody(1.0)
PACKETS = opus_packets(SIGNAL)
TAGS = b"OpusTags" + (4).to_bytes(4, "little") + b"test" + bytes(4)
BOS, EOS, CONTINUED = 2, 4, 1


def page(
    packets: list[bytes], *, granule: int, sequence: int, flags: int = 0, serial: int = 7, open_end: bool = False
) -> bytes:
    """One Ogg page; with `open_end` the last packet (a multiple of 255 bytes) goes on in the next."""
    table = b"".join(b"\xff" * (len(p) // 255) + bytes([len(p) % 255]) for p in packets)
    if open_end:
        table = table[:-1]
    raw = bytearray(
        b"OggS\0"
        + bytes([flags])
        + granule.to_bytes(8, "little", signed=True)
        + serial.to_bytes(4, "little")
        + sequence.to_bytes(4, "little")
        + bytes(4)
        + bytes([len(table)])
        + table
        + b"".join(packets)
    )
    raw[22:26] = page_checksum(bytes(raw)).to_bytes(4, "little")
    return bytes(raw)


def ogg(
    packets: list[bytes], *, end_trim: int = 0, serial: int = 7, per_page: int = 10, first_granule: int = 0
) -> bytes:
    """A stream of 20 ms packets."""
    out = page([opus_head(312)], granule=0, sequence=0, flags=BOS, serial=serial)
    out += page([TAGS], granule=0, sequence=1, serial=serial)
    for number, start in enumerate(range(0, len(packets), per_page)):
        group = packets[start : start + per_page]
        last = start + per_page >= len(packets)
        granule = first_granule + 960 * (start + len(group)) - (end_trim if last else 0)
        out += page(group, granule=granule, sequence=number + 2, flags=EOS if last else 0, serial=serial)
    return out


def slow_checksum(data: bytes) -> int:
    """RFC 3533's CRC, bit by bit."""
    crc = 0
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = ((crc << 1) ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return crc


VORBIS = page([b"\x01vorbis" + bytes(23)], granule=0, sequence=0, flags=BOS) + page([b"?"], granule=0, sequence=1)


def test_checksum() -> None:
    for data in (b"", b"\0", b"OggS", bytes(range(256)) * 3):
        assert page_checksum(data) == slow_checksum(data)


def test_our_own_streams_are_what_pyav_takes_them_for() -> None:
    data = ogg(PACKETS, end_trim=501)
    ours = decode_all(OggOpusDecoder(), [data])
    assert len(ours) == len(pyav_samples(data)) == (48_000 - 312 - 501) // 3


def test_pages_that_start_late_on_the_clock_are_trimmed_by_the_difference() -> None:
    expected = decode_all(OggOpusDecoder(), [ogg(PACKETS, end_trim=500)])
    late = decode_all(OggOpusDecoder(), [ogg(PACKETS, end_trim=500, first_granule=10_000_000)])
    np.testing.assert_array_equal(late, expected)


def test_a_stream_of_one_page() -> None:
    samples = decode_all(OggOpusDecoder(), [ogg(PACKETS[:5], end_trim=700, per_page=50)])
    assert len(samples) == -(-(4800 - 312 - 700) // 3)


def test_a_nonsense_end_position_cannot_take_more_than_the_last_page() -> None:
    samples = decode_all(OggOpusDecoder(), [ogg(PACKETS, end_trim=40_000)])
    assert len(samples) == (40 * 960 - 312) // 3


def test_chained_streams_follow_each_other() -> None:
    one = ogg(PACKETS, end_trim=100)
    two = ogg(PACKETS[:30], serial=8)
    expected = [decode_all(OggOpusDecoder(), [part]) for part in (one, two)]
    for how, messages in pieces(one + two):
        np.testing.assert_array_equal(decode_all(OggOpusDecoder(), messages), np.concatenate(expected), err_msg=how)


def test_a_packet_over_several_pages() -> None:
    big = [bytes([p[0] | 3, 0x41, 255, 255, 2]) + p[1:] + bytes(510) for p in PACKETS[:6]]  # with 510 bytes of padding
    whole = page([opus_head(312)], granule=0, sequence=0, flags=BOS) + page([TAGS], granule=0, sequence=1)
    plain, cut = whole, whole
    for number, packet in enumerate(big):
        granule = 960 * (number + 1)
        plain += page([packet], granule=granule, sequence=number + 2)
        cut += page([packet[:510]], granule=-1, sequence=2 * number + 2, open_end=True)
        cut += page([packet[510:]], granule=granule, sequence=2 * number + 3, flags=CONTINUED)
    expected = decode_all(OggOpusDecoder(), [plain])
    assert len(expected) == (6 * 960 - 312) // 3
    np.testing.assert_array_equal(decode_all(OggOpusDecoder(), [cut]), expected)


def test_large_comments_are_passed_over_without_being_kept() -> None:
    tags = b"OpusTags" + bytes(255 * 255 - 8)
    data = page([opus_head(312)], granule=0, sequence=0, flags=BOS)
    for number in range(8):
        data += page([tags], granule=-1, sequence=1 + number, open_end=True, flags=CONTINUED if number else 0)
    data += page([b"end"], granule=0, sequence=9, flags=CONTINUED)
    data += page(PACKETS[:10], granule=9600, sequence=10)
    assert len(decode_all(OggOpusDecoder(), [data])) == (9600 - 312) // 3


def test_a_damaged_page_is_lost_and_the_next_one_is_found() -> None:
    data = bytearray(ogg(PACKETS))
    expected = decode_all(OggOpusDecoder(), [bytes(data)])
    third = [i for i in range(len(data)) if data[i : i + 4] == b"OggS"][3]
    data[third + 60] ^= 1
    samples = decode_all(OggOpusDecoder(), [bytes(data)])
    assert len(samples) == len(expected) - 10 * 320


def test_garbage_between_pages_is_passed_over() -> None:
    data = ogg(PACKETS)
    expected = decode_all(OggOpusDecoder(), [data])
    at = data.index(b"OggS", 200)
    broken = data[:at] + b"OgOggOggSS noise OggS" * 50 + data[at:]
    for how, messages in pieces(broken):
        np.testing.assert_array_equal(decode_all(OggOpusDecoder(), messages), expected, err_msg=how)


def test_a_second_stream_beside_the_first_is_not_mixed_in() -> None:
    other = page([b"\x80theora"], granule=0, sequence=0, flags=BOS, serial=9)
    data = ogg(PACKETS)
    border = data.index(b"OggS", 4)
    video = page([bytes(500)], granule=5, sequence=1, serial=9)
    mixed = other + data[:border] + video + data[border:] + video
    np.testing.assert_array_equal(decode_all(OggOpusDecoder(), [mixed]), decode_all(OggOpusDecoder(), [data]))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"RIFF" + bytes(100), "not_ogg"),
        (VORBIS, "unsupported_codec"),
        (page([opus_head(channels=6)], granule=0, sequence=0, flags=BOS), "unsupported_channels"),
        (ogg(PACKETS)[:40], "truncated"),
        (ogg(PACKETS) + bytes(600_000), "lost_sync"),
    ],
)
def test_what_cannot_be_decoded_says_why(data: bytes, code: str) -> None:
    with pytest.raises(UndecodableAudio) as caught:
        decode_all(OggOpusDecoder(), [data])
    assert caught.value.code == code


def test_page_headers_every_few_bytes_are_not_summed_up_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    summed = 0

    def counted(page: bytes) -> int:
        nonlocal summed
        summed += len(page)
        return page_checksum(page)

    monkeypatch.setattr(ogg_module, "page_checksum", counted)
    bomb = (b"OggS\0" + b"\xff" * 250) * 2000
    with pytest.raises(UndecodableAudio) as caught:
        OggOpusDecoder().feed(bomb)
    assert caught.value.code == "lost_sync"
    assert summed <= ogg_module.MAX_REJECTED_BYTES + 70_000


def test_what_comes_before_a_bad_packet_on_its_page_is_kept() -> None:
    decoder = OggOpusDecoder()
    samples = decoder.feed(ogg([*PACKETS[:5], *[b"\xe3"] * 10], per_page=50))
    assert len(samples) == 10 * 320 - 104
    with pytest.raises(UndecodableAudio):
        decoder.flush()


def test_the_reader_keeps_no_more_than_a_page() -> None:
    reader = PageReader()
    data = ogg(PACKETS)
    for i in range(0, len(data), 100):
        list(reader.read(data[i : i + 100]))
    assert len(reader._buffer) == 0
