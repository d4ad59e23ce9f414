from __future__ import annotations

import pytest

from whisperlive_hybrid.live.throttle import Throttle


def time_for(audio_s: float, throttle: Throttle, *, block_s: float = 0.5, pace_s: float = 0.0) -> float:
    """How long it takes to work off so much audio, of which a block comes every `pace_s` at most."""
    now, due = 0.0, 0.0
    for _ in range(round(audio_s / block_s)):
        now = max(now, due)
        due += pace_s
        now += throttle.wait_s(block_s, now)
    return now


def test_a_stream_in_real_time_never_waits() -> None:
    assert time_for(600, Throttle(1.0, 2.0, 0.0), pace_s=0.5) == pytest.approx(600, abs=1)


def test_a_burst_passes_at_once_and_what_follows_at_the_speed() -> None:
    assert time_for(120, Throttle(10.0, 120.0, 0.0)) == 0
    assert time_for(1120, Throttle(10.0, 120.0, 0.0)) == pytest.approx(100, abs=0.1)


def test_without_a_speed_nothing_waits() -> None:
    assert time_for(10_000, Throttle(0.0, 0.0, 0.0)) == 0
