"""From measured errors to a gate. Pure.

Two things must hold. No length may be clearly worse in its short window than in 30 s: by more than the limit and what
chance alone would make (one standard error). And all lengths together, for which chance matters least, may not be worse
by more than the limit; while they are, the length that adds most errors goes back to 30 s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from whisperlive_hybrid.engine.gate import BUCKETS, FULL_FRAMES, UNMEASURED, Gate, Padding, Steps, size_for


@dataclass(frozen=True, slots=True)
class Tried:
    """Windows that want at most `wanted` frames, at one size. Errors are words wrong, left out or too many."""

    lane: Literal["finals", "partials"]
    padding: Padding
    wanted: int
    size: int
    windows: int
    words: int
    errors: int
    errors_30s: int
    noise: float = 0.0
    """Standard error of `worse`, from the differences of the single windows."""

    @property
    def worse(self) -> float:
        """Errors more than in 30 s, in percent of the words."""
        return 100 * (self.errors - self.errors_30s) / max(1, self.words)

    def allowed(self, limit: float) -> bool:
        """Whether this length alone gives no reason against the size."""
        return self.worse - self.noise <= limit

    def __str__(self) -> str:
        return (
            f"{self.lane} that want up to {self.wanted / 100:g} s, in {self.size / 100:g} s ({self.padding}): "
            f"{self.windows} windows, {self.words} words, {self.errors} errors, in 30 s {self.errors_30s} "
            f"({self.worse:+.2f} ± {self.noise:.2f} %)"
        )


def decide(tried: Sequence[Tried], limit: float) -> Gate:
    """The gate, with the padding that makes windows shortest or, where both do, that with fewer errors."""
    paddings = list(dict.fromkeys(one.padding for one in tried)) or [UNMEASURED.padding]
    padding = min(paddings, key=lambda p: _cost([one for one in tried if one.padding == p], limit))
    mine = [one for one in tried if one.padding == padding]
    return Gate(
        partials=_steps("partials", mine, limit),
        finals=_steps("finals", mine, limit),
        padding=padding,
        measured={"limit": limit, "tried": [asdict(one) | {"noise": round(one.noise, 3)} for one in mine]},
    )


def total(tried: Sequence[Tried], steps: Steps) -> tuple[int, int, int]:
    """(words, errors, errors in 30 s) of all measured lengths of one lane, each in the size that `steps` gives it."""
    words = errors = errors_30s = 0
    for band in {one.wanted for one in tried}:
        of_band = [one for one in tried if one.wanted == band]
        words += of_band[0].words
        errors_30s += of_band[0].errors_30s
        size = size_for(steps, band)
        errors += next((one.errors for one in of_band if one.size == size), of_band[0].errors_30s)
    return words, errors, errors_30s


def _steps(lane: str, tried: Sequence[Tried], limit: float) -> Steps:
    of_lane = [one for one in tried if one.lane == lane]
    unmeasured = UNMEASURED.partials if lane == "partials" else UNMEASURED.finals
    chosen: dict[int, Tried | None] = {}
    for one in of_lane:
        if chosen.get(one.wanted) is None:
            chosen[one.wanted] = one if one.allowed(limit) else None
    words = sum(next(one.words for one in of_lane if one.wanted == band) for band in chosen)
    while short := [one for one in chosen.values() if one is not None]:
        if 100 * sum(one.errors - one.errors_30s for one in short) / words <= limit:
            break
        chosen[max(short, key=lambda one: one.errors - one.errors_30s).wanted] = None

    def size(band: int) -> int:
        if band not in chosen:
            return size_for(unmeasured, band)
        one = chosen[band]
        return FULL_FRAMES if one is None else one.size

    return tuple((band, size(band)) for band in BUCKETS)


def _cost(tried: Sequence[Tried], limit: float) -> tuple[int, int]:
    """Frames of all windows, and errors."""
    frames = errors = 0
    for lane in ("partials", "finals"):
        of_lane = [one for one in tried if one.lane == lane]
        steps = _steps(lane, of_lane, limit)
        windows = {one.wanted: one.windows for one in of_lane}
        frames += sum(size_for(steps, band) * n for band, n in windows.items())
        errors += total(of_lane, steps)[1]
    return frames, errors
