"""Rules for word times, one by one; the whole is compared with faster-whisper in tests/contracts."""

from __future__ import annotations

import pytest

from whisperlive_hybrid.engine.segments import Draft, TimedWord
from whisperlive_hybrid.engine.words import (
    agree_with_timestamps,
    attach_punctuation,
    shorten_after_pause,
    shorten_at_sentence_ends,
    usual_durations,
)


def words(*items: tuple[str, float, float]) -> list[TimedWord]:
    return [TimedWord(text, [i], start, end, 0.9) for i, (text, start, end) in enumerate(items)]


def times(items: list[TimedWord]) -> list[tuple[str, float, float]]:
    return [(w.text, pytest.approx(w.start), pytest.approx(w.end)) for w in items]


def test_usual_durations_ignore_empty_words_and_have_a_limit() -> None:
    assert usual_durations(words((" a", 0, 0.2), (" b", 0.2, 0.2), (" c", 0.2, 0.6))) == pytest.approx((0.3, 0.6))
    assert usual_durations(words((" a", 0, 5.0))) == pytest.approx((0.7, 1.4))
    assert usual_durations([]) == (0.0, 0.0)


def test_a_full_stop_does_not_swallow_the_pause() -> None:
    stop_long = words((" a", 0, 0.3), (".", 0.3, 3.0), (" b", 3.0, 3.3))
    shorten_at_sentence_ends(stop_long, 0.6)
    assert times(stop_long)[1] == (".", 0.3, 0.9)
    next_long = words((" a", 0, 0.3), (".", 0.3, 0.4), (" b", 0.4, 3.3))
    shorten_at_sentence_ends(next_long, 0.6)
    assert times(next_long)[2] == (" b", 2.7, 3.3)
    elsewhere = words((" a", 0, 0.3), (" b", 0.3, 3.3))
    shorten_at_sentence_ends(elsewhere, 0.6)
    assert times(elsewhere)[1] == (" b", 0.3, 3.3)


def test_punctuation_joins_its_word_and_keeps_the_words_times() -> None:
    items = words(
        (' "', 0, 0.1), (" one", 0.1, 0.5), (",", 0.5, 0.6), (" two", 0.6, 1.0), (".", 1.0, 1.1), ('"', 1.1, 1.2)
    )
    attach_punctuation(items)
    assert [w.text for w in items] == ["", ' " one,', "", ' two."', "", ""]
    assert times(items)[1][1:] == (0.1, 0.5)
    assert [t for w in items for t in w.tokens] == [0, 1, 2, 3, 4, 5]


def test_a_long_first_word_after_a_pause_loses_its_beginning() -> None:
    items = words((" one", 1.0, 4.0), (" two", 4.0, 4.3))
    shorten_after_pause(items, 0.0, 0.3, 0.6)
    assert times(items) == [(" one", 3.4, 4.0), (" two", 4.0, 4.3)]


def test_two_long_words_after_a_pause_share_the_cut() -> None:
    items = words((" one", 1.0, 3.0), (" two", 3.0, 5.0))
    shorten_after_pause(items, 0.0, 0.3, 0.6)
    assert times(items) == [(" one", 3.8, 4.4), (" two", 4.4, 5.0)]


def test_words_of_usual_length_or_without_a_pause_stay() -> None:
    usual = words((" one", 5.0, 5.4), (" two", 5.4, 5.8))
    shorten_after_pause(usual, 0.0, 0.3, 0.6)
    assert times(usual)[0] == (" one", 5.0, 5.4)
    no_pause = words((" one", 5.0, 7.0))
    shorten_after_pause(no_pause, 6.5, 0.3, 0.6)
    assert times(no_pause)[0] == (" one", 5.0, 7.0)


def test_a_segment_takes_the_times_of_its_words() -> None:
    draft = Draft(1.0, 2.0, [], words((" one", 0.8, 1.2), (" two", 1.2, 2.2)))
    agree_with_timestamps(draft, 0.3)
    assert (draft.start, draft.end) == (0.8, 2.2)


def test_words_far_outside_take_the_times_of_the_segment() -> None:
    draft = Draft(1.0, 2.0, [], words((" one", 0.2, 1.2), (" two", 1.2, 4.0)))
    agree_with_timestamps(draft, 0.3)
    assert (draft.start, draft.end) == (1.0, 2.0)
    assert times(draft.words) == [(" one", 0.9, 1.2), (" two", 1.2, 2.0)]
