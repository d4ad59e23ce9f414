"""Our engine writes what faster-whisper's `transcribe` writes: same words, times and scores, window by window.

What is compared is the first window of each clip (all clips here are shorter than 30 s), because the walk from window
to window is the file pipeline's business. Known and intended differences:

* The language is detected on the very encoder output that is decoded. faster-whisper encodes once more for it, with one
  frame (10 ms) of padding that decoding leaves out, so probabilities differ a little.
* `max_new_tokens=n` allows n new tokens. faster-whisper passes prompt + n as CTranslate2's `max_length`, of which
  CTranslate2 uses half, so it stops after about (prompt + n) / 2.
* Hotwords and previous text at their limits together are cut so that 64 positions stay free for the text;
  faster-whisper overflows the decoder.
* Segment times are rounded to a millisecond, word probabilities are plain floats.
* Log-mel frames agree up to rounding (tests/unit/engine/test_features.py). In int8 the last bit of one can move a
  probability by a percent, so both sides get faster-whisper's here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import ctranslate2
import numpy as np
import pytest
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.feature_extractor import FeatureExtractor

from tests.support.clips import Clip, clips
from whisperlive_hybrid.engine import models
from whisperlive_hybrid.engine.backend import Request
from whisperlive_hybrid.engine.device import Device
from whisperlive_hybrid.engine.features import FULL_FRAMES, content_frames
from whisperlive_hybrid.engine.hypothesis import Hypothesis
from whisperlive_hybrid.engine.whisper import WhisperBackend
from whisperlive_hybrid.engine.window import DecodeOptions, Lane, Window

CLIPS = clips()
THREADS = 2


@pytest.fixture(scope="module")
def theirs() -> WhisperModel:
    return WhisperModel(str(models.BUNDLED), device="cpu", compute_type="int8", cpu_threads=THREADS)


@pytest.fixture(scope="module")
def ours() -> Iterator[WhisperBackend]:
    device = Device("cpu", 0, "CPU", "int8", THREADS, 8, None)
    backend = WhisperBackend(models.BUNDLED, device, models.load_tokenizer(models.BUNDLED))
    yield backend
    backend.close()


def request(backend: WhisperBackend, clip: Clip, options: DecodeOptions, lane: Lane = Lane.FILE) -> Request:
    samples = clip.samples()
    window = Window("test", lane, 0.0, 0, samples, "digits", options)
    features = pad_or_trim(FeatureExtractor()(samples)[:, : content_frames(len(samples))])
    np.testing.assert_allclose(backend.features(samples, FULL_FRAMES), features, atol=1e-6)
    return Request(window, features, content_frames(len(samples)), backend.previous_tokens(options, lane))


def first_window(model: WhisperModel, clip: Clip, **options: Any) -> tuple[list[Any], Any]:
    segments, info = model.transcribe(clip.samples(), beam_size=5, **options)
    first = []
    for segment in segments:
        if segment.seek > 0:
            break
        first.append(segment)
    return first, info


def assert_same(hypothesis: Hypothesis, segments: list[Any], *, words: bool = False) -> None:
    assert [s.text for s in hypothesis.segments] == [s.text for s in segments]
    for mine, other in zip(hypothesis.segments, segments, strict=True):
        assert list(mine.tokens) == list(other.tokens)
        assert mine.start == pytest.approx(other.start, abs=0.001)
        assert mine.end == pytest.approx(other.end, abs=0.001)
        assert mine.temperature == other.temperature
        assert mine.avg_log_probability == pytest.approx(other.avg_logprob, abs=1e-3)
        assert mine.compression_ratio == pytest.approx(other.compression_ratio, abs=1e-3)
        assert mine.no_speech_probability == pytest.approx(other.no_speech_prob, abs=1e-3)
        assert len(mine.words) == (len(other.words) if words else 0)
        for word, expected in zip(mine.words, other.words or [], strict=True):
            assert word.text == expected.word
            assert word.start == pytest.approx(expected.start, abs=0.02)
            assert word.end == pytest.approx(expected.end, abs=0.02)
            assert word.probability == pytest.approx(expected.probability, abs=1e-3)


@pytest.mark.parametrize("clip", CLIPS, ids=lambda c: c.path.stem)
def test_text_scores_and_word_times(ours: WhisperBackend, theirs: WhisperModel, clip: Clip) -> None:
    expected, _ = first_window(theirs, clip, language=clip.language, word_timestamps=True)
    (hypothesis,) = ours.run([request(ours, clip, DecodeOptions(language=clip.language, word_times=True))])
    assert_same(hypothesis, expected, words=True)
    assert hypothesis.segments


@pytest.mark.parametrize("language", ["en", "es", "de", "fr"])
def test_detected_language(ours: WhisperBackend, theirs: WhisperModel, language: str) -> None:
    clip = clips(language)[0]
    expected, info = first_window(theirs, clip)
    (hypothesis,) = ours.run([request(ours, clip, DecodeOptions())])
    assert_same(hypothesis, expected)
    assert hypothesis.language == info.language
    assert hypothesis.language_probability == pytest.approx(info.language_probability, abs=0.02)
    (probabilities,) = ours.detect_languages([request(ours, clip, DecodeOptions())])
    assert probabilities[0] == (hypothesis.language, hypothesis.language_probability)


@pytest.mark.parametrize("language", ["es", "de", "fr"])
def test_translation(ours: WhisperBackend, theirs: WhisperModel, language: str) -> None:
    clip = clips(language)[0]
    expected, _ = first_window(theirs, clip, language=language, task="translate", word_timestamps=True)
    options = DecodeOptions(language=language, task="translate", word_times=True)
    assert_same(ours.run([request(ours, clip, options)])[0], expected, words=True)


OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "prompt": ({"initial_prompt": "one two three."}, {"prompt": "one two three."}),
    "long prompt": ({"initial_prompt": "nine eight. " * 200}, {"prompt": "nine eight. " * 200}),
    "prompt tokens": ({"initial_prompt": [335, 359, 13]}, {"prompt_tokens": (335, 359, 13)}),
    "hotwords": ({"hotwords": "seven zero"}, {"hotwords": "seven zero"}),
    "hotwords and prompt": (
        {"hotwords": "seven zero", "initial_prompt": "two two."},
        {"hotwords": "seven zero", "prompt": "two two."},
    ),
    "no timestamps": ({"without_timestamps": True}, {"timestamps": False}),
    "nothing suppressed": (
        {"suppress_tokens": [], "suppress_blank": False},
        {"suppress_tokens": (), "suppress_blank": False},
    ),
    "some suppressed": ({"suppress_tokens": [-1, 335]}, {"suppress_tokens": (-1, 335)}),
    "penalties": (
        {"length_penalty": 0.5, "repetition_penalty": 1.3, "no_repeat_ngram_size": 3, "patience": 2.0},
        {"length_penalty": 0.5, "repetition_penalty": 1.3, "no_repeat_ngram_size": 3, "patience": 2.0},
    ),
    "never good enough": (
        {"log_prob_threshold": 10.0, "compression_ratio_threshold": 0.1, "temperature": [0.0, 0.0]},
        {"log_prob_threshold": 10.0, "compression_ratio_threshold": 0.1, "temperatures": (0.0, 0.0)},
    ),
    "no thresholds": (
        {"log_prob_threshold": None, "compression_ratio_threshold": None, "no_speech_threshold": None},
        {"log_prob_threshold": None, "compression_ratio_threshold": None, "no_speech_threshold": None},
    ),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options(ours: WhisperBackend, theirs: WhisperModel, case: str) -> None:
    their_options, our_options = OPTIONS[case]
    for clip in clips("en")[:3]:
        expected, _ = first_window(theirs, clip, language="en", word_timestamps=True, **their_options)
        options = DecodeOptions(language="en", word_times=True, **our_options)
        assert_same(ours.run([request(ours, clip, options)])[0], expected, words=True)


def test_silence_rule_drops_the_window(ours: WhisperBackend, theirs: WhisperModel) -> None:
    """A threshold below any probability makes every window silent, unless the text is likely enough."""
    clip = clips("en")[0]
    for log_prob_threshold, kept in ((10.0, False), (-10.0, True)):
        rule: dict[str, Any] = {"no_speech_threshold": -1.0, "log_prob_threshold": log_prob_threshold}
        expected, _ = first_window(theirs, clip, language="en", **rule)
        (hypothesis,) = ours.run([request(ours, clip, DecodeOptions(language="en", **rule))])
        assert_same(hypothesis, expected)
        assert bool(hypothesis.segments) is kept


def test_temperature_ladder_with_the_same_dice(ours: WhisperBackend, theirs: WhisperModel) -> None:
    """From 0 through all temperatures; sampling is made the same by its seed."""
    clip = clips("en")[1]
    ladder = (0.0, 0.4, 0.8)
    ctranslate2.set_random_seed(7)
    expected, _ = first_window(theirs, clip, language="en", log_prob_threshold=10.0, temperature=list(ladder))
    ctranslate2.set_random_seed(7)
    options = DecodeOptions(language="en", log_prob_threshold=10.0, temperatures=ladder)
    (hypothesis,) = ours.run([request(ours, clip, options)])
    assert [s.temperature for s in expected] == [0.8] * len(expected)
    assert [s.temperature for s in hypothesis.segments] == [0.8] * len(hypothesis.segments)
    assert_same(hypothesis, expected)


def test_a_batch_gives_what_its_windows_give_alone(ours: WhisperBackend) -> None:
    """Languages, tasks, word times and silence mixed in one batch."""
    chosen = [*clips("en")[:3], clips("es")[0], clips("de")[0], clips("fr")[0]]
    options = [
        DecodeOptions(),
        DecodeOptions(language="en", word_times=True),
        DecodeOptions(language="en", no_speech_threshold=-1.0, log_prob_threshold=10.0),
        DecodeOptions(task="translate", word_times=True),
        DecodeOptions(language="de", word_times=True),
        DecodeOptions(language="fr", log_prob_threshold=None, temperatures=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
    ]
    requests = [request(ours, clip, o) for clip, o in zip(chosen, options, strict=True)]
    together = ours.run(requests)
    for single, hypothesis in zip(requests, together, strict=True):
        (alone,) = ours.run([single])
        assert hypothesis.text == alone.text
        assert hypothesis.language == alone.language
        assert hypothesis.consumed_s == alone.consumed_s
        assert len(hypothesis.segments) == len(alone.segments)
        for mine, other in zip(hypothesis.segments, alone.segments, strict=True):
            assert mine.tokens == other.tokens
            assert mine.avg_log_probability == pytest.approx(other.avg_log_probability, abs=1e-3)
            assert [(w.text, w.start, w.end) for w in mine.words] == [(w.text, w.start, w.end) for w in other.words]
    assert together[2].segments == ()
    assert together[1].segments


def test_fallback_decodes_only_the_rows_that_failed(ours: WhisperBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """The good rows keep their first result; the bad one alone goes up the ladder, on the same encoder output."""
    sizes: list[int] = []
    generate, encode = ours._model.generate, ours._model.encode
    encoded: list[int] = []

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(original, name)

        def generate(self, features: Any, prompts: list[list[int]], **options: Any) -> Any:
            sizes.append(len(prompts))
            return generate(features, prompts, **options)

        def encode(self, features: Any) -> Any:
            encoded.append(features.shape[0])
            return encode(features)

    original = ours._model
    monkeypatch.setattr(ours, "_model", Watched())
    good = DecodeOptions(language="en", log_prob_threshold=-10.0, temperatures=(0.0, 0.2))
    bad = replace(good, log_prob_threshold=10.0)
    results = ours.run([request(ours, c, o) for c, o in zip(clips("en")[:3], (good, bad, good), strict=True)])
    assert sizes == [3, 1]
    assert sum(encoded) == 3
    assert [r.segments[0].temperature for r in results] == [0.0, 0.2, 0.0]


def test_times_are_on_the_owners_clock(ours: WhisperBackend) -> None:
    options = DecodeOptions(language="en", word_times=True)
    at_zero = request(ours, clips("en")[0], options)
    later = replace(at_zero, window=replace(at_zero.window, start=10 * 16000))
    (first,), (second,) = ours.run([at_zero]), ours.run([later])
    assert second.segments[0].start == pytest.approx(first.segments[0].start + 10)
    assert second.words[-1].end == pytest.approx(first.words[-1].end + 10)
    assert second.consumed_s == first.consumed_s
