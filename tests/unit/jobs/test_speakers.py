"""Segments split where their speaker changes."""

from __future__ import annotations

from whisperlive_hybrid.diarization.turns import Turn
from whisperlive_hybrid.engine.hypothesis import Segment, Word
from whisperlive_hybrid.jobs.speakers import with_speakers, without_words

TURNS = (Turn(0.0, 2.0, "A"), Turn(2.0, 4.0, "B"))


def spoken(text: str, start: float = 0.0) -> Segment:
    words = tuple(Word(f" {w}", start + i, start + i + 0.9, 0.9) for i, w in enumerate(text.split()))
    return Segment(start, words[-1].end, f" {text}", (1, 2, 3), 0.0, -0.1, 1.0, 0.01, words)


def test_a_segment_of_one_speaker_stays_as_it_is_but_for_the_name() -> None:
    (segment,) = with_speakers([spoken("one two")], TURNS)

    assert (segment.text, segment.tokens, segment.speaker) == (" one two", (1, 2, 3), "A")
    assert [w.speaker for w in segment.words] == ["A", "A"]


def test_a_segment_is_split_at_the_word_and_no_text_is_lost() -> None:
    segments = with_speakers([spoken("one two three four")], TURNS)

    assert [(s.text, s.speaker, s.start, s.end) for s in segments] == [
        (" one two", "A", 0.0, 1.9),
        (" three four", "B", 2.0, 3.9),
    ]
    assert "".join(s.text for s in segments) == " one two three four"
    assert all(w.speaker == s.speaker for s in segments for w in s.words)


def test_a_word_of_nobody_is_its_neighbours() -> None:
    segments = with_speakers([spoken("one two", 8.0), spoken("a b c d e f", 1.0)], TURNS)

    assert [(s.text, s.speaker) for s in segments] == [(" one two", None), (" a", "A"), (" b c d e f", "B")]


def test_words_that_are_not_the_text_split_nothing() -> None:
    odd = Segment(0.0, 4.0, " one  two", (), 0.0, -0.1, 1.0, 0.01, (Word(" one", 0, 1, 0.9), Word(" two", 3, 4, 0.9)))

    (segment,) = with_speakers([odd], (Turn(0.0, 3.0, "A"), Turn(3.0, 4.0, "B")))

    assert (segment.speaker, segment.text) == ("A", " one  two")


def test_without_words() -> None:
    assert without_words(with_speakers([spoken("one two")], TURNS))[0].words == ()
