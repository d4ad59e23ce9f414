"""The pace of partials, driven by waits that are made up, and by a device that is simulated."""

from __future__ import annotations

import random

import pytest

from whisperlive_hybrid.live.pacing import Pace, Pacer, PaceRules


def feed(
    pacer: Pacer, wait_s: float, *, since: float, seconds: float, each_s: float = 0.1, took_s: float = 0.1
) -> float:
    """Windows come back every `each_s`, all having waited `wait_s`. Returns the time after them."""
    now = since
    while now < since + seconds:
        now += each_s
        pacer.receive(wait_s, wait_s + took_s, now)
    return now


def test_short_waits_keep_the_shortest_interval() -> None:
    pacer = Pacer()
    feed(pacer, 0.2, since=0.0, seconds=60.0)
    assert pacer.pace == Pace(0.5, False, 0.2)


def test_long_waits_lengthen_it_step_by_step_to_the_longest_and_no_further() -> None:
    pacer = Pacer(PaceRules(shortest_s=0.3, longest_s=2.0))
    seen = []
    now = 0.0
    for _ in range(12):
        now = feed(pacer, 0.4, since=now, seconds=1.0)
        if not seen or seen[-1] != pacer.pace.interval_s:
            seen.append(pacer.pace.interval_s)
    assert seen == pytest.approx([0.3, 0.48, 0.77, 1.24, 2.0]) or seen == pytest.approx([0.48, 0.77, 1.24, 2.0])
    assert pacer.pace.degraded


def test_very_long_waits_lengthen_it_faster() -> None:
    pacer = Pacer()
    feed(pacer, 3.0, since=0.0, seconds=2.2)
    assert pacer.pace.interval_s >= 1.0


def test_a_load_of_long_ago_does_not_slow_the_next_session() -> None:
    pacer = Pacer()
    now = 0.0
    for _ in range(4):  # a load that comes and goes makes the calm time long
        now = feed(pacer, 3.0, since=now, seconds=6.0)
        now = feed(pacer, 0.0, since=now, seconds=30.0)
    feed(pacer, 3.0, since=now, seconds=30.0)
    assert pacer.pace.degraded
    pacer.advance(now + 600.0)  # nobody was there meanwhile
    assert pacer.pace == Pace(0.5)
    feed(pacer, 3.0, since=now + 600.0, seconds=4.0)
    assert pacer.pace.degraded, "it is judged anew"


def test_it_shrinks_again_after_a_calm_time_and_at_once_slower_when_that_was_wrong() -> None:
    pacer, now = Pacer(), 0.0
    calm = []
    for _ in range(4):
        while pacer.pace.interval_s == 0.5:
            now = feed(pacer, 0.4, since=now, seconds=0.2)
        began = now
        while pacer.pace.interval_s > 0.5:
            now = feed(pacer, 0.0, since=now, seconds=0.2)
        calm.append(now - began)
    assert calm[0] >= 5.0
    assert calm[1] > 1.5 * calm[0]
    assert calm[2] > 1.5 * calm[1]


def test_when_nobody_speaks_it_goes_back_by_itself() -> None:
    pacer = Pacer()
    now = feed(pacer, 1.0, since=0.0, seconds=10.0)
    assert pacer.pace.interval_s == 2.0
    for _ in range(60):
        now += 1.0
        pacer.advance(now)
    assert pacer.pace == Pace(0.5, False, 0.0)


def test_an_interval_is_not_shorter_than_a_partial_takes() -> None:
    pacer = Pacer()
    feed(pacer, 0.0, since=0.0, seconds=60.0, each_s=1.0, took_s=0.8)
    assert pacer.pace == Pace(1.0, True, 0.0)


def test_one_long_wait_among_few_windows_changes_nothing() -> None:
    pacer = Pacer()
    now = feed(pacer, 0.0, since=0.0, seconds=3.0, each_s=0.5)
    pacer.receive(2.0, 2.1, now)
    feed(pacer, 0.0, since=now, seconds=1.0, each_s=0.5)
    assert pacer.pace.interval_s == 0.5


def simulate(n_sessions: int, window_s: float, seconds: float = 180.0) -> tuple[Pacer, list[float], int]:
    """Sessions on one device that batches. Returns the pacer, waits of the second half, and how often it changed.

    A window takes `window_s`, each further one of its batch half as much; a final takes as much as three partials.
    """
    chance = random.Random(1)
    pacer = Pacer()
    waits: list[float] = []
    changes = 0
    partial_at = [chance.random() for _ in range(n_sessions)]
    final_at = [chance.expovariate(1 / 4) for _ in range(n_sessions)]
    waiting: list[tuple[int, float, int]] = []
    running: tuple[float, float, list[tuple[int, float, int]]] | None = None
    under_way = [False] * n_sessions
    for tick in range(round(seconds * 100)):
        now = tick / 100
        for i in range(n_sessions):
            if now >= partial_at[i] and not under_way[i]:
                under_way[i] = True
                waiting.append((1, now, i))
                pause_s = chance.expovariate(1 / 2) if chance.random() < 0.4 else 0.0
                partial_at[i] = now + pacer.pace.interval_s + pause_s
            if now >= final_at[i]:
                waiting.append((0, now, i))
                final_at[i] = now + 1 + chance.expovariate(1 / 3)
        before = pacer.pace.interval_s
        if running is not None and now >= running[0]:
            _, started, batch = running
            for lane, asked, i in batch:
                pacer.receive(started - asked, now - asked, now)
                if lane == 1:
                    under_way[i] = False
                if now > seconds / 2:
                    waits.append(started - asked)
            running = None
        pacer.advance(now)
        changes += pacer.pace.interval_s != before
        if running is None and waiting:
            lane = min(w[0] for w in waiting)
            batch = [w for w in waiting if w[0] == lane][:8]
            waiting = [w for w in waiting if w not in batch]
            took = window_s * (1 if lane else 3) * (1 + (len(batch) - 1) / 2)
            running = (now + took, now, batch)
    return pacer, sorted(waits), changes


@pytest.mark.parametrize(
    ("n_sessions", "window_s", "slowest_s"), [(1, 0.02, 0.5), (4, 0.05, 0.71), (8, 0.05, 2.0), (20, 0.02, 0.71)]
)
def test_waits_stay_near_the_target_where_the_device_can_keep_up(
    n_sessions: int, window_s: float, slowest_s: float
) -> None:
    pacer, waits, changes = simulate(n_sessions, window_s)
    assert waits[int(0.95 * len(waits))] <= 0.3
    assert pacer.pace.interval_s <= slowest_s
    assert changes <= 12, "in three minutes"


def test_too_many_sessions_get_the_longest_interval_and_it_stays() -> None:
    pacer, _, changes = simulate(24, 0.05)
    assert pacer.pace.interval_s == 2.0
    assert pacer.pace.degraded
    assert changes <= 4
