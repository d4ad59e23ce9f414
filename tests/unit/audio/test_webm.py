from __future__ import annotations

import io
import itertools

import av
import numpy as np
import pytest

from tests.support.encoded_audio import decode_all, melody, mux, opus_head, opus_packets, pieces, pyav_samples
from whisperlive_hybrid.audio.webm import WebmOpusDecoder
from whisperlive_hybrid.errors import UndecodableAudio

PACKETS = opus_packets(melody(1.0))
UNKNOWN = b"\x01" + b"\xff" * 7
EBML, SEGMENT, CLUSTER, TRACKS = "1A45DFA3", "18538067", "1F43B675", "1654AE6B"


def element(id: str, content: bytes, size: bytes | None = None) -> bytes:
    """One EBML element, its size in 4 bytes unless given."""
    return bytes.fromhex(id) + (size or (len(content) | 0x10000000).to_bytes(4, "big")) + content


def track_entry(codec: bytes = b"A_OPUS", *, number: int = 1, type: int = 2, extra: bytes = b"") -> bytes:
    return element("AE", element("D7", bytes([number])) + element("83", bytes([type])) + element("86", codec) + extra)


HEAD_312 = element("63A2", opus_head(312))


def webm(clusters: bytes, tracks: bytes | None = None) -> bytes:
    """A stream as MediaRecorder begins it."""
    tracks = track_entry(extra=HEAD_312) if tracks is None else tracks
    header = element(EBML, element("4282", b"webm")) + element(SEGMENT, b"", UNKNOWN)
    return header + element("1549A966", element("2AD7B1", b"\x0f\x42\x40")) + element(TRACKS, tracks) + clusters


def simple_block(payload: bytes, *, lacing: int = 0, track: int = 1) -> bytes:
    return element("A3", bytes([0x80 | track, 0, 0, 0x80 | lacing << 1]) + payload)


def cluster(content: bytes) -> bytes:
    return element(CLUSTER, element("E7", b"\0") + content, UNKNOWN)


def blocks(packets: list[bytes]) -> bytes:
    return b"".join(map(simple_block, packets))


EXPECTED = decode_all(WebmOpusDecoder(), [webm(cluster(blocks(PACKETS)))])


def test_the_whole_stream_is_heard_after_the_pre_skip() -> None:
    assert len(EXPECTED) == 16_000 - 104


def test_clusters_of_known_unknown_and_wrong_size_are_read_alike() -> None:
    a, b, c = blocks(PACKETS[:20]), blocks(PACKETS[20:30]), blocks(PACKETS[30:])
    data = webm(element(CLUSTER, a) + cluster(b) + element(CLUSTER, c, b"\x81"))
    for how, messages in pieces(data):
        np.testing.assert_array_equal(decode_all(WebmOpusDecoder(), messages), EXPECTED, err_msg=how)


def test_what_is_not_audio_is_passed_over() -> None:
    between = element("EC", bytes(3000)) + element("1C53BB6B", bytes(500)) + element("1254C367", bytes(100))
    unheard_of = element("5FFF", bytes(70))
    video = simple_block(bytes(2000), track=2) + element("A3", bytes(2 << 20))
    data = webm(between + cluster(blocks(PACKETS[:25]) + unheard_of + video) + between + cluster(blocks(PACKETS[25:])))
    messages = [data[i : i + 999] for i in range(0, len(data), 999)]
    np.testing.assert_array_equal(decode_all(WebmOpusDecoder(), messages), EXPECTED)


