from __future__ import annotations

import pytest

from whisperlive_hybrid.live.policy import FinalsOnly, LocalAgreement
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
