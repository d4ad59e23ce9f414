"""The last stretch of a stream, by position."""

from __future__ import annotations

from collections import deque

import numpy as np

from whisperlive_hybrid.audio.samples import EMPTY, Samples


class Tail:
    """Samples from `begin` to `end` of a stream, kept as the blocks they came in."""

    def __init__(self, start: int = 0) -> None:
        self.begin = start
        self.end = start
        self._blocks: deque[Samples] = deque()

    def append(self, samples: Samples) -> None:
        """Add what follows; the array is kept, not copied."""
        if len(samples):
            self._blocks.append(samples)
            self.end += len(samples)

    def cut(self, begin: int, end: int) -> Samples:
        """A copy of samples `begin` to `end`, which must lie in the tail: float32 [end - begin]."""
        if not self.begin <= begin <= end <= self.end:
            raise IndexError(f"samples {begin}..{end} are not in {self.begin}..{self.end}")
        pieces = []
        position = self.end
        for block in reversed(self._blocks):  # mostly the newest are asked for
            position -= len(block)
            if position < end:
                pieces.append(block[max(begin - position, 0) : end - position])
            if position <= begin:
                break
        return np.concatenate(pieces[::-1]) if pieces else EMPTY

    def forget(self, before: int) -> None:
        """Free the blocks that lie wholly before sample `before`."""
        while self._blocks and self.begin + len(self._blocks[0]) <= before:
            self.begin += len(self._blocks.popleft())
