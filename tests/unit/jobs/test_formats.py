"""Transcripts as text, subtitles and tables."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlive_hybrid.engine.hypothesis import Segment, Word
from whisperlive_hybrid.errors import BadInput
from whisperlive_hybrid.jobs import formats
from whisperlive_hybrid.jobs.cues import CueRules, cues
from whisperlive_hybrid.jobs.transcript import FileOptions, Transcript


def segment(start: float, end: float, text: str, words: tuple[Word, ...] = ()) -> Segment:
    return Segment(start, end, text, (1, 2), 0.0, -0.3, 1.2, 0.01, words)


def transcript(*segments: Segment) -> Transcript:
    return Transcript(segments, "en", 0.9, 10.0, 8.0, "digits", FileOptions())


def spoken(text: str, *, start: float = 0.0, word_s: float = 0.3) -> Segment:
    """A segment with words of equal length."""
    words = tuple(Word(f" {w}", start + i * word_s, start + (i + 1) * word_s, 0.9) for i, w in enumerate(text.split()))
    return segment(start, words[-1].end, f" {text}", words)


def test_srt_and_vtt():
    t = transcript(segment(0.0, 3.3199999, " Hello\n\nthere."), segment(3661.9996, 3663.5, " R&D --> <b>"))
    assert formats.to_srt(t) == (
        "1\n00:00:00,000 --> 00:00:03,320\nHello there.\n\n2\n01:01:02,000 --> 01:01:03,500\nR&D -> <b>\n\n"
    )
    assert formats.to_vtt(t) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:03.320\nHello there.\n\n01:01:02.000 --> 01:01:03.500\nR&amp;D -> &lt;b>\n\n"
    )


def test_txt_tsv_and_json():
    t = transcript(spoken("one two"), segment(2.0, 2.5, "  "), segment(3.0, 4.0, " three"))
    assert formats.to_txt(t) == "one two\nthree\n"
    assert formats.to_tsv(t) == "start\tend\ttext\n0\t600\tone two\n3000\t4000\tthree\n"
    plain = json.loads(formats.to_json(t))
    assert plain["text"] == "one two   three"
    assert plain["segments"][0]["words"][1] == {"word": "two", "start": 0.3, "end": 0.6, "probability": 0.9}
    assert "words" not in plain["segments"][2]


def test_nothing_spoken_is_a_valid_file_in_every_format():
    assert {name: formats.render(transcript(), name) for name in ("txt", "srt", "vtt", "tsv")} == {
        "txt": "",
        "srt": "",
        "vtt": "WEBVTT\n\n",
        "tsv": "start\tend\ttext\n",
    }
    assert json.loads(formats.render(transcript(), "json"))["segments"] == []


def test_an_unknown_format_names_the_known_ones():
    with pytest.raises(BadInput) as error:
        formats.render(transcript(), "docx")
    assert error.value.accepted == ("txt", "srt", "vtt", "tsv", "json")


TIMES = st.floats(0, 100, allow_nan=False)


@given(st.lists(st.tuples(TIMES, TIMES, st.sampled_from([" a", " ", " b c"])), max_size=20))
def test_cues_never_overlap_or_vanish(raw):
    ordered = sorted(raw)
    made = cues(segment(a, b, text) for a, b, text in ordered)
    assert [c.text for c in made] == [text.strip() for _, _, text in ordered if text.strip()]
    assert all(c.start_ms < c.end_ms for c in made)
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(made))


@given(st.lists(st.text("abcdefghij,.", min_size=1, max_size=15), min_size=1, max_size=60))
def test_split_cues_fit_the_screen_and_keep_every_word(raw):
    said = spoken(" ".join(raw))
    made = cues([said], CueRules())
    assert " ".join(c.text for c in made).split() == " ".join(raw).split()
    for cue in made:
        lines = cue.text.split("\n")
        assert len(lines) <= 2
        assert max(map(len, lines)) <= 42
        assert cue.end_ms - cue.start_ms <= 6000 + 2


def test_split_cues_break_at_sentences_and_commas_and_are_balanced():
    text = "This sentence is a little longer than one line of it. Then comes another one, which is long as well."
    first, second = cues([spoken(text, word_s=0.2)], CueRules())
    assert first.text.replace("\n", " ") == "This sentence is a little longer than one line of it."
    assert second.text.split("\n")[0] == "Then comes another one,"
    a, b = map(len, first.text.split("\n"))
    assert abs(a - b) < 10


def test_a_pause_between_words_ends_a_cue():
    words = (Word(" one", 0.0, 0.4, 0.9), Word(" two", 5.0, 5.4, 0.9))
    made = cues([segment(0.0, 5.4, " one two", words)], CueRules())
    assert [(c.start_ms, c.end_ms, c.text) for c in made] == [(0, 400, "one"), (5000, 5400, "two")]


def test_subtitles_use_the_rules_where_they_are_given():
    t = transcript(spoken("word " * 40))
    assert len(re.findall("-->", formats.to_srt(t))) == 1
    assert len(re.findall("-->", formats.to_srt(t, CueRules()))) >= 3
    assert formats.to_vtt(t, CueRules()).count("-->") == formats.to_srt(t, CueRules()).count("-->")
