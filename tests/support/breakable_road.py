"""A TCP road to a server that a test can break under way, as a lost network would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Road:
    """`port` leads to the server. `n_travelled` counts the bytes that went there."""

    port: int = 0
    n_travelled: int = 0
    _ends: set[asyncio.StreamWriter] = field(default_factory=set)

    def break_all(self) -> None:
        """Cut every connection, without a goodbye to either side."""
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()


@asynccontextmanager
async def road_to(port: int) -> AsyncIterator[Road]:
    """A road to `port` on this machine."""
    road = Road()
    tasks: set[asyncio.Task[None]] = set()

    async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, *, counted: bool) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                road.n_travelled += len(data) if counted else 0
                target.write(data)
                await target.drain()
        target.transport.abort()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_server, from_server = writer, reader
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        road._ends |= {to_server, far_writer}
        for task in (
            asyncio.create_task(carry(from_server, far_writer, counted=True)),
            asyncio.create_task(carry(far_reader, writer, counted=False)),
        ):
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    road.port = server.sockets[0].getsockname()[1]
    try:
        yield road
    finally:
        server.close()
        road.break_all()
        await asyncio.gather(*tasks, return_exceptions=True)
