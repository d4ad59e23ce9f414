from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.support.encoded_audio import melody, similarity
from whisperlive_hybrid.audio.resampler import Resampler

RATES = (4_000, 8_000, 11_025, 12_345, 15_999, 16_000, 16_001, 22_050, 44_056, 44_100, 48_000, 192_000)


def feed_all(rate: int, samples: np.ndarray, cuts: list[int]) -> np.ndarray:
    resampler = Resampler(rate)
    borders = [0, *cuts, len(samples)]
    parts = [resampler.feed(samples[a:b]) for a, b in itertools.pairwise(borders)]
    return np.concatenate([*parts, resampler.flush()])


@pytest.mark.parametrize("rate", RATES)
def test_many_small_feeds_equal_one_large_one(rate: int) -> None:
    rng = np.random.default_rng(rate)
    samples = (rng.standard_normal(rate * 2 + 17) * 0.1).astype(np.float32)
    expected = feed_all(rate, samples, [])
    for n_cuts in (3, 50, 1000):
        cuts = sorted(rng.integers(0, len(samples), n_cuts).tolist())
        np.testing.assert_array_equal(feed_all(rate, samples, cuts), expected)
    np.testing.assert_array_equal(feed_all(rate, samples[:500], list(range(1, 500))), feed_all(rate, samples[:500], []))


@pytest.mark.parametrize("rate", RATES)
def test_the_length_is_kept_and_nothing_is_shifted(rate: int) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)
    out = feed_all(rate, tone, [])
    assert abs(len(out) - 16_000) <= 1
    expected = np.sin(2 * np.pi * 440 * np.arange(len(out)) / 16_000).astype(np.float32)
    assert similarity(out[100:-100], expected[100:-100]) > 0.9999


def test_at_most_a_few_milliseconds_are_held_back() -> None:
    resampler = Resampler(48_000)
    n = sum(len(resampler.feed(block)) for block in np.split(melody(2.0), 20))
    assert 32_000 - n < 0.025 * 16_000


def test_a_tail_shorter_than_a_block_is_not_lost() -> None:
    resampler = Resampler(8_000)
    assert len(resampler.feed(np.ones(7, np.float32))) == 0
    assert len(resampler.flush()) == 14


def test_nothing_in_nothing_out() -> None:
    resampler = Resampler(44_100)
    assert len(resampler.feed(np.zeros(0, np.float32))) == 0
    assert len(resampler.flush()) == 0
