"""What every live decoder promises, whatever its wire: cuts do not matter, garbage does no harm."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.encoded_audio import (
    decode_all,
    length_prefixed,
    melody,
    mux,
    opus_packets,
    pieces,
    pyav_samples,
    similarity,
)
from whisperlive_hybrid.audio.codecs import CODECS, Codec, make_decoder
from whisperlive_hybrid.audio.decoder import StreamDecoder
from whisperlive_hybrid.errors import HybridError, UndecodableAudio
from whisperlive_hybrid.live import commands as live_commands

SECONDS = 1.37
SIGNAL = melody(SECONDS)
S16 = (melody(SECONDS, 16_000) * 32767).astype("<i2")

Make = Callable[[], StreamDecoder]
STREAMS: dict[str, tuple[Make, bytes]] = {
    "opus": (lambda: make_decoder("opus"), length_prefixed(opus_packets(SIGNAL))),
    "opus stereo": (lambda: make_decoder("opus"), length_prefixed(opus_packets(SIGNAL, channels=2))),
    "ogg-opus": (lambda: make_decoder("ogg-opus"), mux(SIGNAL, "ogg", "libopus")),
    "ogg-opus, small pages": (
        lambda: make_decoder("ogg-opus"),
        mux(SIGNAL, "ogg", "libopus", options={"page_duration": "20000"}),
    ),
    "ogg, sniffed": (lambda: make_decoder(None), mux(SIGNAL, "ogg", "libopus", channels=2)),
    "webm-opus": (lambda: make_decoder("webm-opus"), mux(SIGNAL, "webm", "libopus")),
    "webm-opus, live": (
        lambda: make_decoder("webm-opus"),
        mux(SIGNAL, "webm", "libopus", options={"live": "1", "cluster_time_limit": "200"}),
    ),
    "webm, sniffed": (lambda: make_decoder(None), mux(SIGNAL, "matroska", "libopus", channels=2)),
    "s16": (lambda: make_decoder("pcm_s16le"), S16.tobytes()),
    "s16 44.1 kHz stereo": (
        lambda: make_decoder("pcm_s16le", sample_rate=44_100, channels=2),
        (np.repeat(melody(0.4, 44_100), 2) * 32767).astype("<i2").tobytes(),
    ),
    "s16 in a WAV, sniffed": (lambda: make_decoder(None), mux(SIGNAL, "wav", "pcm_s16le", channels=2)),
    "f32 48 kHz": (lambda: make_decoder("pcm_f32le", sample_rate=48_000), melody(0.25).astype("<f4").tobytes()),
    "u8 8 kHz": (lambda: make_decoder("pcm_u8", sample_rate=8_000), bytes(range(96, 160)) * 64),
    "µ-law 8 kHz": (lambda: make_decoder("pcm_mulaw", sample_rate=8_000), bytes(range(192, 256)) * 64),
    "A-law 8 kHz stereo": (
        lambda: make_decoder("pcm_alaw", sample_rate=8_000, channels=2),
        bytes(c ^ 0x55 for c in range(128, 192)) * 128,
    ),
}
CONTAINERS = [name for name in STREAMS if name.startswith(("ogg", "webm"))]


def test_the_codecs_a_client_can_name_are_those_there_is_a_decoder_for() -> None:
    assert get_args(live_commands.Codec) == CODECS


@pytest.mark.parametrize("name", STREAMS)
def test_cuts_do_not_matter(name: str) -> None:
    make, data = STREAMS[name]
    expected = decode_all(make(), [data])
    assert len(expected) > 0.2 * 16_000
    for how, messages in pieces(data, seed=len(name)):
        np.testing.assert_array_equal(decode_all(make(), messages), expected, err_msg=how)


@pytest.mark.parametrize("name", STREAMS)
def test_samples_are_float32_within_one(name: str) -> None:
    make, data = STREAMS[name]
    samples = decode_all(make(), [data])
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert np.abs(samples).max() <= 1.0


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers_give_what_pyav_gives(name: str) -> None:
    make, data = STREAMS[name]
    ours, theirs = decode_all(make(), [data]), pyav_samples(data)
    assert len(ours) == len(theirs) == round(SECONDS * 16_000)
    assert similarity(ours, theirs) > 0.999
    assert similarity(ours[1:], theirs[:-1]) < similarity(ours, theirs)


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("seed", range(5))
def test_trailing_garbage_changes_nothing_before_it(name: str, seed: int) -> None:
    make, data = STREAMS[name]
    expected = decode_all(make(), [data])
    garbage = random.Random(seed).randbytes(5000)
    samples = decode_all(make(), [data, garbage])
    np.testing.assert_array_equal(samples[: len(expected)], expected)


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_truncated_container_gives_what_is_there(name: str) -> None:
    make, data = STREAMS[name]
    expected = decode_all(make(), [data])
    samples = decode_all(make(), [data[: len(data) * 3 // 4]])
    assert len(samples) <= len(expected)
    np.testing.assert_array_equal(samples, expected[: len(samples)])


@pytest.mark.parametrize("name", STREAMS)
def test_an_error_takes_nothing_away_from_what_came_before(name: str) -> None:
    """The samples of a message that breaks are returned; the error comes with the next call and stays."""
    make, data = STREAMS[name]
    if name.startswith(("s16", "f32", "u8", "µ-law", "A-law")):
        return  # PCM cannot be wrong before its end
    whole = make().feed(data)
    broken = data + (b"\xff\xff" if name.startswith("opus") else b"\0" * 300_000)
    decoder = make()
    np.testing.assert_array_equal(decoder.feed(broken), whole)
    for _ in range(2):
        with pytest.raises(UndecodableAudio):
            decoder.feed(b"")
    with pytest.raises(UndecodableAudio):
        decoder.flush()


@pytest.mark.parametrize("codec", [*CODECS, None])
def test_an_empty_stream_is_not_an_error(codec: Codec | None) -> None:
    assert len(decode_all(make_decoder(codec), [b"", b""])) == 0


@pytest.mark.parametrize("codec", [*CODECS, None])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=st.lists(st.binary(max_size=400), max_size=8))
def test_noise_raises_nothing_but_our_errors(codec: Codec | None, messages: list[bytes]) -> None:
    decoder = make_decoder(codec)
    try:
        assert len(decode_all(decoder, messages)) < 120 * 16_000
    except HybridError as e:
        assert e.code not in (HybridError.code, UndecodableAudio.code)


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("seed", range(20))
def test_damage_raises_nothing_but_our_errors(name: str, seed: int) -> None:
    make, data = STREAMS[name]
    rng = random.Random(seed)
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 10, 200))):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    if seed % 2:
        at = rng.randrange(len(damaged))
        del damaged[at : at + rng.randrange(500)]
    try:
        samples = decode_all(make(), [bytes(damaged[i : i + 700]) for i in range(0, len(damaged), 700)])
        assert len(samples) < 30 * 16_000
    except HybridError as e:
        assert e.message
