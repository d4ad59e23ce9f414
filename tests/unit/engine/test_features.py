"""Log-mel features against faster-whisper's own padding."""

from __future__ import annotations

import numpy as np
import pytest
from faster_whisper.audio import pad_or_trim
from faster_whisper.feature_extractor import FeatureExtractor

from whisperlive_hybrid.engine.features import FULL_FRAMES, LogMel, content_frames

RNG = np.random.default_rng(1)


@pytest.mark.parametrize("seconds", [0.05, 1.0, 2.345, 29.99, 30.0])
@pytest.mark.parametrize("n_mels", [80, 128])
def test_equal_to_faster_whispers(seconds: float, n_mels: int) -> None:
    samples = RNG.normal(0, 0.1, round(seconds * 16000)).astype(np.float32)
    expected = pad_or_trim(FeatureExtractor(feature_size=n_mels)(samples)[:, : len(samples) // 160])
    features = LogMel(n_mels)(samples)
    assert features.shape == (n_mels, FULL_FRAMES)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, expected, atol=1e-6)


def test_shorter_features_are_a_cut_of_the_long_ones() -> None:
    samples = RNG.normal(0, 0.1, 3 * 16000).astype(np.float32)
    mel = LogMel(80)
    np.testing.assert_array_equal(mel(samples, 500), mel(samples)[:, :500])
    assert not mel(samples, 500)[:, 300:].any()


def test_content_frames() -> None:
    assert [content_frames(n) for n in (0, 159, 160, 480_000, 960_000)] == [0, 0, 1, 3000, 3000]
