"""What the pacer is told of a session's windows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.support.engine import make_hypothesis, make_window
from whisperlive_hybrid.engine.hypothesis import Hypothesis, Timing
from whisperlive_hybrid.engine.window import Window
from whisperlive_hybrid.errors import Refused, Superseded
from whisperlive_hybrid.live import window_tasks
from whisperlive_hybrid.live.window_tasks import Outcome, WindowTasks


class Engine:
    """Answers as it is told, or never."""

    def __init__(self, answer: Callable[[Window], Outcome] | None) -> None:
        self._answer = answer

    async def transcribe(self, window: Window) -> Hypothesis:
        if self._answer is None:
            await asyncio.Event().wait()
        assert self._answer is not None
        outcome = self._answer(window)
        if isinstance(outcome, Hypothesis):
            return outcome
        raise outcome


def heard(window: Window) -> Hypothesis:
    hypothesis = make_hypothesis(window, "one")
    return Hypothesis(window.id, hypothesis.segments, "en", 1.0, 1.0, Timing(queued_s=0.4))


async def timings(answer: Callable[[Window], Outcome] | None, *, wanted_in_s: float = 1.0) -> list[tuple[float, float]]:
    told: list[tuple[float, float]] = []
    tasks = WindowTasks("s", Engine(answer), lambda window, outcome: None, lambda *timing: told.append(timing))
    tasks.start(make_window(deadline=asyncio.get_running_loop().time() + wanted_in_s))
    await asyncio.sleep(0.02)
    await tasks.close()
    return told


async def test_a_windows_wait_is_told() -> None:
    ((queued, _),) = await timings(heard)
    assert queued == 0.4


async def test_a_refusal_counts_as_a_wait_and_a_replaced_partial_does_not() -> None:
    ((queued, took),) = await timings(lambda _: Refused("full"))
    assert queued == took
    assert await timings(lambda _: Superseded("newer")) == []


async def test_what_is_not_urgent_says_nothing() -> None:
    assert await timings(heard, wanted_in_s=10.0) == []


async def test_a_window_given_up_after_a_long_time_has_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await timings(None) == []
    monkeypatch.setattr(window_tasks, "LONG_S", 0.01)
    ((queued, took),) = await timings(None)
    assert queued == took >= 0.01
