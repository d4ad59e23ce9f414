"""What a call takes, by the model's dimensions; `benchmarks.footprint` holds it against the allocator."""

from __future__ import annotations

import pytest

from whisperlive_hybrid.engine.footprint import Dimensions, Footprint, number_bytes

MIB = 1 << 20
TINY = Dimensions(width=384, heads=6, encoder_layers=4, decoder_layers=4, vocabulary=51865)
LARGE = Dimensions(width=1280, heads=20, encoder_layers=32, decoder_layers=32, vocabulary=51866)


def test_a_beam_shares_what_was_heard_and_each_text_drawn_has_its_own() -> None:
    heard, written = 2 * 4 * 1500 * 384 * 4, (2 * 4 + 1) * 224 * 384 * 4
    beside = 2 * 1500 * 384 * 4
    scores = 4 * 51865 * 4
    tiny = Footprint(TINY)
    assert tiny.generating(hypotheses=1) == heard + written + beside + scores
    assert tiny.generating(hypotheses=5) == heard + beside + 5 * (written + scores)
    assert tiny.generating(hypotheses=5, drawn=True) == beside + 5 * (heard + written + scores)


def test_it_grows_with_what_is_heard_and_with_what_may_be_written_up_to_the_decoders_end() -> None:
    tiny = Footprint(TINY)
    assert tiny.generating(250) < tiny.generating(750) < tiny.generating(1500)
    assert tiny.generating(length=50) < tiny.generating() < tiny.generating(length=448)
    assert tiny.generating(length=448) == tiny.generating(length=10_000)
    assert tiny.aligning(length=100) - tiny.aligning(length=50) > 50 * 2 * 51865 * 4
    assert tiny.encoding(1500) > 4 * tiny.encoding(500)


@pytest.mark.parametrize(
    ("compute_type", "n_bytes"), [("int8", 4), ("float32", 4), ("int8_float16", 2), ("float16", 2), ("bfloat16", 2)]
)
def test_int8_is_only_about_weights(compute_type: str, n_bytes: int) -> None:
    assert number_bytes(compute_type) == n_bytes


def test_what_a_large_model_takes() -> None:
    assert Footprint(LARGE).generating() // MIB == 842
    assert Footprint(LARGE, 2).generating() // MIB == 423
    assert Footprint(LARGE, 2).generating(drawn=True) // MIB == 1360
