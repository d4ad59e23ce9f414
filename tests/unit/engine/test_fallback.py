"""The temperature ladder's decisions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from whisperlive_hybrid.engine.fallback import (
    Attempt,
    choose,
    compression_ratio,
    is_silence,
    mean_log_probability,
    needs_retry,
)
from whisperlive_hybrid.engine.window import DecodeOptions

OPTIONS = DecodeOptions()


def attempt(
    temperature: float = 0.0, *, log_probability: float = -0.2, ratio: float = 1.0, no_speech: float = 0.0
) -> Attempt:
    return Attempt((1,), temperature, log_probability, ratio, no_speech)


@pytest.mark.parametrize(
    ("made", "again"),
    [
        (attempt(), False),
        (attempt(log_probability=-1.0), False),
        (attempt(log_probability=-1.01), True),
        (attempt(ratio=2.4), False),
        (attempt(ratio=2.41), True),
        (attempt(log_probability=-1.5, no_speech=0.7), False),
        (attempt(log_probability=-1.5, ratio=9.0, no_speech=0.7), False),
        (attempt(ratio=9.0, no_speech=0.7), True),
        (replace(attempt(), fault="rate"), True),
    ],
    ids=[
        "good",
        "just sure",
        "unsure",
        "just varied",
        "repeats",
        "silence",
        "silence repeats",
        "sure but repeats",
        "faster than speech",
    ],
)
def test_when_to_decode_again(made: Attempt, again: bool) -> None:
    assert needs_retry(made, OPTIONS) is again


def test_without_thresholds_anything_goes() -> None:
    anything = DecodeOptions(compression_ratio_threshold=None, log_prob_threshold=None, no_speech_threshold=None)
    bad = attempt(log_probability=-9.0, ratio=9.0, no_speech=0.99)
    assert not needs_retry(bad, anything)
    assert not is_silence(bad, anything)


def test_the_first_that_passes_is_taken() -> None:
    good = attempt(0.2)
    assert choose([attempt(log_probability=-3), good], OPTIONS) is good


def test_where_all_fail_the_likeliest_that_does_not_repeat_is_taken() -> None:
    tries = [
        attempt(0.0, log_probability=-0.1, ratio=5.0),
        attempt(0.2, log_probability=-1.2),
        attempt(0.4, log_probability=-1.9),
    ]
    chosen = choose(tries, OPTIONS)
    assert chosen.avg_log_probability == -1.2
    assert chosen.temperature == 0.4, "the temperature reached"


def test_where_all_repeat_the_likeliest_is_taken() -> None:
    tries = [attempt(0.0, log_probability=-0.3, ratio=5.0), attempt(0.2, log_probability=-0.1, ratio=6.0)]
    assert choose(tries, OPTIONS).compression_ratio == 6.0


@pytest.mark.parametrize(
    ("made", "silent"),
    [
        (attempt(no_speech=0.59), False),
        (attempt(no_speech=0.61, log_probability=-1.2), True),
        (attempt(no_speech=0.61, log_probability=-0.5), False),
    ],
)
def test_silence_needs_both_signs(made: Attempt, silent: bool) -> None:
    assert is_silence(made, OPTIONS) is silent


def test_silence_by_the_models_word_alone() -> None:
    assert is_silence(attempt(no_speech=0.7, log_probability=-0.1), DecodeOptions(log_prob_threshold=None))


def test_compression_ratio_sees_loops() -> None:
    assert compression_ratio("one two three four") < 1.2
    assert compression_ratio("one two " * 40) > 2.4


def test_mean_log_probability_undoes_the_length_penalty() -> None:
    assert mean_log_probability(-6.0, 3, 0.0) == pytest.approx(-1.5)
    assert mean_log_probability(-2.0, 3, 1.0) == pytest.approx(-1.5)
