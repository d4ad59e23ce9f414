from __future__ import annotations

import asyncio
import time

import pytest

from whisperlive_hybrid.ops.loop_lag import LagSnapshot, LoopLag


def test_nothing_measured_is_zero() -> None:
    assert LoopLag().snapshot() == LagSnapshot(0, 0, 0, 0)


def test_ticks_in_time_count_once_each() -> None:
    lag = LoopLag(interval_s=0.01)
    due = 1.0
    for _ in range(100):
        due = lag.record(due, due + 0.001)
    snapshot = lag.snapshot()
    assert snapshot.n == 100
    assert snapshot.p50_ms == snapshot.max_ms == pytest.approx(1.0)


def test_a_block_counts_for_every_tick_it_delayed() -> None:
    lag = LoopLag(interval_s=0.01)
    due = lag.record(1.0, 1.105)  # ticks of 1.00 … 1.10 all run at 1.105
    assert due == pytest.approx(1.11)
    snapshot = lag.snapshot()
    assert snapshot.n == 11
    assert snapshot.max_ms == pytest.approx(105.0)
    assert snapshot.p50_ms == pytest.approx(55.0)


def test_the_window_slides() -> None:
    lag = LoopLag(interval_s=0.01, window_s=1.0)
    due = lag.record(1.0, 500.0)
    assert lag.snapshot().n == 100
    for _ in range(100):
        due = lag.record(due, due)
    assert lag.snapshot().max_ms == pytest.approx(0.0, abs=1e-3)


def test_reset_forgets() -> None:
    lag = LoopLag()
    lag.record(0.0, 1.0)
    lag.reset()
    assert lag.snapshot().n == 0


async def test_a_blocked_loop_is_seen_and_leaving_ends_the_measuring() -> None:
    before = asyncio.all_tasks()
    async with LoopLag(interval_s=0.01) as lag:
        await asyncio.sleep(0.05)
        time.sleep(0.3)  # noqa: ASYNC251 (the block to be seen)
        await asyncio.sleep(0.05)
        assert lag.snapshot().max_ms >= 280
    assert asyncio.all_tasks() == before
