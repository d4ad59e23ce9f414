"""What cannot have been said. In the tests with timestamps 100 is the first of them, and the end of the text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlive_hybrid.engine.guards import (
    LONGEST_SILENCE_S,
    MIN_ROUNDS,
    SURE,
    Loop,
    before_the_end,
    cut_loop,
    fault_of,
    find_loop,
    holds,
    max_new_tokens,
    text_rate,
)
from whisperlive_hybrid.engine.prompt import MAX_LENGTH, max_length
from whisperlive_hybrid.engine.segments import Draft, TimedWord


def test_rate_counts_letters_and_what_stands_for_syllables() -> None:
    assert text_rate("One, two!", 2.0) == 3.0
    assert text_rate("你好 吗？", 2.0) == 3.0
    assert text_rate("नमस्ते", 1.0) == 4.0, "vowel signs are part of their letter"
    assert text_rate("...", 0.0) == 0.0
    assert text_rate("a", 0.0) == float("inf")


@pytest.mark.parametrize(
    ("tokens", "loop"),
    [
        ([1, 2, 3, 4], None),
        ([1, 2, 1, 2], None),
        ([5, 5, 5], Loop(0, 1, 3, 3)),
        ([9, 1, 2, 1, 2, 1, 2, 1, 8], Loop(1, 2, 3, 8)),
        ([1, 1, 1, 7, 1, 2, 3, 1, 2, 3, 1, 2, 3], Loop(4, 3, 3, 13)),
        ([], None),
    ],
    ids=["different", "twice", "thrice", "with a part of a round", "the longest", "nothing"],
)
def test_loops(tokens: list[int], loop: Loop | None) -> None:
    assert find_loop(tokens) == loop


@given(st.lists(st.integers(0, 2), max_size=24))
def test_a_loop_is_one_and_the_longest(tokens: list[int]) -> None:
    """Against looking at every stretch."""
    found = find_loop(tokens)
    longest = 0
    for start in range(len(tokens)):
        for period in range(1, len(tokens)):
            end = start + period
            while end < len(tokens) and tokens[end] == tokens[end - period]:
                end += 1
            if end - start >= MIN_ROUNDS * period:
                longest = max(longest, end - start)
    assert (found.end - found.start if found else 0) == longest
    if found is not None:
        assert found.rounds == (found.end - found.start) // found.period
        assert all(tokens[i] == tokens[i - found.period] for i in range(found.start + found.period, found.end))


@pytest.mark.parametrize(
    ("text", "seconds", "fault"),
    [
        ("five five five five", 1.2, None),
        ("no no no no no no", 1.0, None),
        ("thank you for watching see you next time", 1.2, None),
        ("thank you for watching see you next time", 0.8, "rate"),
        ("so so so so so so so so so so so so", 1.0, "loop"),
        ("so so so so so so so so so so so so", 2.0, None),
    ],
)
def test_people_repeat_themselves_but_not_at_any_speed(text: str, seconds: float, fault: str | None) -> None:
    words = text.split()
    assert fault_of(text, [words.index(w) for w in words], seconds) == fault


@pytest.mark.parametrize(
    ("tokens", "cut"),
    [
        ([100, 1, 2, 1, 2, 1, 2, 1, 150], (100, 1, 2, 150)),
        ([100, 1, 150, 150, 1, 170, 170, 1, 190], (100, 1, 190)),
        ([100, 7, 1, 1, 1, 1, 120, 120, 8, 140], (100, 7, 1, 120, 120, 8, 140)),
        ([100, 1, 2, 3, 150], (100, 1, 2, 3, 150)),
    ],
    ids=["one segment", "over segments", "in the middle", "none"],
)
def test_a_loop_is_cut_to_its_first_round(tokens: list[int], cut: tuple[int, ...]) -> None:
    assert cut_loop(tokens, 100) == cut


def test_segments_in_the_padding_are_dropped() -> None:
    drafts = [Draft(0.0, 1.0, [1]), Draft(1.9, 2.5, [2]), Draft(2.0, 2.5, [3])]
    assert before_the_end(drafts, 2.0) == drafts[:2]


def test_what_was_said_holds_while_it_is_likely_and_little_follows() -> None:
    drafts = [Draft(0.0, 1.0, [1], [TimedWord("one", [1], 0.2, 1.0, 0.9)]), Draft(1.0, 1.5, [2])]
    assert holds(drafts, [0.9, SURE + 0.01], 0.99 + LONGEST_SILENCE_S)
    assert not holds(drafts, [0.9, SURE], 1.5)
    assert not holds(drafts, [0.9], 1.01 + LONGEST_SILENCE_S)
    assert not holds([Draft(0.0, 1.0, [1])], [], 1.0)


def test_partials_may_write_what_can_be_said_and_no_more() -> None:
    assert max_new_tokens(1.0) < 40
    assert 2 * max_new_tokens(30.0) > MAX_LENGTH, "30 s keep Whisper's own bound"
    assert max_length(3, max_new_tokens(30.0)) == MAX_LENGTH
