"""Where one utterance was cut by force and the next repeats its last moment: the words heard twice. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from whisperlive_hybrid.engine.hypothesis import Word
from whisperlive_hybrid.live.transcript import key_of

MAX_REPEATED: Final = 3
"""Words that fit into the repeated moment at most, with the slack of the model's times."""
SLACK_S: Final = 0.15
"""How far a word's time may be off."""


def n_repeated(before: Sequence[Word], after: Sequence[Word], cut: float) -> int:
    """Leading words of `after` that `before` already ended with.

    Both are the words around a cut at `cut` seconds. Equal words alone prove nothing (people do say "five five"), so a
    word counts as repeated only where its time says that the first utterance heard it too.
    """
    for n in range(min(MAX_REPEATED, len(before), len(after)), 0, -1):
        head, tail = after[:n], before[len(before) - n :]
        same = [key_of(w.text) for w in head] == [key_of(w.text) for w in tail]
        if same and head[-1].start < cut and tail[0].end > after[0].start - SLACK_S:
            return n
    return 0
