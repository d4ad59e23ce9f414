"""The speaker book: made-up voices come one segment after the other."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whisperlive_hybrid.diarization.clustering import KnownVoice
from whisperlive_hybrid.diarization.speaker_book import Book, BookRules, Named, add, book_with
from whisperlive_hybrid.diarization.voices import Piece, Vectors, unit

DIMENSION = 64
RULES = BookRules()


def voice(number: int, *, noise: float = 0.03, seed: int = 0) -> Vectors:
    rng = np.random.default_rng([number, seed])
    return unit(np.eye(DIMENSION)[number] + noise * rng.normal(size=DIMENSION))


class Talk:
    """Feeds a book and keeps what a client would know of each segment."""

    def __init__(self, book: Book | None = None, rules: BookRules = RULES, max_speakers: int | None = None) -> None:
        self.book = book or Book()
        self.rules = rules
        self.max_speakers = max_speakers
        self.at = 0.0
        self.told: dict[int, str | None] = {}
        self.last: Named | None = None

    def say(self, *voices: tuple[Vectors, float]) -> str | None:
        """One segment in which these voices speak for so many seconds."""
        pieces = []
        for vector, length in voices:
            pieces.append(Piece(self.at, self.at + length, vector))
            self.at += length
        segment = len(self.told)
        self.book, self.last = add(self.book, segment, pieces, self.rules, self.max_speakers)
        self.told[segment] = self.last.speaker
        self.told.update(dict(self.last.also))
        return self.last.speaker


def test_a_new_speaker_a_known_one_and_the_first_again() -> None:
    talk = Talk()

    said = [talk.say((voice(n, seed=i), 3.0)) for i, n in enumerate((1, 1, 2, 1, 2, 3))]

    assert said == ["SPEAKER_00", "SPEAKER_00", "SPEAKER_01", "SPEAKER_00", "SPEAKER_01", "SPEAKER_02"]
    assert talk.last is not None
    assert talk.last.confidence > 0.5


def test_a_moment_of_a_stranger_is_nobody_until_there_is_more_of_it() -> None:
    talk = Talk()
    talk.say((voice(1), 3.0))

    assert talk.say((voice(2), 0.5)) is None
    assert talk.say((voice(2, seed=1), 2.0)) == "SPEAKER_01"
    assert talk.last is not None
    assert talk.last.also == ((1, "SPEAKER_01"),), "the moment before is named now"


def test_a_segment_in_which_the_speaker_changes_has_turns() -> None:
    talk = Talk()
    talk.say((voice(1), 3.0))
    talk.say((voice(2), 3.0))

    assert talk.say((voice(1, seed=2), 2.0), (voice(2, seed=2), 4.0)) == "SPEAKER_01"
    assert talk.last is not None
    assert talk.last.turns == ((6.0, 8.0, "SPEAKER_00"), (8.0, 12.0, "SPEAKER_01"))


def test_nobody_is_heard_in_a_segment_without_voices() -> None:
    talk = Talk()

    assert talk.say() is None
    assert talk.book == Book()


def test_what_turns_out_to_be_one_speaker_becomes_one() -> None:
    """Two clips far apart, then one between them: average linkage joins all three."""
    a, b = np.eye(DIMENSION, dtype=np.float32)[:2]
    left, right, middle = unit(a + 0.25 * b), unit(0.25 * a + b), unit(a + b)
    talk = Talk(rules=BookRules(same=0.6))
    talk.say((left, 2.0))
    talk.say((right, 2.0))
    assert list(talk.told.values()) == ["SPEAKER_00", "SPEAKER_01"]

    for _ in range(4):
        talk.say((middle, 2.0))

    assert set(talk.told.values()) == {"SPEAKER_00"}, "the earlier segment is corrected"


def test_known_speakers_have_their_names_and_are_never_joined() -> None:
    known = [KnownVoice("Anna", voice(1)), KnownVoice("Anna's sister", voice(1, noise=0.1, seed=9))]
    talk = Talk(book_with(known, RULES))

    assert talk.say((voice(1, seed=1), 0.6)) == "Anna", "little speech is enough for a voice that is known"
    assert talk.say((voice(2), 3.0)) == "SPEAKER_00"
    assert {s.name for s in talk.book.speakers} == {"Anna", "Anna's sister", "SPEAKER_00"}


@pytest.mark.parametrize("most", [1, 2])
def test_no_more_speakers_than_allowed(most: int) -> None:
    talk = Talk(max_speakers=most)
    for i in range(12):
        talk.say((voice(i % 4, seed=i), 3.0))

    assert len({name for name in talk.told.values() if name}) == most


def test_memory_is_bounded_and_who_was_forgotten_is_known_again() -> None:
    talk = Talk(rules=BookRules(remembered=4))
    talk.say((voice(1), 3.0))
    talk.say((voice(2), 3.0))
    for i in range(20):
        talk.say((voice(2, seed=i), 3.0))

    assert len(talk.book.newest) == 4
    assert talk.say((voice(1, seed=7), 3.0)) == "SPEAKER_00"
    assert len(msgspec.msgpack.encode(talk.book)) < 4000


def test_a_book_goes_on_after_it_was_written_down() -> None:
    talk = Talk()
    for i in range(5):
        talk.say((voice(i % 2, seed=i), 3.0))
    again = Talk(msgspec.msgpack.decode(msgspec.msgpack.encode(talk.book), type=Book))
    again.told, again.at = dict(talk.told), talk.at

    assert again.book == talk.book
    assert again.say((voice(0, seed=9), 3.0)) == talk.say((voice(0, seed=9), 3.0)) == "SPEAKER_00"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 4), st.floats(0.2, 5)), max_size=3), min_size=1, max_size=30),
    st.floats(0.01, 0.4),
    st.integers(2, 8),
    st.one_of(st.none(), st.integers(1, 3)),
)
def test_whatever_is_said_the_client_and_the_book_agree(
    segments: list[list[tuple[int, float]]], noise: float, remembered: int, most: int | None
) -> None:
    talk = Talk(rules=BookRules(remembered=remembered), max_speakers=most)
    for i, said in enumerate(segments):
        talk.say(*((voice(n, noise=noise, seed=i), length) for n, length in said))
        assert len(talk.book.newest) <= remembered
        names = [s.name for s in talk.book.speakers]
        assert len(set(names)) == len(names)
        owners = {s.number for s in talk.book.speakers}
        for piece in talk.book.newest:
            assert piece.speaker is None or piece.speaker in owners
        longest: dict[int, dict[str | None, float]] = {}
        for piece in talk.book.newest:
            of = longest.setdefault(piece.segment, {})
            name = talk.book.name_of(piece.speaker)
            of[name] = of.get(name, 0.0) + piece.end - piece.start
        for segment, of in longest.items():
            named = {n: s for n, s in of.items() if n is not None}
            assert talk.told[segment] in (named or {None: 0.0})
