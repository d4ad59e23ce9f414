"""Waiting for what other tasks and threads bring about."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


async def until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Return as soon as `condition` holds, which tasks of this loop bring about. Raises TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def wait_until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """The same for other threads and processes. Fails when it does not come to that."""
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, f"it did not happen in {timeout_s:g} s"
        time.sleep(0.02)
