"""Where the words of a search stand, and what is shown around them."""

from __future__ import annotations

import pytest

from whisperlive_hybrid.engine.hypothesis import Segment, Word
from whisperlive_hybrid.jobs.places import BEFORE_CHARS, SNIPPET_CHARS, Place, places_of, sought


def segment(text: str, start: float = 0.0, words: tuple[Word, ...] = ()) -> Segment:
    return Segment(start, start + 2.0, text, (), 0.0, -0.1, 1.0, 0.01, words, "SPEAKER_00")


def marked(place: Place) -> str:
    """The snippet with its matches in brackets."""
    return "".join(f"[{piece.text}]" if piece.match else piece.text for piece in place.snippet)


@pytest.mark.parametrize(
    ("query", "text", "shown"),
    [
        ("nine", " Six, nine; nine.", "Six, [nine]; [nine]."),
        ("NINE zero", " six nine", "six [nine]"),
        ("uber", " Über uns", "[Über] uns"),
        ("über", " UBER", "[UBER]"),
        ("straße", " STRASSE", "[STRASSE]"),
        ("don't", " I don't", "I [don]'[t]"),
        ("<b>", " a <b>b</b>", "a <[b]>[b]</[b]>"),
    ],
)
def test_words_are_compared_as_a_search_does(query: str, text: str, shown: str) -> None:
    (place,), n = places_of([segment(text)], sought(query), 9)
    assert (marked(place), n) == (shown, 1)


@pytest.mark.parametrize(
    ("query", "prefix", "found"),
    [("ni", False, False), ("ni", True, True), ("six ni", True, True), ("ni six", True, False), ("nines", True, False)],
)
def test_only_the_last_word_may_be_a_beginning(query: str, prefix: bool, found: bool) -> None:
    assert (places_of([segment(" nine")], sought(query, prefix=prefix), 9)[1] == 1) is found


@pytest.mark.parametrize("query", ["", " ", "!?", "zwölf"])
def test_nothing_is_found(query: str) -> None:
    for prefix in (False, True):
        assert places_of([segment(" six nine")], sought(query, prefix=prefix), 9) == ((), 0)


def test_the_time_is_of_the_word_where_it_is_known() -> None:
    words = (Word(" six", 1.0, 1.3, 0.9), Word(" nine,", 1.5, 1.9, 0.9), Word(" two", 2.0, 2.4, 0.9))
    places, _ = places_of([segment(" six nine, two", 1.0, words), segment(" nine", 5.0)], sought("nine"), 9)
    assert [(p.segment, p.start, p.end, p.speaker) for p in places] == [
        (0, 1.5, 3.0, "SPEAKER_00"),
        (1, 5.0, 7.0, "SPEAKER_00"),
    ]


def test_of_many_places_those_with_most_words_are_shown_in_order_of_time() -> None:
    segments = [segment(" six", float(i)) for i in range(20)]
    segments[7] = segment(" six and nine", 7.0)
    places, n = places_of(segments, sought("nine six"), 3)
    assert ([p.start for p in places], n) == ([0.0, 1.0, 7.0], 20)


@pytest.mark.parametrize("at", [0, 1, 30, 98, 99])
def test_long_segments_are_cut_between_words(at: int) -> None:
    text = [f"word{i}" for i in range(100)]
    text[at] = "needle"
    (place,), _ = places_of([segment(" " + " ".join(text))], sought("needle"), 9)
    shown = marked(place)
    assert "[needle]" in shown
    assert len(shown) <= SNIPPET_CHARS + 4
    assert shown.startswith("…") is (at > 1)
    assert shown.endswith("…") is (at < 98)
    assert shown.index("[") <= BEFORE_CHARS + 1 or at > 80
    kept = shown.strip("…").replace("[", "").replace("]", "").split(" ")
    assert all(word in text for word in kept), "cut inside a word"


def test_text_without_spaces_is_cut_anywhere() -> None:
    (place,), _ = places_of([segment(" " + "猫、" * 300)], sought("猫"), 9)
    assert len(marked(place).replace("[", "").replace("]", "")) <= SNIPPET_CHARS + 1
