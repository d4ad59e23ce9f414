"""Wake-ups."""

from __future__ import annotations

import asyncio

from whisperlive_hybrid.jobs.bell import Bell


async def test_what_rings_before_and_while_somebody_waits() -> None:
    bell = Bell()
    with bell.listen("a") as one, bell.listen("a") as two, bell.listen("b") as other:
        bell.ring("a", "nobody")
        assert await one.wait(5)
        assert await two.wait(5)
        assert not await other.wait(0.01)
        assert not await one.wait(0.01), "heard once"
        waiting = asyncio.create_task(one.wait(5))
        await asyncio.sleep(0)
        bell.ring("a")
        assert await waiting
    assert bell._listeners == {}
