"""What the benchmarks listen to."""

from __future__ import annotations

import numpy as np

from benchmarks.material import conversations


def test_the_same_numbers_are_the_same_conversations_and_others_are_others() -> None:
    first, second = conversations(None, 2, 4.0)
    (again,) = conversations(None, 1, 4.0, first=1)
    assert np.array_equal(second.samples, again.samples)
    assert second.words == again.words
    assert second.text != first.text or len(second.samples) != len(first.samples)
