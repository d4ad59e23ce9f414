"""Voices of a file told apart: made-up voices with a known answer."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whisperlive_hybrid.diarization import clustering
from whisperlive_hybrid.diarization.clustering import KnownVoice, cluster, tell_apart
from whisperlive_hybrid.diarization.turns import SpeakerOptions, Turn
from whisperlive_hybrid.diarization.voices import Region, Vectors, unit, windows_of

DIMENSION = 64
ANYONE = SpeakerOptions()


def voice(number: int) -> Vectors:
    return unit(np.random.default_rng(number).normal(size=DIMENSION))


def region(start: float, end: float, *parts: tuple[int, float], noise: float = 0.05, seed: int = 0) -> Region:
    """Speech in which the voices `parts` (number, from second) follow each other."""
    rng = np.random.default_rng(seed + round(start * 10))
    vectors = []
    for a, b in windows_of(start, end):
        number = [n for n, since in parts if since <= (a + b) / 2][-1]
        vectors.append(voice(number) + noise * rng.normal(size=DIMENSION))
    return Region(start, end, unit(np.stack(vectors)))


def talk(*turns: tuple[float, float, int], noise: float = 0.05) -> list[Region]:
    return [region(start, end, (number, start), noise=noise) for start, end, number in turns]


def shape(turns: tuple[Turn, ...]) -> list[tuple[float, float, str]]:
    return [(round(t.start, 1), round(t.end, 1), t.speaker) for t in turns]


def test_speakers_are_numbered_as_they_first_speak_and_short_pauses_filled() -> None:
    turns = tell_apart(talk((1, 4, 7), (4.5, 6, 7), (7, 10, 3), (12, 15, 7)), ANYONE)

    assert shape(turns) == [(0.9, 6.1, "SPEAKER_00"), (6.9, 10.1, "SPEAKER_01"), (11.9, 15.1, "SPEAKER_00")]
    assert all(turn.confidence > 0.9 for turn in turns)


def test_a_change_inside_a_region_is_found() -> None:
    turns = tell_apart([region(0, 12, (1, 0.0), (2, 6.0))], ANYONE)

    assert [t.speaker for t in turns] == ["SPEAKER_00", "SPEAKER_01"]
    assert turns[0].end == pytest.approx(6.0, abs=0.5)
    assert turns[0].end == turns[1].start


def test_nobody_and_one() -> None:
    assert tell_apart([], ANYONE) == ()
    assert shape(tell_apart(talk((0, 0.6, 1)), ANYONE)) == [(0.0, 0.7, "SPEAKER_00")]


def test_a_moment_of_another_voice_is_no_speaker_unless_so_many_are_asked_for() -> None:
    regions = talk((0, 10, 1), (11, 20, 2), (21, 22, 3), (23, 30, 1))

    assert len({t.speaker for t in tell_apart(regions, ANYONE)}) == 2
    assert len({t.speaker for t in tell_apart(regions, SpeakerOptions(num_speakers=3))}) == 3
    assert len({t.speaker for t in tell_apart(regions, SpeakerOptions(min_speakers=3))}) == 3


@pytest.mark.parametrize("most", [1, 2, 3])
def test_never_more_speakers_than_are_asked_for(most: int) -> None:
    regions = talk(*((4.0 * i, 4.0 * i + 3, i % 5) for i in range(20)))

    assert len({t.speaker for t in tell_apart(regions, ANYONE)}) == 5
    assert len({t.speaker for t in tell_apart(regions, SpeakerOptions(max_speakers=most))}) == most


def test_known_voices_give_their_names_and_join_what_is_one_speaker() -> None:
    regions = talk((0, 5, 1), (6, 11, 2), (12, 17, 3))
    known = [KnownVoice("Anna", voice(2)), KnownVoice("Nobody here", voice(9))]

    turns = tell_apart(regions, ANYONE, known)

    assert [t.speaker for t in turns] == ["SPEAKER_00", "Anna", "SPEAKER_01"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0.3, 8)), min_size=1, max_size=25), st.floats(0.01, 0.3))
def test_turns_are_in_order_and_do_not_overlap(spoken: list[tuple[int, float]], noise: float) -> None:
    at, regions = 0.0, []
    for number, length in spoken:
        regions += talk((at, at + length, number), noise=noise)
        at += length + 0.3

    turns = tell_apart(regions, ANYONE)

    assert turns
    assert all(t.start < t.end for t in turns)
    assert all(a.end <= b.start + 1e-6 for a, b in pairwise(turns))
    assert turns[0].start >= 0


def test_many_pieces_are_joined_in_lots_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 4, 300)
    vectors = unit(np.stack([voice(k) for k in truth]) + 0.05 * rng.normal(size=(300, DIMENSION)))
    whole = cluster(vectors, np.ones(300), ANYONE)
    monkeypatch.setattr(clustering, "AT_ONCE", 64)

    in_lots = cluster(vectors, np.ones(300), ANYONE)

    for labels in (whole, in_lots):
        assert len({(k, label) for k, label in zip(truth, labels, strict=True)}) == 4 == labels.max() + 1
