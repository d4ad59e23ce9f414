"""Timestamps to segments. In these tests 100 is the first timestamp, so 150 is 1.00 s."""

from __future__ import annotations

import pytest

from whisperlive_hybrid.engine.segments import split


def spans(tokens: list[int], duration: float = 10.0) -> list[tuple[float, float, list[int]]]:
    return [(pytest.approx(d.start), pytest.approx(d.end), d.tokens) for d in split(tokens, 100, duration).drafts]


def test_one_segment_closed_by_its_timestamp() -> None:
    result = split([100, 1, 2, 150], 100, 10.0)
    assert spans([100, 1, 2, 150]) == [(0.0, 1.0, [100, 1, 2, 150])]
    assert result.closed
    assert result.consumed_s == 10.0


def test_two_segments() -> None:
    assert spans([100, 1, 150, 150, 2, 200]) == [(0.0, 1.0, [100, 1, 150]), (1.0, 2.0, [150, 2, 200])]


def test_the_unfinished_tail_is_left_for_the_next_window() -> None:
    result = split([100, 1, 150, 160, 2], 100, 10.0)
    assert [d.tokens for d in result.drafts] == [[100, 1, 150]]
    assert not result.closed
    assert result.consumed_s == pytest.approx(1.0)


def test_an_unfinished_tail_too_short_for_a_window_of_its_own_is_taken_as_it_is() -> None:
    tokens = [100, 1, 150, 155, 2]
    assert spans(tokens, 1.45) == [(0.0, 1.0, [100, 1, 150]), (1.1, 1.45, [155, 2])]
    assert split(tokens, 100, 1.45).consumed_s == 1.45
    assert len(spans(tokens, 1.5)) == 1
    assert spans([100, 1, 150, 150], 1.2) == [(0.0, 1.0, [100, 1, 150])]


def test_a_pair_at_the_end_is_where_the_next_window_begins() -> None:
    result = split([100, 1, 150, 150], 100, 10.0)
    assert [d.tokens for d in result.drafts] == [[100, 1, 150]]
    assert result.consumed_s == pytest.approx(1.0)


def test_without_timestamps_the_segment_is_the_window() -> None:
    result = split([1, 2], 100, 3.5)
    assert spans([1, 2], 3.5) == [(0.0, 3.5, [1, 2])]
    assert (result.closed, result.consumed_s) == (False, 3.5)


def test_a_lone_start_timestamp_at_zero_ends_with_the_window() -> None:
    assert spans([100, 1, 2], 3.5) == [(0.0, 3.5, [100, 1, 2])]


def test_nothing_written() -> None:
    assert spans([], 2.0) == [(0.0, 2.0, [])]


def test_a_window_always_moves_on() -> None:
    """A pair at zero would send the next window to the same place for ever."""
    assert split([100, 100, 1], 100, 10.0).consumed_s == 10.0
