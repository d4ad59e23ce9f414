"""A connection without a socket: the server's end, and the client's end that a test holds."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from whisperlive_hybrid.transports.connection import ConnectionLost, Message


@dataclass(frozen=True)
class _End:
    """The connection is over. `code`: None when it broke."""

    code: int | None


class MemoryConnection:
    """The server's end; the methods from `say` on are the client's. Holds `room` messages each way."""

    def __init__(self, room: int = 4) -> None:
        self._to_server: asyncio.Queue[Message | _End] = asyncio.Queue(room)
        self._to_client: asyncio.Queue[Message] = asyncio.Queue(room)
        self._over = asyncio.Event()
        self.close_code: int | None = None
        """As the server closed it."""
        self.answers_pings = True
        self.n_pings = 0

    # --- the server's end ------------------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """See Connection."""
        got = await self._unless_over(self._to_server.get())
        if isinstance(got, _End):
            self._over.set()
            raise ConnectionLost(clean=got.code == 1000)
        assert isinstance(got, str | bytes)
        return got

    async def send(self, message: Message) -> None:
        """See Connection."""
        await self._unless_over(self._to_client.put(message))

    async def ping(self, timeout_s: float) -> bool:
        """See Connection."""
        self.n_pings += 1
        await asyncio.sleep(0)
        return self.answers_pings

    async def close(self, code: int, reason: str) -> bool:
        """See Connection."""
        if self._over.is_set():
            return False
        self.close_code = code
        self._over.set()
        return True

    def abort(self) -> None:
        """See Connection."""
        self._over.set()

    async def _unless_over(self, action: Any) -> object:
        """The action's result. Raises ConnectionLost when the connection is over first."""
        task, over = asyncio.ensure_future(action), asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait((task, over), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ConnectionLost(clean=False)
            return task.result()
        finally:
            for each in (task, over):
                each.cancel()

    # --- the client's end ------------------------------------------------------------------------------------------

    async def say(self, message: Message | dict[str, Any]) -> None:
        """Send; waits while the server does not read."""
        await self._unless_over(self._to_server.put(json.dumps(message) if isinstance(message, dict) else message))

    async def hear(self) -> dict[str, Any] | None:
        """The next message from the server; None when the connection is over and everything is read."""
        while True:
            if not self._to_client.empty():
                heard: dict[str, Any] = json.loads(self._to_client.get_nowait())
                return heard
            if self._over.is_set():
                return None
            getter, over = asyncio.ensure_future(self._to_client.get()), asyncio.ensure_future(self._over.wait())
            try:
                await asyncio.wait((getter, over), return_when=asyncio.FIRST_COMPLETED)
                if getter.done():
                    heard = json.loads(getter.result())
                    return heard
            finally:
                getter.cancel()
                over.cancel()

    async def leave(self) -> None:
        """Close on purpose."""
        await self._to_server.put(_End(1000))

    def drop(self) -> None:
        """The network is gone; what is under way is lost."""
        self._over.set()
