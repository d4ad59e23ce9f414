from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlive_hybrid.live.transcript import Token, UtteranceTranscript, key_of, n_covered, split_words


def tokens(text: str) -> tuple[Token, ...]:
    return tuple(Token(w, key_of(w)) for w in split_words(text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("one  two.", ["one", "  two."]),
        (" one two ", [" one", " two"]),
        ("今日は hello", ["今", "日", "は", " hello"]),
        ("สวัส", ["ส", "ว", "ั", "ส"]),
    ],
)
def test_words_keep_their_spaces_and_unspaced_scripts_are_cut_by_character(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@given(st.text(max_size=60))
def test_no_character_is_lost_in_splitting(text: str) -> None:
    assert "".join(split_words(text)) == text.rstrip()


def test_case_punctuation_and_width_do_not_make_another_word() -> None:
    assert key_of(" Two,") == key_of("two") == key_of("ＴＷＯ。")
    assert key_of("été") != key_of("ete")
    assert key_of(" …") == ""


@pytest.mark.parametrize(
    ("committed", "hypothesis", "n"),
    [
        ("", "one two", 0),
        ("one two", "one two three", 2),
        ("one two", "One, two. three", 2),
        ("one two", "won two three", 2),
        ("one two", "one too three", 2),
        ("one two", "one and two three", 3),
        ("one two three", "one three four", 2),
        ("two", "two two three", 1),
        ("one two three", "one", 1),
        ("one two", "", 0),
    ],
)
def test_what_was_committed_is_found_again_in_a_new_hypothesis(committed: str, hypothesis: str, n: int) -> None:
    assert n_covered(tokens(committed), tokens(hypothesis)) == n


def test_a_very_long_text_is_aligned_by_its_end() -> None:
    said = [f"w{i}" for i in range(300)]
    new = ["other", *said[1:], "new"]
    assert n_covered(tokens(" ".join(said)), tokens(" ".join(new))) == 300


def test_appended_texts_join_to_what_is_shown() -> None:
    transcript = UtteranceTranscript(0)
    assert transcript.update(0, tokens(" one two"), 1) == ("", True)
    assert transcript.tentative_text() == "one two"
    assert transcript.update(2, tokens(" one two three"), 1) == ("one two", True)
    assert transcript.tentative_text() == " three"
    assert transcript.update(0, tokens(" three"), 1) == ("", False)
    assert transcript.text() == "one two three"


def test_the_full_stop_at_the_end_of_a_window_is_not_committed() -> None:
    transcript = UtteranceTranscript(0)
    append, _ = transcript.update(2, tokens("one two."), 1)
    more, _ = transcript.update(1, tokens(" three. Four"), 1)
    assert append + more == "one two three."


def timed(*said: tuple[str, float, float]) -> tuple[Token, ...]:
    return tuple(Token(" " + w, key_of(w), end, start, 0.9) for w, start, end in said)


def test_held_words_are_kept_but_not_shown() -> None:
    transcript = UtteranceTranscript(0)
    assert transcript.update(0, tokens(" one two"), 1, n_held=1) == ("", True)
    assert transcript.tentative_text() == "one"
    assert transcript.text() == "one two"
    assert transcript.history == [tokens(" one two")]
    assert transcript.update(0, tokens(" one three"), 1, n_held=1) == ("", False)
    assert transcript.update(1, tokens(" one three"), 1, n_held=5) == ("one", True)


def test_a_full_stop_is_shown_once_the_speaker_pauses() -> None:
    transcript = UtteranceTranscript(0)
    transcript.update(0, tokens(" one."), 1)
    assert transcript.tentative_text() == "one"
    assert transcript.update(0, tokens(" one."), 1, ended=True) == ("", True)
    assert transcript.tentative_text() == "one."


def test_a_window_is_trimmed_before_the_last_committed_word_on_the_grid_of_frames() -> None:
    transcript = UtteranceTranscript(100)
    said = timed((" one", 1.0, 1.4), (" two", 1.6, 2.0), (" three", 2.1, 2.4))
    transcript.update(2, said, 1)
    assert transcript.trim(said, 16000)
    assert transcript.window_start == 100 + 149 * 160  # 1.5 s, rounded down
    assert [t.key for t in transcript.behind] == ["one"]
    assert transcript.uncovered(said[1:]) == said[2:]
    assert not transcript.trim(said, 16000)


def test_a_window_is_not_trimmed_without_times_or_committed_words() -> None:
    transcript = UtteranceTranscript(0)
    assert not transcript.trim(timed((" one", 1.0, 1.4)), 16000)
    transcript.update(1, tokens(" one two"), 1)
    assert not transcript.trim(tokens(" one two"), 16000)
    assert transcript.skip(32_100)
    assert transcript.window_start == 32_000
    assert [t.key for t in transcript.behind] == ["one"]


@given(st.lists(st.sampled_from(["one", "two", "five"]), max_size=12), st.data())
def test_a_trim_loses_no_word_and_repeats_none(words: list[str], data: st.DataObject) -> None:
    said = timed(*((w, i * 0.5, i * 0.5 + 0.4) for i, w in enumerate(words)))
    n = data.draw(st.integers(0, len(said)))
    transcript = UtteranceTranscript(0)
    transcript.update(n, said, 1)
    transcript.trim(said, 16000)
    heard = [t for t in said if t.start is not None and t.start * 16000 >= transcript.window_start]
    assert transcript.uncovered(heard) == said[n:]
