"""What no person can have said: text too fast for its audio, loops, text behind the end. Pure decisions.

Compression (`fallback`) catches loops of some length only, and people do repeat themselves ("five five five"). Speed
does not lie: a model that loops writes until it is stopped, ten times faster than anybody talks.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from whisperlive_hybrid.engine.segments import Draft

Fault: TypeAlias = Literal["rate", "loop"]
"""Why a text is not believed: faster than speech, or faster than repetitions are, and one thing over and over."""

FASTEST_RATE = 30.0
"""Letters a second that nobody exceeds. Fast speech has about 8 syllables a second, of 2 to 3 letters each."""
FASTEST_REPETITION = 20.0
"""Letters a second in text that is mostly one thing over and over: "five five five" has half as many."""
MIN_ROUNDS = 3
"""Times the same is written in a row before it counts as a loop."""
LONGEST_ROUND = 60
"""Tokens of what is repeated, at most."""
_WIDE = 2.0
"""An East Asian character stands for a syllable or more: it counts as two letters."""
SURE = 0.5
"""Probability above which a token that is verified is still the likeliest: all others share less than the rest."""
LONGEST_SILENCE_S = 1.2
"""Audio after the last word that is verified, at most: more may hold another."""
_TOKENS_PER_SECOND = 15
"""Of partials. Whisper's own bound is half as much (224 tokens in 30 s)."""
_TOKENS_BESIDE = 16
"""Of partials, for timestamps and for words that had begun."""


@dataclass(frozen=True, slots=True)
class Loop:
    """The same `period` items, `rounds` times from `start` on; a part of one more round may follow, up to `end`."""

    start: int
    period: int
    rounds: int
    end: int


def text_rate(text: str, seconds: float) -> float:
    """Letters and digits for each second of audio."""
    letters = sum(_WIDE if unicodedata.east_asian_width(c) in "WF" else 1.0 for c in text if c.isalnum())
    return letters / seconds if seconds > 0 else math.inf if letters else 0.0


def find_loop(items: Sequence[int]) -> Loop | None:
    """The longest stretch that repeats itself `MIN_ROUNDS` times or more, with the shortest period that it has."""
    best: Loop | None = None
    n = len(items)
    for period in range(1, min(LONGEST_ROUND, n // MIN_ROUNDS) + 1):
        start = 0
        while start + period < n:
            end = start + period
            while end < n and items[end] == items[end - period]:
                end += 1
            rounds = (end - start) // period
            if rounds >= MIN_ROUNDS and (best is None or end - start > best.end - best.start):
                best = Loop(start, period, rounds, end)
            start = max(start + 1, end - period + 1)
    return best


def fault_of(text: str, text_tokens: Sequence[int], seconds: float) -> Fault | None:
    """What is wrong with a text for so much audio, as far as that can be told from its speed."""
    rate = text_rate(text, seconds)
    if rate <= FASTEST_REPETITION:
        return None
    loop = find_loop(text_tokens)
    if loop is not None and 2 * (loop.end - loop.start) >= len(text_tokens):
        return "loop"
    return "rate" if rate > FASTEST_RATE else None


def cut_loop(tokens: Sequence[int], end_of_text: int) -> tuple[int, ...]:
    """The tokens with only the first round of their longest loop; what stands before and after it is kept.

    Timestamps (above `end_of_text`) do not count as repeated; those within what is cut go with it, those behind stay.
    """
    places = [i for i, token in enumerate(tokens) if token < end_of_text]
    loop = find_loop([tokens[i] for i in places])
    if loop is None:
        return tuple(tokens)
    return (*tokens[: places[loop.start + loop.period - 1] + 1], *tokens[places[loop.end - 1] + 1 :])


def before_the_end(drafts: Sequence[Draft], seconds: float) -> list[Draft]:
    """The segments that begin while there is audio. Behind it lies padding, in which nobody speaks."""
    return [draft for draft in drafts if draft.start < seconds]


def holds(drafts: Sequence[Draft], probabilities: Sequence[float], seconds: float) -> bool:
    """Whether aligned text is still what is heard in so much audio. `probabilities`: of its text tokens.

    They are probabilities among text tokens only, so they do not tell whether there is more to be said; the audio that
    is left after the last word has to.
    """
    ends = [word.end for draft in drafts for word in draft.words]
    return bool(ends) and min(probabilities) > SURE and seconds - ends[-1] <= LONGEST_SILENCE_S


def max_new_tokens(seconds: float) -> int:
    """Tokens that a partial of so much audio may have. One that loops must not hold up its batch."""
    return _TOKENS_BESIDE + math.ceil(_TOKENS_PER_SECOND * seconds)
