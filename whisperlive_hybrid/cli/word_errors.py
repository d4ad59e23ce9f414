"""Words heard against words said: how many are wrong, and which were said where. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whisperlive_hybrid.live.transcript import key_of, split_words


def words_of(text: str) -> list[str]:
    """Words to compare: without case and punctuation, character by character where no spaces are written."""
    return [key for key in map(key_of, split_words(text)) if key]


def distances(heard: Sequence[str], said: Sequence[str]) -> NDArray[np.int32]:
    """Levenshtein's distance of the first i words heard and the first j said: [len(heard) + 1, len(said) + 1]."""
    numbers: dict[str, int] = {}
    of_said = np.array([numbers.setdefault(word, len(numbers)) for word in said], np.int32)
    steps = np.arange(len(said) + 1, dtype=np.int32)
    table = np.empty((len(heard) + 1, len(said) + 1), np.int32)
    table[0] = steps
    for i, word in enumerate(heard, 1):
        row = table[i - 1] + 1
        row[1:] = np.minimum(row[1:], table[i - 1, :-1] + (of_said != numbers.get(word, -1)))
        # A word left out costs one more than what is left of it: the least of all that is to the left, and the way.
        table[i] = np.minimum.accumulate(row - steps) + steps
    return table


def n_errors(heard: Sequence[str], said: Sequence[str]) -> int:
    """Words wrong, left out or too many."""
    return int(distances(heard, said)[-1, -1])


def shared_out(said: Sequence[str], heard: Sequence[Sequence[tuple[str, float]]]) -> list[list[tuple[str, float]]]:
    """What was said, shared out among the utterances in which it was heard, with the times (s) of what was heard.

    A word that was not heard goes to the utterance of the word before it, and ends when that one does.
    """
    places = [(utterance, end) for utterance, words in enumerate(heard) for _, end in words]
    flat = [word for words in heard for word, _ in words]
    shared: list[list[tuple[str, float]]] = [[] for _ in heard]
    if not heard:
        return shared
    table = distances(flat, said)
    i, j = len(flat), len(said)
    matched: list[int | None] = [None] * len(said)
    while i and j:
        if table[i, j] == table[i - 1, j - 1] + (flat[i - 1] != said[j - 1]):
            i, j = i - 1, j - 1
            matched[j] = i
        elif table[i, j] == table[i - 1, j] + 1:
            i -= 1
        else:
            j -= 1
    utterance, end = 0, 0.0
    for word, place in zip(said, matched, strict=True):
        utterance, end = (utterance, end) if place is None else places[place]
        shared[utterance].append((word, end))
    return shared
