"""Which turn a span of text belongs to."""

from __future__ import annotations

from whisperlive_hybrid.diarization.assign import speakers_of
from whisperlive_hybrid.diarization.turns import Turn

TURNS = [Turn(1.0, 2.0, "A"), Turn(2.0, 5.0, "B"), Turn(10.0, 11.0, "A")]


def test_a_span_is_whose_turn_covers_most_of_it() -> None:
    assert speakers_of([(1.0, 1.5), (1.7, 2.2), (1.9, 2.4), (0.0, 12.0)], TURNS) == ["A", "A", "B", "B"]


def test_a_span_outside_belongs_to_the_nearest_turn_within_a_second() -> None:
    assert speakers_of([(0.0, 0.2), (5.5, 5.6), (9.4, 9.5), (7.0, 7.5)], TURNS) == ["A", "B", "A", None]


def test_no_turns_no_speakers() -> None:
    assert speakers_of([(0.0, 1.0)], []) == [None]


def test_a_long_turn_before_short_ones_is_not_forgotten() -> None:
    turns = [Turn(0.0, 100.0, "A"), *(Turn(t, t + 0.1, "B") for t in range(1, 60))]
    assert speakers_of([(90.0, 91.0)], turns) == ["A"]
