"""Who said what: spans of text given the speakers of the turns they lie in. Pure."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from whisperlive_hybrid.diarization.turns import Turn

REACH_S: Final = 1.0
"""A span outside every turn belongs to the nearest one, if that is no further away."""


def speakers_of(spans: Sequence[tuple[float, float]], turns: Sequence[Turn]) -> list[str | None]:
    """The speaker of each span (start and end in seconds): who talks longest in it, else who talks nearest to it.

    `turns` are in order of their starts. None where nobody talks within REACH_S.
    """
    starts = [turn.start for turn in turns]
    ends = list(accumulate((turn.end for turn in turns), max))
    return [_speaker_of(start, end, turns, starts, ends) for start, end in spans]


def _speaker_of(
    start: float, end: float, turns: Sequence[Turn], starts: Sequence[float], ends: Sequence[float]
) -> str | None:
    first = bisect.bisect_left(ends, start - REACH_S)
    last = bisect.bisect_right(starts, end + REACH_S)
    talked: dict[str, float] = {}
    nearest: tuple[float, str] | None = None
    for turn in turns[first:last]:
        overlap = min(end, turn.end) - max(start, turn.start)
        if overlap > 0:
            talked[turn.speaker] = talked.get(turn.speaker, 0.0) + overlap
        elif nearest is None or -overlap < nearest[0]:
            nearest = -overlap, turn.speaker
    if talked:
        return max(talked, key=lambda speaker: talked[speaker])
    return nearest[1] if nearest is not None and nearest[0] <= REACH_S else None
