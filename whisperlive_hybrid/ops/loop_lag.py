"""How late the event loop runs what is due: the proof that nothing on it takes long."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType


@dataclass(frozen=True, slots=True)
class LagSnapshot:
    """Lag in milliseconds over the window; all zero before the first measurement."""

    p50_ms: float
    p99_ms: float
    max_ms: float
    n: int
    """Measurements in the window."""


class LoopLag:
    """Measures while entered: `async with LoopLag() as lag: … lag.snapshot()`.

    Ticks are due on a fixed grid of `interval_s`. A loop that was blocked for long owes many ticks, and each of them is
    counted with its own lateness; a gauge that only sleeps and looks would count the whole block once and hide it.
    """

    def __init__(self, *, interval_s: float = 0.02, window_s: float = 60.0) -> None:
        self._interval_s = interval_s
        self._lags_s: deque[float] = deque(maxlen=max(1, round(window_s / interval_s)))
        self._task: asyncio.Task[None] | None = None

    def snapshot(self) -> LagSnapshot:
        """The last window in figures."""
        ordered = sorted(self._lags_s)
        return LagSnapshot(
            p50_ms=_quantile_ms(ordered, 0.50),
            p99_ms=_quantile_ms(ordered, 0.99),
            max_ms=_quantile_ms(ordered, 1.0),
            n=len(ordered),
        )

    def reset(self) -> None:
        """Forget what was measured, so that a benchmark sees its own load only."""
        self._lags_s.clear()

    def record(self, due: float, now: float) -> float:
        """Count every tick that was due by `now` (seconds, the loop's clock); returns when the next one is due."""
        missed = int((now - due) / self._interval_s)
        # Ticks that would fall out of the window at once need not be counted one by one.
        first = max(0, missed + 1 - (self._lags_s.maxlen or 1))
        self._lags_s.extend(now - due - i * self._interval_s for i in range(first, missed + 1))
        return due + (missed + 1) * self._interval_s

    async def __aenter__(self) -> LoopLag:
        self._task = asyncio.create_task(self._measure(), name="loop-lag")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _measure(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._interval_s
        while True:
            await asyncio.sleep(max(0.0, due - loop.time()))
            now = loop.time()
            if now >= due:  # the loop's timers may fire a clock tick early
                due = self.record(due, now)


def _quantile_ms(ordered: list[float], q: float) -> float:
    """Nearest-rank quantile of seconds in ascending order, in milliseconds; 0 of nothing."""
    if not ordered:
        return 0.0
    return round(ordered[min(len(ordered) - 1, int(q * len(ordered)))] * 1000, 3)
