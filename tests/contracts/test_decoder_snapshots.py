"""What every live decoder promises of its snapshots: who goes on from one gives the samples that would have come."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

from tests.contracts.test_decoders import STREAMS, Make
from tests.support.encoded_audio import decode_all
from whisperlive_hybrid.audio.codecs import CODECS, make_decoder
from whisperlive_hybrid.audio.opus import join
from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.errors import BadInput, HybridError

EXACT = tuple(name for name in STREAMS if name.startswith(("s16", "f32", "µ-law", "A-law")))


def carried_over(make: Make, messages: Sequence[bytes]) -> tuple[list[Samples], str]:
    """Samples per message, and the code of the error that ended the stream; a new decoder for every message."""
    snapshot = make().snapshot()
    blocks: list[Samples] = []
    try:
        for message in messages:
            decoder = make()
            decoder.restore(snapshot)
            blocks.append(decoder.feed(message))
            snapshot = decoder.snapshot()
        decoder = make()
        decoder.restore(snapshot)
        blocks.append(decoder.flush())
    except HybridError as error:
        return blocks, error.code
    return blocks, ""


def in_one_go(make: Make, messages: Sequence[bytes]) -> tuple[list[Samples], str]:
    """The same with one decoder."""
    decoder = make()
    blocks: list[Samples] = []
    try:
        for message in messages:
            blocks.append(decoder.feed(message))
        blocks.append(decoder.flush())
    except HybridError as error:
        return blocks, error.code
    return blocks, ""


def cut_at_random(data: bytes, rng: random.Random, n: int) -> list[bytes]:
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(n))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@pytest.mark.parametrize("name", STREAMS)
def test_it_goes_on_from_anywhere(name: str) -> None:
    make, data = STREAMS[name]
    expected = decode_all(make(), [data])
    rng = random.Random(name)
    for n_cuts in (1, 1, 2, 20):
        samples = join(carried_over(make, cut_at_random(data, rng, n_cuts))[0])
        assert len(samples) == len(expected)
        # libopus itself cannot be saved; see CONVERGENCE48.
        np.testing.assert_allclose(samples, expected, rtol=0, atol=0 if name in EXACT else 2e-3)


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_stream_ends_the_same_way(name: str, seed: int) -> None:
    make, data = STREAMS[name]
    rng = random.Random(seed)
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 10, 200))):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    if seed % 2:
        at = rng.randrange(len(damaged))
        del damaged[at : at + rng.randrange(500)]
    messages = cut_at_random(bytes(damaged), rng, 12)
    ours, code = carried_over(make, messages)
    expected, expected_code = in_one_go(make, messages)
    assert code == expected_code
    assert [len(block) for block in ours] == [len(block) for block in expected]


@pytest.mark.parametrize("name", STREAMS)
def test_a_damaged_snapshot_is_refused(name: str) -> None:
    make, data = STREAMS[name]
    decoder = make()
    decoder.feed(data[: len(data) // 2])
    snapshot = decoder.snapshot()
    rng = random.Random(name)
    flipped = bytearray(snapshot)
    flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
    for bad in (b"", snapshot[: rng.randrange(len(snapshot))], bytes(flipped), snapshot + b"\0"):
        with pytest.raises(BadInput) as caught:
            make().restore(bad)
        assert caught.value.code == "bad_snapshot"


def test_a_snapshot_of_another_kind_is_refused() -> None:
    kinds = [
        *((codec, 16_000, 1) for codec in (*CODECS, None)),
        ("pcm_s16le", 48_000, 1),
        ("pcm_s16le", 16_000, 2),
    ]
    for kind in kinds:
        snapshot = make_decoder(kind[0], sample_rate=kind[1], channels=kind[2]).snapshot()
        for other in kinds:
            if other != kind:
                with pytest.raises(BadInput, match="damaged"):
                    make_decoder(other[0], sample_rate=other[1], channels=other[2], snapshot=snapshot)


@pytest.mark.parametrize("rate", [4_000, 8_000, 11_025, 12_345, 15_999, 16_001, 22_050, 44_056, 44_100, 192_000])
def test_every_sample_rate_goes_on_exactly(rate: int) -> None:
    pcm = (np.random.default_rng(rate).normal(0, 0.1, rate) * 32767).astype("<i2").tobytes()

    def make():
        return make_decoder("pcm_s16le", sample_rate=rate)

    for n_cuts in (1, 10):
        samples = join(carried_over(make, cut_at_random(pcm, random.Random(rate), n_cuts))[0])
        np.testing.assert_array_equal(samples, decode_all(make(), [pcm]))


@pytest.mark.parametrize("name", STREAMS)
def test_a_snapshot_is_small(name: str) -> None:
    make, data = STREAMS[name]
    decoder = make()
    largest = 0
    for i in range(0, len(data), 1000):
        decoder.feed(data[i : i + 1000])
        largest = max(largest, len(decoder.snapshot()))
    assert largest < 20_000  # a page of Ogg that is not complete
