"""How often partials are made, by how long live windows wait for the device. Pure: no clock, no I/O.

One `Pacer` serves all sessions. It is told of every live window that came back, and names one of a few intervals. The
interval grows as soon as windows wait longer than the target, and shrinks again after a calm time; a shorter interval
that did not last makes the next calm time twice as long, so that a load between two steps does not waver all day.
Finals are never paced: partials make room for them.

A window's wait says how busy the device is with the windows of others. Its turnaround says how busy one session keeps
it: an interval shorter than the time a partial takes would keep the device at work without a break, and a final would
always find it so. Both must fit.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """What sessions go by."""

    interval_s: float = 0.5
    """Shortest time between the starts of two partial windows of a session."""
    degraded: bool = False
    """Partials come at most half as often as they should; nothing is done ahead of time."""
    queue_s: float = 0.0
    """How long live windows waited lately, 95th percentile."""


@dataclass(frozen=True, slots=True)
class PaceRules:
    """The numbers of a pacer."""

    shortest_s: float = 0.5
    """Interval of an idle server."""
    longest_s: float = 2.0
    n_steps: int = 5
    """Intervals to choose from, in geometric steps."""
    target_wait_s: float = 0.25
    """The 95th percentile of the wait that is to be kept."""
    period_s: float = 1.0
    """Between two decisions."""
    memory_s: float = 5.0
    """Windows older than this say nothing any more, where there are enough newer ones."""
    few: int = 10
    """Fewer windows than this are judged by their median."""
    enough: int = 40
    """Windows that make a percentile."""
    long_memory_s: float = 20.0
    """Windows older than this say nothing in any case, nor do those before the last change."""
    calm_s: float = 5.0
    """Time with short waits before the interval shrinks, at least."""
    longest_calm_s: float = 60.0


class Pacer:
    """See above. `receive` each window, `advance` about once a second; `pace` is what holds."""

    def __init__(self, rules: PaceRules | None = None) -> None:
        self._rules = rules = rules or PaceRules()
        ratio = max(1.0, rules.longest_s / rules.shortest_s) ** (1 / max(1, rules.n_steps - 1))
        steps = {round(rules.shortest_s * ratio**i, 2) for i in range(rules.n_steps)}
        self._intervals = sorted(steps)
        self._step = 0
        self._windows: deque[tuple[float, float, float]] = deque()
        """(when it came back, seconds it waited, seconds it took in all)."""
        self._next_at: float | None = None
        self._calm_since: float | None = None
        self._calm_s = rules.calm_s
        self._shrunk_at: float | None = None
        self.pace = Pace(self._intervals[0])

    def receive(self, queued_s: float, turnaround_s: float, now: float) -> None:
        """A live window came back: it waited `queued_s` of the `turnaround_s` seconds it took.

        For one that was refused or lost both are the time since it was asked for.
        """
        self._windows.append((now, queued_s, turnaround_s))
        self.advance(now)

    def advance(self, now: float) -> Pace:
        """Time has passed. Returns the pace that holds; it is another object only when it is another pace.

        Where it was not called for long there was no session: what was learned of the load before is void.
        """
        if self._next_at is None:
            self._next_at = now + self._rules.period_s
        elif now > self._next_at + self._rules.long_memory_s:
            self._step, self._calm_since, self._calm_s, self._shrunk_at = 0, None, self._rules.calm_s, None
            self._forget(now)
        if now >= self._next_at:
            self._next_at = now + self._rules.period_s
            self._forget(now)
            self._decide(now)
        return self.pace

    def _forget(self, now: float) -> None:
        windows, rules = self._windows, self._rules
        while windows and windows[0][0] < now - rules.memory_s:
            if len(windows) <= rules.enough and windows[0][0] >= now - rules.long_memory_s:
                return
            windows.popleft()

    def _decide(self, now: float) -> None:
        rules = self._rules
        waits = [w[1] for w in self._windows]
        wait = _percentile(waits, 0.95)
        # The longest wait of a handful says little; where most are long, a few are enough.
        crowded = _percentile(waits, 0.95 if len(waits) >= rules.few else 0.5) > rules.target_wait_s
        took = _percentile([w[2] for w in self._windows], 0.5)
        step = self._step
        if crowded or took > self._intervals[step]:
            self._calm_since = None
            step += 2 if wait > 3 * rules.target_wait_s else 1
            if self._shrunk_at is not None and now - self._shrunk_at < 2 * self._calm_s:
                self._calm_s = min(2 * self._calm_s, rules.longest_calm_s)
            self._shrunk_at = None
        elif step > 0 and wait <= rules.target_wait_s / 2 and took <= self._intervals[step - 1]:
            if self._calm_since is None:
                self._calm_since = now
            if now - self._calm_since >= self._calm_s:
                step -= 1
                self._calm_since, self._shrunk_at = None, now
        else:
            self._calm_since = None
        if self._shrunk_at is not None and now - self._shrunk_at >= 2 * self._calm_s:
            self._shrunk_at, self._calm_s = None, max(rules.calm_s, self._calm_s / 2)
        step = min(step, len(self._intervals) - 1)
        if step != self._step:
            self._step = step
            self._windows.clear()  # they waited at the old pace
        interval = self._intervals[step]
        pace = Pace(interval, interval >= 2 * self._intervals[0], round(wait, 2))
        if pace != self.pace:
            self.pace = pace


class Lead:
    """How far the speech of a session is ahead of time: it rises with speech that comes and falls as time passes.

    It falls to `-credit_s` at the lowest, so that a client that was cut off for a while may catch up.
    """

    def __init__(self, credit_s: float, seconds: float = 0.0) -> None:
        self._credit_s = credit_s
        self.seconds = max(seconds, -credit_s)
        """Negative while it is behind."""
        self._at: float | None = None

    def advance(self, speech_s: float, now: float) -> None:
        """`speech_s` more seconds of speech have come until `now`."""
        passed = 0.0 if self._at is None else now - self._at
        self._at = now
        self.seconds = max(self.seconds - passed, -self._credit_s) + speech_s


def _percentile(values: list[float], part: float) -> float:
    """By nearest rank; 0 of nothing."""
    return sorted(values)[math.ceil(part * len(values)) - 1] if values else 0.0
