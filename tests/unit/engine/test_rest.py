"""When the rest of a window is heard again."""

from __future__ import annotations

import pytest

from whisperlive_hybrid.engine.hypothesis import Hypothesis, Segment
from whisperlive_hybrid.engine.rest import MAX_ROUNDS, MIN_REST_S, MIN_STEP_S, rest_of

SEGMENT = Segment(0.0, 1.0, " one", (1, 2), 0.0, -0.1, 1.0, 0.01)


@pytest.mark.parametrize(
    ("consumed_s", "rest"),
    [(10.0, None), (10.0 - MIN_REST_S + 0.01, None), (10.0 - MIN_REST_S, 9.5), (4.0, 4.0), (MIN_STEP_S - 0.01, None)],
    ids=["all", "silence", "a word", "half", "stuck"],
)
def test_what_is_left(consumed_s: float, rest: float | None) -> None:
    assert rest_of(Hypothesis(1, (SEGMENT,), "en", 1.0, consumed_s), 10.0) == rest


def test_nothing_follows_where_nothing_was_heard_and_it_ends_some_time() -> None:
    assert rest_of(Hypothesis(1, (), "en", 1.0, 4.0), 10.0) is None
    assert rest_of(Hypothesis(1, (SEGMENT,), "en", 1.0, 4.0), 10.0, MAX_ROUNDS) is None
