"""Rows of an encoder output, in every type that a device computes with."""

from __future__ import annotations

from collections.abc import Sequence

import ctranslate2
import numpy as np
import pytest
from numpy.typing import NDArray

from whisperlive_hybrid.engine.encoded import Encoded

OUTPUT: NDArray[np.float32] = np.arange(4 * 3 * 2, dtype=np.float32).reshape(4, 3, 2)
"""Small whole numbers: exact in half precision, too."""


def stored(array: NDArray[np.float32], kind: str = "float32") -> ctranslate2.StorageView:
    view = ctranslate2.StorageView.from_array(array)
    return view if kind == "float32" else view.to(getattr(ctranslate2.DataType, kind))


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("rows", [[2], [3, 0], [1, 2, 3]])
def test_rows_are_those_asked_for_in_that_order(kind: str, rows: Sequence[int]) -> None:
    encoded = Encoded([stored(OUTPUT, kind)], len(OUTPUT))
    for _ in range(2):  # the second time from what was kept
        np.testing.assert_array_equal(np.asarray(encoded.rows(rows)).astype(np.float32), OUTPUT[list(rows)])


def test_a_whole_batch_never_leaves_its_device() -> None:
    output = stored(OUTPUT)
    encoded = Encoded([output], len(OUTPUT))
    assert encoded.rows() is output
    assert encoded.rows([0, 1, 2, 3]) is output


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16"])
def test_parts_encoded_one_after_another_are_one_batch(kind: str) -> None:
    encoded = Encoded([stored(OUTPUT[:1], kind), stored(OUTPUT[1:], kind)], len(OUTPUT))
    np.testing.assert_array_equal(np.asarray(encoded.rows()).astype(np.float32), OUTPUT)
    np.testing.assert_array_equal(np.asarray(encoded.rows([3, 1])).astype(np.float32), OUTPUT[[3, 1]])


def test_rows_outlive_the_batch() -> None:
    rows = Encoded([stored(OUTPUT)], len(OUTPUT)).rows([1])
    assert np.asarray(rows).tolist() == OUTPUT[[1]].tolist()
