from __future__ import annotations

import pytest

from whisperlive_hybrid.live.policy import (
    POLICIES,
    AgreedOrSure,
    FinalsOnly,
    LocalAgreement,
    n_forced,
    n_held_back,
)
from whisperlive_hybrid.live.transcript import Token, key_of


def tokens(text: str) -> list[Token]:
    return [Token(w, key_of(w)) for w in text.split()]


@pytest.mark.parametrize(
    ("before", "now", "n"),
    [
        ("one two", "one two three", 2),
        ("One, two", "one too", 1),
        ("one two three", "one two", 2),
        ("two", "one two", 0),
        ("", "one", 0),
    ],
)
def test_two_hypotheses_agree_on_their_common_prefix(before: str, now: str, n: int) -> None:
    assert LocalAgreement(2).n_committed([tokens(before)], tokens(now), 0.0) == n


def test_nothing_is_committed_before_enough_hypotheses_are_there() -> None:
    three = LocalAgreement(3)
    assert three.n_committed([], tokens("one"), 0.0) == 0
    assert three.n_committed([tokens("one")], tokens("one"), 0.0) == 0
    assert three.n_committed([tokens("one two"), tokens("one three")], tokens("one three"), 0.0) == 1


def test_agreement_of_one_is_none() -> None:
    with pytest.raises(ValueError, match="at least two"):
        LocalAgreement(1)


def test_finals_only_commits_nothing() -> None:
    assert FinalsOnly().n_committed([tokens("one")], tokens("one"), 9.0) == 0


def timed(*said: tuple[str, float, float]) -> list[Token]:
    """Words (text, end, probability)."""
    return [Token(" " + w, key_of(w), end, end - 0.3, probability) for w, end, probability in said]


@pytest.mark.parametrize(
    ("before", "now", "n"),
    [
        ([], [("one", 1.0, 0.95), ("two", 1.5, 0.95)], 2),
        ([], [("one", 1.0, 0.5), ("two", 1.5, 0.95)], 0),
        ([("one", 1.0, 0.5)], [("one", 1.1, 0.5), ("two", 1.5, 0.95)], 2),
        ([("one", 1.0, 0.5)], [("one", 1.4, 0.5)], 0),
        ([("won", 1.0, 0.5)], [("one", 1.0, 0.5)], 0),
        ([("oh", 0.6, 0.5), ("one", 1.0, 0.5)], [("one", 1.0, 0.5)], 1),
        ([("five", 1.0, 0.5), ("five", 1.5, 0.5)], [("five", 1.5, 0.5)], 1),
        ([("five", 1.0, 0.5)], [("five", 1.0, 0.5), ("five", 1.2, 0.5)], 1),
        ([("one", 1.8, 0.5)], [("one", 1.8, 0.99)], 0),
    ],
)
def test_a_word_is_committed_when_agreed_or_sure_and_not_too_new(
    before: list[tuple[str, float, float]], now: list[tuple[str, float, float]], n: int
) -> None:
    policy = AgreedOrSure(guard_s=0.3, probability=0.9)
    assert policy.n_committed([timed(*before)] if before else [], timed(*now), 2.0) == n


def test_words_without_times_are_committed_by_agreement_alone() -> None:
    policy = AgreedOrSure(guard_s=0.3, probability=0.0)
    assert policy.n_committed([tokens("one two")], tokens("one too"), 2.0) == 1
    assert policy.n_committed([], tokens("one"), 2.0) == 0


def test_every_policy_can_be_had_by_its_name() -> None:
    made = {name: make(0.2, 0.8) for name, make in POLICIES.items()}
    assert [p.keep for p in made.values()] == [1, 1, 2, 0]
    assert not made["finals-only"].may_force


@pytest.mark.parametrize(
    ("said", "n"),
    [
        ([("one", 1.5, 0.5)], 0),
        ([("one", 1.9, 0.95)], 0),
        ([("one", 1.9, 0.5)], 1),
        ([("one", 1.8, 0.5), ("two", 1.9, 0.5)], 2),
        ([("one", 1.8, 0.5), ("two", 1.9, 0.95)], 0),
        ([("one", 1.8, 0.95), ("two", 1.9, 0.5)], 1),
    ],
)
def test_new_and_improbable_words_at_the_end_are_held_back(said: list[tuple[str, float, float]], n: int) -> None:
    assert n_held_back(timed(*said), 2.0, 0.3, 0.9) == n


def test_words_without_times_are_not_held_back() -> None:
    assert n_held_back(tokens("one two"), 2.0, 0.3, 0.9) == 0


def test_a_stall_is_cut_at_the_largest_gap_or_in_the_middle() -> None:
    even = [("w", 0.3 + 0.3 * i, 0.5) for i in range(8)]
    assert n_forced(timed(*even)) == 4
    gap = [(w, end + (1.0 if i >= 5 else 0.0), p) for i, (w, end, p) in enumerate(even)]
    assert n_forced(timed(*gap)) == 5
    assert n_forced(tokens("one two three")) == 2
    assert n_forced(tokens("one")) == 1
    assert n_forced([]) == 0
