from __future__ import annotations

import pytest

from tests.support.encoded_audio import decode_all, melody, mux
from whisperlive_hybrid.audio.codecs import CODECS, make_decoder
from whisperlive_hybrid.audio.ogg import OggOpusDecoder
from whisperlive_hybrid.audio.opus_packets import OpusPacketDecoder
from whisperlive_hybrid.audio.pcm import PcmDecoder
from whisperlive_hybrid.audio.webm import WebmOpusDecoder
from whisperlive_hybrid.errors import BadInput, UndecodableAudio


def test_every_name_has_its_decoder() -> None:
    kinds = [type(make_decoder(codec)) for codec in CODECS]
    assert kinds == [OpusPacketDecoder, OggOpusDecoder, WebmOpusDecoder] + 5 * [PcmDecoder]


@pytest.mark.parametrize(
    ("arguments", "code", "param"),
    [
        ({"codec": "mp3"}, "unknown_codec", "codec"),
        ({"codec": "pcm_s16le", "sample_rate": 3999}, "bad_sample_rate", "sample_rate"),
        ({"codec": "pcm_s16le", "sample_rate": 192_001}, "bad_sample_rate", "sample_rate"),
        ({"codec": "pcm_f32le", "channels": 0}, "bad_channels", "channels"),
        ({"codec": "pcm_f32le", "channels": 9}, "bad_channels", "channels"),
    ],
)
def test_wrong_options_name_what_is_accepted(arguments: dict, code: str, param: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(BadInput) as caught:
        make_decoder(**arguments)
    assert (caught.value.code, caught.value.param) == (code, param)
    assert caught.value.accepted


@pytest.mark.parametrize("data", [b"RIF", b"\xff\xfb\x90\x00", b"Ogg", b"\x1a\x45", b"x", b"\0" * 4])
def test_a_stream_that_is_not_recognized_needs_its_codec_named(data: bytes) -> None:
    decoder = make_decoder(None)
    with pytest.raises(UndecodableAudio) as caught:
        decoder.feed(data)
        decoder.flush()
    assert caught.value.code == "codec_required"
    assert caught.value.accepted == CODECS


@pytest.mark.parametrize(("container", "codec"), [("ogg", "libopus"), ("webm", "libopus"), ("wav", "pcm_s16le")])
def test_containers_are_recognized(container: str, codec: str) -> None:
    decoder = make_decoder(None)
    data = mux(melody(1.0), container, codec)
    assert len(decode_all(decoder, [data[:3], data[3:]])) == pytest.approx(16_000, abs=200)
