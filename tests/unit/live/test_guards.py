from __future__ import annotations

import pytest

from tests.support.live_script import Talk
from whisperlive_hybrid.engine.hypothesis import Word
from whisperlive_hybrid.engine.window import Lane
from whisperlive_hybrid.live.events import Partial
from whisperlive_hybrid.live.guards import is_noise, without_squeezed
from whisperlive_hybrid.live.transcript import Token, key_of


def word(text: str, start: float | None, end: float | None) -> Token:
    return Token(" " + text, key_of(text), end, start, 0.9)


def test_words_that_alignment_squeezes_into_the_last_moment_are_dropped() -> None:
    said = [word("one", 0.1, 0.4), word("a", 0.4, 0.44), word("two", 0.5, 0.9)]
    assert without_squeezed(said, 0.1) == tuple(said)
    made_up = [word("three", 1.18, 1.2), word("four", 1.2, 1.2)]
    assert without_squeezed([*said, *made_up], 0.1) == tuple(said)
    assert without_squeezed([], 0.1) == ()
    assert without_squeezed([word("one", None, None)], 0.1) == (word("one", None, None),)


@pytest.mark.parametrize(
    ("speech_s", "probabilities", "language", "noise"),
    [
        (0.2, [0.5], 1.0, True),
        (0.2, [0.9], 1.0, False),
        (0.2, [0.9], 0.7, True),
        (0.5, [0.3], 0.3, False),
        (0.2, [0.9, 0.4], 1.0, True),
        (0.2, [], 0.0, False),
    ],
)
def test_a_short_and_doubtful_utterance_is_noise(
    speech_s: float, probabilities: list[float], language: float, noise: bool
) -> None:
    words = [Word(" two.", 0.1, 0.3, p) for p in probabilities]
    assert is_noise(speech_s, words, language, least_s=0.3, sure=0.75) is noise


@pytest.mark.parametrize(("seconds", "probability", "told"), [(0.43, 0.4, False), (0.43, 0.9, True), (0.7, 0.4, True)])
def test_nothing_is_told_of_a_knock(seconds: float, probability: float, told: bool) -> None:
    talk = Talk()
    talk.start(1.0)
    talk.hear(seconds)  # 0.2 s of pre-roll among them
    talk.pause()
    assert talk.window(Lane.FINAL).options.word_times is (seconds < 0.5)
    said = (" two.", 1.2, 1.4, probability)
    words = [said] if seconds < 0.5 else None
    talk.answer("two.", words=words)
    assert any(isinstance(e, Partial) for e in talk.events) is told
    talk.end()
    assert [f.text for f in talk.finals] == (["two."] if told else [])


def test_a_short_word_cut_off_by_stop_is_no_knock() -> None:
    talk = Talk()
    talk.start(1.0)
    talk.hear(0.33)
    talk.end("flush")
    talk.answer("two.", words=[(" two.", 1.2, 1.3, 0.2)])
    assert [f.text for f in talk.finals] == ["two."]
