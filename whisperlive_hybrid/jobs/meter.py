"""How far a piece of work is, and how fast it gets on."""

from __future__ import annotations

import time
from collections.abc import Callable

from whisperlive_hybrid.jobs.transcript import Progress


class Meter:
    """Is told of progress, and asked for it. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.progress: Progress | None = None
        self._clock = clock
        self._began_s = 0.0
        self._began_done_s: float | None = None
        """What was done at `_began_s`; None until transcription has begun."""

    def note(self, progress: Progress) -> None:
        """It is so far now."""
        if self._began_done_s is None and progress.stage == "transcribing":
            self._began_s, self._began_done_s = self._clock(), progress.done_s
        self.progress = progress

    @property
    def pace(self) -> float | None:
        """Seconds of audio a second; None while that is unknown."""
        if self.progress is None or self._began_done_s is None:
            return None
        elapsed = self._clock() - self._began_s
        return (self.progress.done_s - self._began_done_s) / elapsed if elapsed > 0 else None
