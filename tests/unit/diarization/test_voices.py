"""Windows of regions, and where a region is split."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlive_hybrid.diarization.voices import STEP_S, WINDOW_S, Region, pieces_of, unit, windows_of

A, B, C = np.eye(3, dtype=np.float32)


@given(st.floats(0, 1000), st.floats(0.05, 60))
def test_windows_cover_a_region_and_reach_its_ends(start: float, length: float) -> None:
    windows = windows_of(start, start + length)

    assert windows[0][0] == start
    assert windows[-1][1] == pytest.approx(start + length)
    assert all(b - a <= WINDOW_S + 1e-6 for a, b in windows)
    assert all(0 < b - a <= STEP_S + 1e-6 for (a, _), (b, _) in pairwise(windows))


def region(*voices: np.ndarray) -> Region:
    end = 10.0 + WINDOW_S + (len(voices) - 1) * STEP_S
    return Region(10.0, end, unit(np.stack(voices)))


def test_a_region_of_one_voice_stays_whole() -> None:
    (piece,) = pieces_of(region(A, A + 0.1 * B, A), 0.6)

    assert (piece.start, piece.end) == (10.0, pytest.approx(10.0 + WINDOW_S + 2 * STEP_S))
    assert piece.vector @ A == pytest.approx(1.0, abs=0.01)


def test_a_region_is_split_at_every_change_halfway_between_two_windows() -> None:
    pieces = pieces_of(region(A, A, A, B, B, B, A, A, A), 0.6)

    assert [int(piece.vector.argmax()) for piece in pieces] == [0, 1, 0]
    assert [piece.start for piece in pieces[1:]] == pytest.approx(
        [10.0 + WINDOW_S / 2 + n * STEP_S for n in (2.5, 5.5)]
    )
    assert all(a.end == b.start for a, b in pairwise(pieces))


def test_unit_leaves_nothing_as_nothing() -> None:
    assert np.array_equal(unit(np.zeros((1, 3))), np.zeros((1, 3)))
