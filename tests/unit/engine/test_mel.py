"""Kept mel frames: whatever was asked before, each window's features are faster-whisper's."""

from __future__ import annotations

import time

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor
from hypothesis import given, settings
from hypothesis import strategies as st

from whisperlive_hybrid.engine.features import LogMel
from whisperlive_hybrid.engine.mel import MelCache, MelFrames

RATE = 16000
AUDIO = np.random.default_rng(1).normal(0, 0.1, 12 * RATE).astype(np.float32)
AUDIO[3 * RATE : 4 * RATE] *= 1e-4
OTHER = AUDIO[::-1].copy()
MEL = LogMel(80)
FASTER_WHISPERS = FeatureExtractor()


def expected(samples: np.ndarray) -> np.ndarray:
    return FASTER_WHISPERS(samples)[:, : len(samples) // 160]


class CountedMel(MelFrames):
    """Counts the frames it computes."""

    computed = 0

    def between(self, samples: np.ndarray, first: int, after: int) -> np.ndarray:
        self.computed += max(0, after - first)
        return super().between(samples, first, after)


asked = st.tuples(
    st.integers(0, 6 * RATE) | st.integers(0, 600).map(lambda i: i * 160),
    st.integers(320, 6 * RATE),
    st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(asked, min_size=1, max_size=8))
def test_any_windows_in_any_order_get_faster_whispers_features(windows: list[tuple[int, int, bool]]) -> None:
    cache = MelCache()
    for start, length, other in windows:
        samples = (OTHER if other else AUDIO)[start : start + length]
        features = MEL(samples, 700, owners=cache.of("someone", start))
        np.testing.assert_allclose(features[:, : len(samples) // 160], expected(samples), atol=1e-5)


@pytest.mark.parametrize("n_mels", [80, 128])
def test_a_growing_window_costs_what_is_new(n_mels: int) -> None:
    mel, cache = CountedMel(n_mels), MelCache()
    for seconds in (1, 2, 3, 4):
        mel.computed = 0
        samples = AUDIO[: seconds * RATE]
        kept = cache.of("someone", 0).frames(mel, samples, seconds * 100 + 1)
        assert mel.computed <= 105 if seconds > 1 else 101
        np.testing.assert_allclose(kept, MelFrames(n_mels).between(samples, 0, seconds * 100 + 1), atol=1e-5)
    # Trimmed at a multiple of a frame: two frames see the new edge, the rest is there.
    mel.computed = 0
    cache.of("someone", 160 * 200).frames(mel, AUDIO[160 * 200 : 4 * RATE], 201)
    assert mel.computed <= 5
    # The whole utterance from its start, for the final: everything is still there.
    mel.computed = 0
    cache.of("someone", 0).frames(mel, AUDIO[: 4 * RATE], 401)
    assert mel.computed <= 5


def test_a_window_of_before_does_not_push_out_what_is_newer() -> None:
    mel, cache = CountedMel(80), MelCache()
    cache.of("someone", 8 * RATE).frames(mel, AUDIO[8 * RATE : 10 * RATE], 201)
    cache.of("someone", 0).frames(mel, AUDIO[: 2 * RATE], 201)
    mel.computed = 0
    cache.of("someone", 8 * RATE).frames(mel, AUDIO[8 * RATE : 10 * RATE], 201)
    assert mel.computed <= 5


def test_what_is_kept_is_bounded() -> None:
    mel, cache = MelFrames(80), MelCache(max_frames=500)
    for owner in "abc":
        cache.of(owner, 0).frames(mel, AUDIO[: 2 * RATE], 201)
    assert cache.n_frames <= 500
    assert cache.take("a", 80) is None
    assert cache.take("c", 80) is not None
    cache.drop("c")
    assert cache.take("c", 80) is None
    cache.drop("b")
    assert cache.n_frames == 0


def test_one_owner_keeps_30_s_at_most() -> None:
    mel, cache = MelFrames(80), MelCache()
    long = np.random.default_rng(2).normal(0, 0.1, 29 * RATE).astype(np.float32)
    for second in range(0, 60, 5):
        cache.of("someone", second * RATE).frames(mel, long[: 6 * RATE], 601)
    assert cache.n_frames <= 3000


def test_owners_do_not_share() -> None:
    cache = MelCache()
    for owner, audio in (("a", AUDIO), ("b", OTHER)):
        features = MEL(audio[:RATE], 300, owners=cache.of(owner, 0))
        np.testing.assert_allclose(features[:, :100], expected(audio[:RATE]), atol=1e-5)


def test_no_thread_is_left_spinning() -> None:
    mel = MelFrames(128)
    mel.between(AUDIO, 0, 300)
    time.sleep(0.1)
    before = time.process_time()
    for _ in range(10):
        mel.between(AUDIO[: 3 * RATE], 0, 301)
        time.sleep(0.05)
    # The products take half a millisecond each; a thread that waits for the next one would burn all of these 0.5 s.
    assert time.process_time() - before < 0.15
