"""Tokens of a window to segments: Whisper writes a timestamp before and after each stretch of speech. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

TIMESTAMP_STEP_S = 0.02
MIN_REST_S = 0.5
"""Audio that is heard again when the model stopped before it, at least. Less is silence behind the last word, of which
Whisper makes words, or holds a word that the model had begun to write."""


@dataclass(slots=True)
class TimedWord:
    """A word while its times are worked out; seconds from the start of the window."""

    text: str
    tokens: list[int]
    start: float
    end: float
    probability: float

    @property
    def duration(self) -> float:
        return self.end - self.start


@dataclass(slots=True)
class Draft:
    """A segment in the making; seconds from the start of the window."""

    start: float
    end: float
    tokens: list[int]
    words: list[TimedWord] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Split:
    """What the tokens of a window say about time."""

    drafts: list[Draft]
    closed: bool
    """The last token is a lone timestamp: nothing is spoken after it."""
    consumed_s: float
    """Where the next window of the same audio begins."""


def split(tokens: Sequence[int], timestamp_begin: int, duration_s: float) -> Split:
    """Cut at every pair of timestamps. Text after the last pair is unfinished and left to the next window.

    Where less than `MIN_REST_S` is left for that, there will be none: the text is taken as it is, up to the end.
    """

    def is_time(i: int) -> bool:
        return tokens[i] >= timestamp_begin

    def time(i: int) -> float:
        return (tokens[i] - timestamp_begin) * TIMESTAMP_STEP_S

    n = len(tokens)
    closed = n >= 2 and is_time(n - 1) and not is_time(n - 2)
    cuts = [i for i in range(1, n) if is_time(i) and is_time(i - 1)]
    if not cuts:
        end = next((time(i) for i in reversed(range(n)) if is_time(i)), 0.0) or duration_s
        return Split([Draft(0.0, end, list(tokens))], closed, duration_s)
    if closed:
        cuts.append(n)
    drafts = [
        Draft(time(first), time(after - 1), list(tokens[first:after]))
        for first, after in zip([0, *cuts], cuts, strict=False)
    ]
    consumed = duration_s if closed else time(cuts[-1] - 1)
    unfinished = list(tokens[cuts[-1] :])
    if consumed < duration_s < consumed + MIN_REST_S and any(t < timestamp_begin for t in unfinished):
        drafts.append(Draft(min(time(cuts[-1]), duration_s) if is_time(cuts[-1]) else consumed, duration_s, unfinished))
        consumed = duration_s
    # A window that says it consumed nothing would be asked again for ever.
    return Split(drafts, closed, consumed if consumed > 0 else duration_s)
