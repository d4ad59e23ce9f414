"""Encoder output on its device, of which rows can be taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ctranslate2
import numpy as np
from numpy.typing import NDArray


class Encoded:
    """Encoder output of a batch, of which rows can be taken.

    Rows are cut on the CPU: CTranslate2 cannot slice. On a GPU that costs a copy of 3.8 MB a row (large models) in each
    direction, and happens only where part of a batch goes its own way; a whole batch never leaves the device.
    """

    def __init__(self, parts: Sequence[Any], n_rows: int) -> None:
        self._n_rows = n_rows
        self._array: NDArray[Any] | None = None
        if len(parts) > 1:
            self._array = np.concatenate([_to_numpy(part) for part in parts])
        self._whole = parts[0] if self._array is None else ctranslate2.StorageView.from_array(self._array)

    def rows(self, indices: Sequence[int] | None = None) -> Any:
        """StorageView [len(indices), frames, width]; all rows without indices."""
        if indices is None or list(indices) == list(range(self._n_rows)):
            return self._whole
        if self._array is None:
            self._array = _to_numpy(self._whole)
        return ctranslate2.StorageView.from_array(np.ascontiguousarray(self._array[list(indices)]))


def _to_numpy(output: Any) -> NDArray[Any]:
    if output.device != "cpu":
        output = output.to_device(ctranslate2.Device.cpu)
    if output.dtype == ctranslate2.DataType.bfloat16:  # numpy has no such type
        output = output.to(ctranslate2.DataType.float32)
    return np.asarray(output)
