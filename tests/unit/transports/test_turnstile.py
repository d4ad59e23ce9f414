"""Messages beyond what anybody needs wait."""

from __future__ import annotations

import pytest

from whisperlive_hybrid.transports.turnstile import (
    AUDIO_AT_ONCE,
    AUDIO_PER_S,
    CONTROL_AT_ONCE,
    CONTROL_PER_S,
    Turnstile,
)


def worked_off(*, audio: bool, for_s: float) -> int:
    """Messages of a client that sends without end."""
    now, n = 100.0, 0
    turnstile = Turnstile(now)
    while now < 100.0 + for_s:
        n += 1
        now += turnstile.wait_s(audio=audio, now=now)
    return n


@pytest.mark.parametrize(
    ("audio", "per_s", "at_once"), [(True, AUDIO_PER_S, AUDIO_AT_ONCE), (False, CONTROL_PER_S, CONTROL_AT_ONCE)]
)
def test_a_flood_is_held_to_its_rate_after_a_burst(audio: bool, per_s: float, at_once: float) -> None:
    assert worked_off(audio=audio, for_s=30.0) == pytest.approx(at_once + 30 * per_s, abs=2)


def test_who_sends_a_message_every_20_ms_never_waits_and_may_catch_up() -> None:
    turnstile = Turnstile(0.0)
    assert all(turnstile.wait_s(audio=True, now=i * 0.02) == 0 for i in range(10_000))
    assert all(turnstile.wait_s(audio=True, now=200.0) == 0 for _ in range(5990))


def test_a_long_message_that_is_no_audio_counts_as_several() -> None:
    turnstile = Turnstile(0.0)
    for _ in range(3):
        held = turnstile.wait_s(audio=False, now=0.0, length=2**20)
    assert held == pytest.approx((3 * 65 - CONTROL_AT_ONCE) / CONTROL_PER_S)
    assert turnstile.wait_s(audio=True, now=0.0, length=2**24) == 0


def test_what_is_no_audio_does_not_hold_up_audio() -> None:
    turnstile = Turnstile(0.0)
    for _ in range(1000):
        held = turnstile.wait_s(audio=False, now=0.0)
    assert held > 1
    assert turnstile.wait_s(audio=True, now=0.0) == 0
