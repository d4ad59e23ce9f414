"""The live port: one WebSocket listener, and the list of front doors by path."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK
from websockets.typing import Subprotocol

from whisperlive_hybrid.errors import HybridError, NotFound
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.runner import LiveService
from whisperlive_hybrid.transports.connection import (
    MAX_MESSAGE_BYTES,
    ConnectionLost,
    Dialect,
    Message,
    refuse,
    serve_connection,
)
from whisperlive_hybrid.transports.websocket.native import NativeDialect

log = logging.getLogger(__name__)

Admit: TypeAlias = Callable[[Mapping[str, str], Mapping[str, str], str | None], None]
"""(headers, query, origin): raises Unauthorized or Refused for a caller that may not come in."""
ChooseSubprotocol: TypeAlias = Callable[[Mapping[str, str]], str | None]
"""(headers): the subprotocol to answer with."""

CLOSE_WITHIN_S: Final = 5.0
WRITE_BUFFER_BYTES: Final = 2**16
"""Sent and not yet taken by the client's socket; then its events wait in the session, where newer replace older."""
INBOX_MESSAGES: Final = 4
"""Read ahead, each up to MAX_MESSAGE_BYTES."""


@dataclass(frozen=True, slots=True)
class Door:
    """Who answers on a path."""

    path: str
    dialect: Callable[[Mapping[str, str], LiveOptions], Dialect]
    """(query, defaults) → the wire of one connection."""


DOORS: Final[Sequence[Door]] = (Door("/ws/stream", NativeDialect),)


def door_at(path: str) -> Door:
    """The door of a path. Raises NotFound naming the paths there are."""
    for door in DOORS:
        if path.rstrip("/") == door.path:
            return door
    paths = ", ".join(door.path for door in DOORS)
    raise NotFound(f"There is nothing at {path[:100]}; live audio is taken at {paths}.", kind="path", id=path)


class SocketConnection:
    """A connection of the `websockets` library."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket

    async def receive(self) -> Message:
        """See Connection."""
        try:
            return await self._socket.recv()
        except ConnectionClosed as error:
            raise ConnectionLost(clean=isinstance(error, ConnectionClosedOK) and _code(error) == 1000) from None

    async def send(self, message: Message) -> None:
        """See Connection."""
        try:
            await self._socket.send(message)
        except ConnectionClosed as error:
            raise ConnectionLost(clean=isinstance(error, ConnectionClosedOK) and _code(error) == 1000) from None

    async def ping(self, timeout_s: float) -> bool:
        """See Connection."""
        try:
            async with asyncio.timeout(timeout_s):
                await (await self._socket.ping())
        except TimeoutError:
            return False
        except ConnectionClosed:
            raise ConnectionLost(clean=False) from None
        return True

    async def close(self, code: int, reason: str) -> bool:
        """See Connection."""
        await self._socket.close(code, reason)
        return self._socket.close_code == code

    def abort(self) -> None:
        """See Connection."""
        self._socket.transport.abort()


def _code(error: ConnectionClosed) -> int | None:
    return error.rcvd.code if error.rcvd is not None else None


class LiveListener:
    """Listens on host and port while its context is entered. `admit` is asked before anything else is read."""

    def __init__(
        self,
        live: LiveService,
        *,
        host: str,
        port: int,
        defaults: LiveOptions,
        admit: Admit | None = None,
        choose_subprotocol: ChooseSubprotocol | None = None,
    ) -> None:
        self._live = live
        self._host = host
        self._port = port
        self._defaults = defaults
        self._admit = admit
        self._choose_subprotocol = choose_subprotocol
        self._server: Server | None = None

    @property
    def port(self) -> int:
        """The port really listened on."""
        assert self._server is not None, "not listening"
        port: int = next(iter(self._server.sockets)).getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve,
            self._host,
            self._port,
            compression=None,  # audio does not compress, and texts are short
            max_size=MAX_MESSAGE_BYTES,
            max_queue=INBOX_MESSAGES,
            write_limit=WRITE_BUFFER_BYTES,
            ping_interval=None,  # serve_connection pings: it knows when nobody reads
            close_timeout=CLOSE_WITHIN_S,
            select_subprotocol=self._select_subprotocol,
            server_header=None,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def _select_subprotocol(self, socket: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        if self._choose_subprotocol is None or socket.request is None:
            return None
        name = self._choose_subprotocol(socket.request.headers)
        return None if name is None else Subprotocol(name)

    async def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        connection = SocketConnection(socket)
        url = urlsplit(socket.request.path)
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        headers = socket.request.headers
        try:
            if self._admit is not None:
                self._admit(headers, query, headers.get("Origin"))
            door = door_at(url.path)
        except HybridError as error:
            await refuse(connection, NativeDialect({}, self._defaults).refuse(error))
            return
        await serve_connection(connection, door.dialect(query, self._defaults), self._live)
