"""Texts told while they grow: whatever groups their segments come in, the pieces join to the whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlive_hybrid.engine.hypothesis import Segment
from whisperlive_hybrid.jobs.formats import to_srt, to_vtt
from whisperlive_hybrid.jobs.growing import Growing, GrowingDialogue, GrowingSubtitles, GrowingText, short_name
from whisperlive_hybrid.jobs.transcript import FileOptions, Transcript


def segment(start: float, end: float, text: str, speaker: str | None = None) -> Segment:
    return Segment(start, end, text, (), 0.0, -0.1, 1.0, 0.0, speaker=speaker)


def transcript(segments: list[Segment]) -> Transcript:
    return Transcript(tuple(segments), "en", 1.0, 60.0, 60.0, "digits", FileOptions())


def told(text: Growing, groups: list[list[Segment]]) -> str:
    """All pieces; each must be in `text` as soon as it is returned."""
    so_far = ""
    for group in groups:
        so_far += text.add(group)
        assert text.text == so_far
    so_far += text.end()
    assert text.text == so_far
    return so_far


def flat(groups: list[list[Segment]]) -> list[Segment]:
    return [s for group in groups for s in group]


_TEXTS = st.text(alphabet=" abé&<-.>\n", max_size=6)
_STEPS = st.tuples(st.floats(0, 2), st.floats(0, 3), _TEXTS, st.sampled_from([None, "SPEAKER_00", "Ann"]))


@st.composite
def groups_of_segments(draw: st.DrawFn) -> list[list[Segment]]:
    """Segments whose starts never go back but may overlap, in groups."""
    groups, start = [], 0.0
    for steps in draw(st.lists(st.lists(_STEPS, max_size=4), max_size=5)):
        group = []
        for gap, length, text, speaker in steps:
            start = round(start + gap, 3)
            group.append(segment(start, round(start + length, 3), text, speaker))
        groups.append(group)
    return groups


@given(groups_of_segments())
def test_the_text_is_that_of_the_transcript(groups: list[list[Segment]]) -> None:
    assert told(GrowingText(), groups) == transcript(flat(groups)).text


@given(groups_of_segments(), st.sampled_from(["srt", "vtt"]))
def test_subtitles_are_those_of_the_whole(groups: list[list[Segment]], format_: Literal["srt", "vtt"]) -> None:
    whole: dict[str, Callable[[Transcript], str]] = {"srt": to_srt, "vtt": to_vtt}

    assert told(GrowingSubtitles(format_), groups) == whole[format_](transcript(flat(groups)))


@given(groups_of_segments())
def test_a_dialogue_is_the_same_in_one_piece(groups: list[list[Segment]]) -> None:
    assert told(GrowingDialogue(), groups) == told(GrowingDialogue(), [flat(groups)])


def test_who_speaks_is_said_when_it_changes() -> None:
    said = [
        segment(0, 1, " Hello.", "Ann"),
        segment(1, 2, " One?", "Ann"),
        segment(2, 3, " Two.", "SPEAKER_01"),
        segment(3, 4, " Three.", None),
    ]

    assert told(GrowingDialogue(), [said[:2], said[2:]]) == "Ann: Hello. One?\nB: Two.\n?: Three."


@pytest.mark.parametrize(
    ("speaker", "name"),
    [("SPEAKER_00", "A"), ("SPEAKER_19", "T"), ("Ann", "Ann"), ("SPEAKER_X", "SPEAKER_X"), (None, "?")],
)
def test_short_names(speaker: str | None, name: str) -> None:
    assert short_name(speaker) == name
