"""How many rows a call of the model may have, by the memory that a batch may take."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from whisperlive_hybrid.engine import guards, prompt
from whisperlive_hybrid.engine.dimensions import read_dimensions
from whisperlive_hybrid.engine.features import FRAMES_PER_SECOND
from whisperlive_hybrid.engine.footprint import Footprint, number_bytes
from whisperlive_hybrid.engine.window import DecodeOptions, Lane

log = logging.getLogger(__name__)

ANY_NUMBER: Final = 1 << 30
_PROMPT_TOKENS: Final = 4
"""The decoder's first tokens behind the previous text, at most."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Rows of each kind of call; one always may be, and any number where footprint or bytes are not known."""

    footprint: Footprint | None
    batch_bytes: int | None

    def encoded(self, n_frames: int) -> int:
        """Rows of `n_frames` that are encoded at once."""
        return ANY_NUMBER if self.footprint is None else self._rows(self.footprint.encoding(n_frames // 2))

    def generated(
        self, options: DecodeOptions, n_frames: int, n_previous: int, temperature: float, max_new_tokens: int | None
    ) -> int:
        """Rows that are generated at once, with `n_previous` tokens of previous text."""
        if self.footprint is None:
            return ANY_NUMBER
        drawn = temperature > 0
        each = self.footprint.generating(
            n_frames // 2,
            hypotheses=options.best_of if drawn else options.beam_size,
            drawn=drawn,
            length=prompt.longest(n_previous + _PROMPT_TOKENS, max_new_tokens),
        )
        return self._rows(each)

    def windows(self, options: DecodeOptions, lane: Lane, n_frames: int, n_previous: int) -> int:
        """Windows of a batch: as many as are generated at once at the first temperature."""
        limit = options.max_new_tokens
        if limit is None and lane is Lane.PARTIAL:
            limit = guards.max_new_tokens(n_frames / FRAMES_PER_SECOND)
        return self.generated(options, n_frames, n_previous, options.temperatures[0], limit)

    def aligned(self, n_frames: int, n_tokens: int) -> int:
        """Rows of `n_tokens` text tokens at most that are aligned at once."""
        if self.footprint is None:
            return ANY_NUMBER
        return self._rows(self.footprint.aligning(n_frames // 2, length=_PROMPT_TOKENS + n_tokens))

    def _rows(self, row_bytes: int) -> int:
        return ANY_NUMBER if self.batch_bytes is None else max(1, self.batch_bytes // row_bytes)


def budget_of(folder: Path, compute_type: str, batch_bytes: int | None) -> Budget:
    """The budget of the model in a folder, which computes in `compute_type`."""
    try:
        footprint = Footprint(read_dimensions(folder / "model.bin"), number_bytes(compute_type))
    except (OSError, ValueError) as error:
        log.warning("batches of %s are bounded by their number alone: %s", folder.name, error)
        footprint = None
    return Budget(footprint, batch_bytes)
