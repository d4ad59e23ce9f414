"""Values between hearing voices and telling them apart: regions of speech, their windows, their embeddings. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vectors: TypeAlias = NDArray[np.float32]
"""float32 [n, dimension], each row of length 1; or [dimension]."""

WINDOW_S: Final = 1.5
STEP_S: Final = 0.75
"""An embedding is made of each window of a region. Shorter ones are too vague, longer ones blur a change of speaker."""
BESIDE: Final = 3
"""Windows on each side of a possible change that are compared."""
SHORTEST_S: Final = 0.4
"""A shorter region is heard as if it were repeated until it is so long."""


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Uninterrupted speech from `start` to `end` (seconds), and the voice in each of its windows: `vectors` [n, d]."""

    start: float
    end: float
    vectors: Vectors

    @property
    def centers(self) -> NDArray[np.float64]:
        """Middle of each window in seconds: float64 [n]."""
        return np.array([(a + b) / 2 for a, b in windows_of(self.start, self.end)])

    def moved(self, seconds: float) -> Region:
        """The region on a clock that is `seconds` ahead."""
        return Region(self.start + seconds, self.end + seconds, self.vectors)


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A stretch of one region in which the voice stays the same: `vector` [d] is its mean."""

    start: float
    end: float
    vector: Vectors

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.start


def windows_of(start: float, end: float) -> list[tuple[float, float]]:
    """The windows of a region, in order; the last one ends where the region does."""
    if end - start <= WINDOW_S:
        return [(start, end)]
    n = 1 + math.ceil((end - start - WINDOW_S) / STEP_S - 1e-6)
    starts = [min(start + i * STEP_S, end - WINDOW_S) for i in range(n)]
    return [(s, s + WINDOW_S) for s in starts]


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """Each row (or the one vector) made as long as 1; zeros stay zeros."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-9), np.float32)


def pieces_of(region: Region, same_voice: float) -> list[Piece]:
    """The region split where the voice changes: where the BESIDE windows before and after are less alike on average.

    Split is first where they differ most, then the halves likewise, down to a similarity of `same_voice`.
    """
    groups = _split(region.vectors, 0, len(region.vectors), same_voice)
    centers = region.centers
    edges = [region.start, *((centers[a - 1] + centers[a]) / 2 for a, _ in groups[1:]), region.end]
    return [
        Piece(float(edges[i]), float(edges[i + 1]), unit(region.vectors[a:b].mean(axis=0)))
        for i, (a, b) in enumerate(groups)
    ]


def _split(vectors: Vectors, begin: int, end: int, same_voice: float) -> list[tuple[int, int]]:
    if end - begin < 2:
        return [(begin, end)]
    before = [vectors[max(begin, cut - BESIDE) : cut].sum(axis=0) for cut in range(begin + 1, end)]
    after = [vectors[cut : min(end, cut + BESIDE)].sum(axis=0) for cut in range(begin + 1, end)]
    alike = np.einsum("nd,nd->n", unit(np.stack(before)), unit(np.stack(after)))
    cut = int(alike.argmin())
    if alike[cut] >= same_voice:
        return [(begin, end)]
    middle = begin + cut + 1
    return _split(vectors, begin, middle, same_voice) + _split(vectors, middle, end, same_voice)


def all_windows(regions: Sequence[Region]) -> Vectors:
    """The vectors of all regions, one after the other."""
    return np.concatenate([region.vectors for region in regions])
