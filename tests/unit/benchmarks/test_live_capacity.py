from __future__ import annotations

import math

import pytest

from benchmarks.live.capacity import Capacity, search


@pytest.mark.parametrize("true_capacity", [0, 1, 2, 3, 7, 16, 17, 30, 100])
def test_the_search_ends_beside_the_truth(true_capacity: int) -> None:
    tried: list[int] = []

    def probe(n: int) -> float:
        tried.append(n)
        return 1.0 if n <= true_capacity else math.inf

    found = search(probe, 1.5, {}, start=4, most=128)
    assert found.holds <= true_capacity
    assert found.fails_at is not None
    assert true_capacity < found.fails_at <= true_capacity + max(1, found.holds * 0.15) + 1
    assert len(tried) == len(set(tried)) <= 9


def test_nothing_is_measured_twice_for_another_limit() -> None:
    tried: list[int] = []

    def probe(n: int) -> float:
        tried.append(n)
        return float(n)

    known: dict[int, float] = {}
    assert search(probe, 2.0, known, start=1, most=64) == Capacity(2.0, 2, 3)
    assert search(probe, 5.0, known, start=1, most=64) == Capacity(5.0, 5, 6)
    assert len(tried) == len(set(tried))


def test_the_search_stops_at_the_most_it_may_try() -> None:
    assert search(lambda n: 0.1, 1.5, {}, start=4, most=20) == Capacity(1.5, 20, None)


def test_figures_that_are_not_numbers_do_not_hold() -> None:
    assert search(lambda n: math.nan, 1.5, {}, start=1, most=8) == Capacity(1.5, 0, 1)
