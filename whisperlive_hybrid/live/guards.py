"""What the engine wrote but nobody said: half words at the end of a partial, a word made of a knock. Pure.

The engine guards against loops and text too fast for its audio; what is here needs to know where in an utterance a text
stands. Finals are held to less, since they hear the utterance to its end.
"""

from __future__ import annotations

from collections.abc import Sequence

from whisperlive_hybrid.engine.hypothesis import Word
from whisperlive_hybrid.live.transcript import Token


def without_squeezed(tokens: Sequence[Token], shortest_s: float) -> tuple[Token, ...]:
    """`tokens` without those at the end that last less than `shortest_s` seconds.

    A model that hears the beginning of a word makes up a whole one, and often one more: alignment finds no audio for
    them and squeezes them into its last moment.
    """
    n = len(tokens)
    while n and (length := _length_s(tokens[n - 1])) is not None and length < shortest_s:
        n -= 1
    return tuple(tokens[:n])


def _length_s(token: Token) -> float | None:
    return None if token.start is None or token.end is None else token.end - token.start


def is_noise(
    speech_s: float, words: Sequence[Word], language_probability: float, *, least_s: float, sure: float
) -> bool:
    """Whether a whole utterance with `speech_s` seconds of speech is taken for a knock, a click, a cough.

    Such a sound may pass for speech for a moment, and a model finds a word for it, but its language, where that has to
    be detected, and the word, aligned with the audio, are together less than `sure`. The mean probability of tokens
    does not tell the two apart: it counts the punctuation.
    """
    if speech_s >= least_s or not words:
        return False
    return language_probability * sum(w.probability for w in words) / len(words) < sure
