from __future__ import annotations

import pytest

from whisperlive_hybrid.engine.hypothesis import Word
from whisperlive_hybrid.live.seam import n_repeated


def words(*timed: tuple[str, float, float]) -> list[Word]:
    return [Word(" " + text, start, end, 0.9) for text, start, end in timed]


@pytest.mark.parametrize(
    ("before", "after", "n"),
    [
        (words(("four", 9.0, 9.5), ("five", 9.8, 10.0)), words(("Five.", 9.8, 10.1)), 1),
        (words(("a", 9.7, 9.8), ("b", 9.9, 10.0)), words(("a", 9.8, 9.85), ("b", 9.9, 10.0), ("c", 10.2, 10.5)), 2),
        (words(("five", 9.3, 9.7)), words(("five", 10.1, 10.4)), 0),
        (words(("five", 9.8, 10.0)), words(("six", 9.8, 10.2)), 0),
        (words(("five", 9.0, 9.2)), words(("five", 9.8, 10.2)), 0),
        ([], words(("six", 9.8, 10.2)), 0),
    ],
)
def test_a_word_counts_as_repeated_where_text_and_time_say_so(before: list[Word], after: list[Word], n: int) -> None:
    assert n_repeated(before, after, 10.0) == n
