from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.live.metrics import (
    Errors,
    Spread,
    align,
    committed_erased,
    erased,
    errors,
    final_times,
    lasting_times,
    session_figures,
    summarize,
    tail_delivered,
)
from benchmarks.live.wire import Update
from benchmarks.material import SpokenWord

TEXTS = st.lists(st.sampled_from(["one", "two", "three"]), max_size=8)


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def screen(at: float, final: str, open_text: str = "", committed: int = 0) -> Update:
    return Update(at, words(final), words(open_text), committed)


SAID = (
    SpokenWord("one", 1.0, 1.5, 0),
    SpokenWord("two", 1.6, 2.0, 0),
    SpokenWord("two", 4.0, 4.5, 1),
)


def test_an_alignment_counts_each_kind_of_error() -> None:
    reference, heard = words("one two three four"), words("one three three four five")
    counted = errors(reference, heard, align(reference, heard))
    assert counted == Errors(4, substitutions=1, deletions=0, insertions=1)
    assert counted.rate == 0.5
    assert math.isnan(Errors().rate)
    assert Errors(4, 1) + Errors(4, 0, 1, 2) == Errors(8, 1, 1, 2)


@given(TEXTS, TEXTS)
def test_an_alignment_holds_every_word_once_in_order_and_is_no_longer_than_needed(a: list[str], b: list[str]) -> None:
    pairs = align(a, b)
    assert [i for i, _ in pairs if i is not None] == list(range(len(a)))
    assert [j for _, j in pairs if j is not None] == list(range(len(b)))
    counted = errors(a, b, pairs)
    total = counted.substitutions + counted.deletions + counted.insertions
    assert abs(len(a) - len(b)) <= total <= max(len(a), len(b))
    assert (total == 0) == (a == b)


def test_words_that_cannot_be_the_same_are_not_paired() -> None:
    assert align(["two", "two"], ["two"]) == [(0, 0), (1, None)]
    assert align(["two"], ["two", "two"]) == [(0, 0), (None, 1)]
    assert align(["two", "two"], ["two"], lambda i, j: i == 1) == [(0, None), (1, 0)]


def test_erasure_counts_words_that_are_taken_back() -> None:
    updates = [
        screen(1, "", "one"),
        screen(2, "", "one five six"),
        screen(3, "", "one two"),  # "five six" taken back
        screen(4, "one two"),
        screen(5, "one two", "three"),
        screen(6, "one two"),  # "three" taken back
    ]
    assert erased(updates) == 3


def test_a_final_may_change_committed_words_and_nothing_else_may() -> None:
    updates = [
        screen(1, "", "one two three", committed=2),
        screen(2, "", "one two four", committed=2),
        screen(3, "one too", ""),
        screen(4, "one too", "five", committed=1),
        screen(5, "one too", "six", committed=1),
    ]
    assert committed_erased(updates) == (1, 1)


def test_words_are_final_with_the_update_that_first_has_them_so() -> None:
    assert final_times([screen(1, ""), screen(2, "one two"), screen(3, "one two"), screen(4, "one two three")]) == [
        2,
        2,
        4,
    ]


def test_a_word_is_shown_when_it_comes_to_stay() -> None:
    updates = [
        screen(1.7, "", "one"),
        screen(2.0, "", "one two"),
        screen(2.3, "", "one six"),  # "two" is gone again
        screen(2.5, "", "one two", committed=1),
        screen(3.0, "one two"),
        screen(5.0, "one two two"),
    ]
    never_before = [-math.inf] * 3
    assert lasting_times(updates, never_before) == [1.7, 2.5, 5.0]
    assert lasting_times(updates, never_before, committed_only=True) == [2.5, 3.0, 5.0]


def test_a_word_shown_before_it_was_said_is_another_one() -> None:
    updates = [screen(2.0, "", "one two two"), screen(4.4, "", "one two two"), screen(5.0, "one two two")]
    assert lasting_times(updates, [1.0, 1.6, 4.0]) == [2.0, 2.0, 4.4]


def test_an_insertion_that_goes_again_does_not_make_later_words_late() -> None:
    updates = [screen(2.0, "", "zero one two"), screen(3.0, "one two")]
    assert lasting_times(updates, [-math.inf] * 2) == [2.0, 2.0]


def test_the_figures_of_a_session() -> None:
    updates = [
        screen(1.9, "", "one"),
        screen(2.4, "", "one two", committed=1),
        screen(3.0, "one two"),
        screen(5.0, "one two", "two"),
        screen(5.5, "one two two"),
    ]
    figures = session_figures(SAID, updates)
    assert figures.errors == Errors(3)
    assert figures.first_shown == pytest.approx([0.4, 0.4, 0.5])
    assert figures.committed == pytest.approx([0.9, 1.0, 1.0])
    assert figures.word_final == pytest.approx([1.5, 1.0, 1.0])
    assert figures.utterance_final == pytest.approx([1.0, 1.0])
    assert (figures.erased, figures.final_words, figures.text) == (0, 3, "one two two")


def test_an_utterance_that_never_comes_counts_as_infinitely_late() -> None:
    figures = session_figures(SAID, [screen(3.0, "one two")])
    assert figures.utterance_final == [pytest.approx(1.0), math.inf]
    assert figures.errors == Errors(3, deletions=1)
    assert session_figures(SAID, []).utterance_final == [math.inf, math.inf]


def test_a_wrong_word_in_its_place_is_no_word_that_never_came() -> None:
    figures = session_figures(SAID, [screen(3.0, "one two"), screen(5.5, "one two ten")])
    assert figures.utterance_final == pytest.approx([1.0, 1.0])
    assert len(figures.first_shown) == 2


def test_the_tail_is_the_last_utterance() -> None:
    assert tail_delivered(SAID, [screen(3.0, "one two", "two")]) == (0, 1, 1)
    assert tail_delivered(SAID, [screen(3.0, "one two two")]) == (1, 1, 1)
    assert tail_delivered(SAID, []) == (0, 0, 1)


def test_sessions_are_pooled_not_averaged() -> None:
    good = session_figures(SAID, [screen(3.0, "one two"), screen(5.5, "one two two")])
    bad = session_figures(SAID, [screen(3.0, "", "one six"), screen(3.5, "one two")])
    together = summarize([good, bad])
    assert together.errors == Errors(6, deletions=1)
    assert together.erased_per_word == pytest.approx(1 / 5)
    assert together.utterance_final.n == 4
    assert together.utterance_final.p95 == math.inf
    assert together.never_final == 1


def test_percentiles_of_nothing_are_no_numbers() -> None:
    assert math.isnan(Spread.of([]).p50)
    assert Spread.of([float(i) for i in range(101)]) == Spread(50, 95, 99, 101)
