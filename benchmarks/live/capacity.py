"""The search for the largest number of sessions within a limit. Pure but for the probe it is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Capacity:
    """The most sessions that were seen to hold a limit, and the fewest above them that were seen not to.

    `fails_at` None: the search ended at `most` without a failure.
    """

    limit: float
    holds: int
    fails_at: int | None


def search(
    probe: Callable[[int], float], limit: float, known: dict[int, float], *, start: int, most: int, step: float = 0.15
) -> Capacity:
    """Double the number of sessions until the limit breaks, then halve the gap until it is within `step` of the answer.

    probe: the figure (such as a p95) at so many sessions; not finite means broken. known: figures there are already;
    new ones are added. It is assumed that more sessions never help.
    """

    def holds(n: int) -> bool:
        if n not in known:
            known[n] = probe(n)
        return known[n] <= limit

    low = max((n for n, figure in known.items() if figure <= limit), default=0)
    high = min((n for n, figure in known.items() if n > low and not figure <= limit), default=None)
    n = min(start, most) if low == 0 else min(2 * low, most)
    while high is None and low < most:
        if holds(n):
            low, n = n, min(2 * n, most)
        else:
            high = n
    while high is not None and high - low > max(1, int(low * step)):
        middle = (low + high) // 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return Capacity(limit, low, high)