def lace_xiph(packets: list[bytes]) -> bytes:
    sizes = b"".join(b"\xff" * (len(p) // 255) + bytes([len(p) % 255]) for p in packets[:-1])
    return bytes([len(packets) - 1]) + sizes + b"".join(packets)


def lace_ebml(packets: list[bytes]) -> bytes:
    sizes = [len(p) for p in packets]
    out = (sizes[0] | 0x4000).to_bytes(2, "big")
    for before, size in itertools.pairwise(sizes[:-1]):
        out += (size - before + 0x1FFF | 0x4000).to_bytes(2, "big")
    return bytes([len(packets) - 1]) + out + b"".join(packets)


@pytest.mark.parametrize(("lacing", "lace"), [(1, lace_xiph), (3, lace_ebml)])
def test_laced_blocks(lacing: int, lace) -> None:  # type: ignore[no-untyped-def]
    laced = b"".join(simple_block(lace(PACKETS[i : i + 10]), lacing=lacing) for i in range(0, 50, 10))
    np.testing.assert_array_equal(decode_all(WebmOpusDecoder(), [webm(cluster(laced))]), EXPECTED)


def test_laces_of_equal_size() -> None:
    frames = [b"\x78" + bytes(40)] * 6
    laced = simple_block(bytes([5]) + b"".join(frames), lacing=2)
    np.testing.assert_array_equal(
        decode_all(WebmOpusDecoder(), [webm(cluster(laced))]),
        decode_all(WebmOpusDecoder(), [webm(cluster(blocks(frames)))]),
    )


def test_block_groups_and_their_padding() -> None:
    def group(packet: bytes, extra: bytes = b"") -> bytes:
        return element("A0", element("A1", b"\x81\0\0\0" + packet) + element("9B", b"\x14") + extra)

    padding = element("75A2", (10_000_000).to_bytes(4, "big"))  # 10 ms in nanoseconds
    data = webm(cluster(b"".join(map(group, PACKETS[:-1])) + group(PACKETS[-1], padding)))
    np.testing.assert_array_equal(decode_all(WebmOpusDecoder(), [data]), EXPECTED[:-160])


def test_the_codec_delay_counts_where_the_opus_head_names_no_pre_skip() -> None:
    delay = element("56AA", (6_500_000).to_bytes(4, "big"))
    track = track_entry(extra=element("63A2", opus_head(0)) + delay)
    np.testing.assert_array_equal(decode_all(WebmOpusDecoder(), [webm(cluster(blocks(PACKETS)), track)]), EXPECTED)


def test_the_audio_track_is_found_behind_a_video_track() -> None:
    tracks = track_entry(b"V_VP9", type=1) + track_entry(number=2, extra=HEAD_312)
    data = webm(cluster(b"".join(simple_block(p, track=2) for p in PACKETS)), tracks)
    np.testing.assert_array_equal(decode_all(WebmOpusDecoder(), [data]), EXPECTED)


def test_two_recordings_one_after_the_other() -> None:
    data = webm(cluster(blocks(PACKETS)))
    np.testing.assert_array_equal(decode_all(WebmOpusDecoder(), [data + data]), np.concatenate([EXPECTED, EXPECTED]))


def test_garbage_is_passed_over_up_to_the_next_cluster() -> None:
    data = webm(cluster(blocks(PACKETS[:25])) + b"\0" * 5000 + cluster(blocks(PACKETS[25:])))
    for how, messages in pieces(data):
        np.testing.assert_array_equal(decode_all(WebmOpusDecoder(), messages), EXPECTED, err_msg=how)


def test_video_beside_the_audio_as_pyav_writes_it() -> None:
    out = io.BytesIO()
    sound = melody(1.0)
    with av.open(out, "w", format="webm") as output:
        video = output.add_stream("libvpx", rate=10, width=64, height=64)
        audio = output.add_stream("libopus", rate=48_000)
        audio.layout = "mono"
        for number in range(10):
            picture = av.VideoFrame.from_ndarray(
                np.random.default_rng(number).integers(0, 255, (64, 64, 3), np.uint8), format="rgb24"
            )
            for packet in video.encode(picture):
                output.mux(packet)
        frame = av.AudioFrame.from_ndarray(sound[np.newaxis], format="flt", layout="mono")
        frame.sample_rate = 48_000
        for packet in [*video.encode(None), *audio.encode(frame), *audio.encode(None)]:
            output.mux(packet)
    data = out.getvalue()
    assert len(decode_all(WebmOpusDecoder(), [data])) == len(pyav_samples(data)) == 16_000


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"OggS" + bytes(100), "not_webm"),
        (webm(b"", track_entry(b"A_VORBIS")), "unsupported_codec"),
        (webm(b"", track_entry(extra=HEAD_312 + element("6D80", b""))), "unsupported_codec"),
        (webm(b"", track_entry(b"V_VP8", type=1)), "no_audio_stream"),
        (webm(b"", b"\xae\x84\x00"), "bad_webm"),
        (webm(cluster(blocks(PACKETS)))[:30], "truncated"),
        (webm(b"")[:18] + element(TRACKS, b"", b"\x10\x7f\xff\xff"), "bad_webm"),
        (element(EBML, b"") + element(SEGMENT, b"", UNKNOWN) + cluster(blocks(PACKETS)), "bad_webm"),
        (webm(cluster(simple_block(b"\xe3"))), "bad_opus_packet"),
        (webm(b"\0" * 600_000), "lost_sync"),
        (webm(element("EC", b"", b"\x01\x00\xff\xff\xff\xff\xff\xff") + bytes(600_000)), "lost_sync"),
    ],
)
def test_what_cannot_be_decoded_says_why(data: bytes, code: str) -> None:
    with pytest.raises(UndecodableAudio) as caught:
        decode_all(WebmOpusDecoder(), [data])
    assert caught.value.code == code


def test_vorbis_is_named() -> None:
    with pytest.raises(UndecodableAudio, match="A_VORBIS"):
        decode_all(WebmOpusDecoder(), [webm(b"", track_entry(b"A_VORBIS"))])


def test_pyav_s_own_file_with_another_codec() -> None:
    with pytest.raises(UndecodableAudio, match="A_PCM"):
        decode_all(WebmOpusDecoder(), [mux(melody(0.2), "matroska", "pcm_s16le")])
