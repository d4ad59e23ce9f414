"""The Wyoming port: plain TCP, one dialect a connection, one session a transcript. The protocol knows no keys."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from whisperlive_hybrid.live.runner import LiveService
from whisperlive_hybrid.transports.connection import ConnectionLost, Message, serve_connection
from whisperlive_hybrid.transports.rationed import ration
from whisperlive_hybrid.transports.wyoming import WyomingDialect

log = logging.getLogger(__name__)

READ_BYTES: Final = 2**14
WRITE_BUFFER_BYTES: Final = 2**16
CLOSE_WITHIN_S: Final = 5.0
LINGER_S: Final = 1.0
"""What a client still sends is read for so long, since what is unread at a close takes our last words with it."""
MAX_CONNECTIONS: Final = 256
"""Most have no session, and cost next to nothing; more are closed at once."""
TOLD: Final = 1000
"""What a connection is closed with when everything is told."""


class TcpConnection:
    """A connection of bytes. `closing`: how the last session on it ended; None while one runs."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.closing: int | None = None

    async def receive(self) -> Message:
        """See Connection: whatever has come."""
        try:
            data = await self._reader.read(READ_BYTES)
        except OSError:
            raise ConnectionLost(clean=False) from None
        if not data:
            raise ConnectionLost(clean=True)
        return data

    async def send(self, message: Message) -> None:
        """See Connection."""
        assert isinstance(message, bytes)
        try:
            self._writer.write(message)
            await self._writer.drain()
        except OSError:
            raise ConnectionLost(clean=False) from None

    async def ping(self, timeout_s: float) -> bool:
        """See Connection. Clients answer no pings while they wait; the system looks after dead connections."""
        return True

    async def close(self, code: int, reason: str) -> bool:
        """See Connection: the end of a session, which is not that of the connection."""
        self.closing = code
        return True

    def abort(self) -> None:
        """See Connection."""
        self._writer.transport.abort()

    async def end(self) -> None:
        """Close it, once the client has heard the last words."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(LINGER_S):
                self._writer.write_eof()
                while await self._reader.read(READ_BYTES):
                    pass


class WyomingListener:
    """Listens on host and port while its context is entered. `dialect`: makes the wire of a connection."""

    def __init__(self, live: LiveService, *, host: str, port: int, dialect: Callable[[], WyomingDialect]) -> None:
        self._live = live
        self._host = host
        self._port = port
        self._dialect = dialect
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port really listened on."""
        assert self._server is not None, "not listening"
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, self._port, limit=READ_BYTES)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= MAX_CONNECTIONS:
            log.warning("%d Wyoming connections are open; another is refused", len(self._tasks))
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer), name="wyoming connection")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One transcript after the other, until the client is gone or something is wrong with it."""
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        writer.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        ration(writer.transport)  # type: ignore[arg-type]
        connection, dialect = TcpConnection(reader, writer), self._dialect()
        try:
            while True:
                connection.closing = None
                await serve_connection(connection, dialect, self._live)
                if connection.closing != TOLD:
                    await connection.end()
                    return
                dialect.next_turn()
        finally:
            writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(CLOSE_WITHIN_S):
                    await writer.wait_closed()
