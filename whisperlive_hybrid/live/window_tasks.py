"""The windows of one session in the engine: a task each, and what came of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from whisperlive_hybrid.engine.hypothesis import Hypothesis
from whisperlive_hybrid.engine.window import Window
from whisperlive_hybrid.errors import HybridError, Superseded, Unavailable

log = logging.getLogger(__name__)

Outcome: TypeAlias = Hypothesis | HybridError

NEAR_S: Final = 2.0
"""What is wanted later than this after it was asked for may wait: that says nothing about how busy the device is."""
LONG_S: Final = 1.0
"""A window that is cancelled after so long has waited for most of it."""


class Transcriber(Protocol):
    """What a session needs of the engine."""

    async def transcribe(self, window: Window) -> Hypothesis:
        """The result of one window. Cancelling the call cancels the window."""
        ...


class WindowTasks:
    """See above. `on_outcome` is told of each window that was not cancelled.

    `on_timing` is told how long an urgent window waited and how long it took, in seconds: both the same where it was
    refused, or given up after a long time.
    """

    def __init__(
        self,
        owner: str,
        engine: Transcriber,
        on_outcome: Callable[[Window, Outcome], None],
        on_timing: Callable[[float, float], None],
    ) -> None:
        self._owner = owner
        self._engine = engine
        self._on_outcome = on_outcome
        self._on_timing = on_timing
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def start(self, window: Window) -> None:
        """Have the engine transcribe it."""
        name = f"live {self._owner} window {window.id}"
        self._tasks[window.id] = asyncio.create_task(self._infer(window), name=name)

    def cancel(self, window_id: int) -> None:
        """It is not wanted any more."""
        if task := self._tasks.get(window_id):
            task.cancel()

    async def close(self) -> None:
        """Cancel all."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _infer(self, window: Window) -> None:
        now = asyncio.get_running_loop().time
        asked_at = now()
        urgent = window.deadline <= asked_at + NEAR_S
        outcome: Outcome
        try:
            outcome = await self._engine.transcribe(window)
        except asyncio.CancelledError:
            took_s = now() - asked_at
            if urgent and took_s >= LONG_S:
                self._on_timing(took_s, took_s)
            raise
        except HybridError as error:
            log.debug("live session %s: window %d failed: %s", self._owner, window.id, error)
            outcome = error
        except Exception as error:
            log.exception("live session %s: window %d failed", self._owner, window.id)
            outcome = Unavailable(f"{type(error).__name__}")
        finally:
            self._tasks.pop(window.id, None)
        took_s = now() - asked_at
        if not urgent:
            pass
        elif isinstance(outcome, Hypothesis):
            self._on_timing(outcome.timing.queued_s, took_s)
        elif not isinstance(outcome, Superseded):
            self._on_timing(took_s, took_s)
        self._on_outcome(window, outcome)
