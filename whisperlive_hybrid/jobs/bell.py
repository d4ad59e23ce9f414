"""Wake-ups within the process. They only spare waiting: what happened is in the database, which is the truth."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

QUEUE: Final = "queue"
"""There may be a job to take."""
OUTBOX: Final = "outbox"
"""There may be a webhook to deliver."""


class Listener:
    """Hears what rings while its block runs."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake up who waits, now or next."""
        self._rung.set()

    async def wait(self, timeout_s: float) -> bool:
        """Return when it has rung since the last call, or after a while; whether it rang."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        except TimeoutError:
            return False
        self._rung.clear()
        return True


class Bell:
    """One for the server. Topics are QUEUE, OUTBOX and the ids of jobs."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[Listener]] = {}

    def ring(self, *topics: str) -> None:
        """Something happened."""
        for topic in topics:
            for listener in self._listeners.get(topic, ()):
                listener.ring()

    @contextmanager
    def listen(self, topic: str) -> Iterator[Listener]:
        """Hear of `topic`. Listen first, then look at the database: nothing is missed."""
        listener = Listener()
        self._listeners.setdefault(topic, set()).add(listener)
        try:
            yield listener
        finally:
            self._listeners[topic].discard(listener)
            if not self._listeners[topic]:
                del self._listeners[topic]
