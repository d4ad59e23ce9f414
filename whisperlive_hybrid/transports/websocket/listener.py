"""The live port: one WebSocket listener for all front doors for live audio."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Final, Self, TypeAlias

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.typing import Subprotocol

from whisperlive_hybrid.errors import HybridError
from whisperlive_hybrid.live.runner import LiveService
from whisperlive_hybrid.transports.admission import Admit, Identify
from whisperlive_hybrid.transports.connection import (
    MAX_MESSAGE_BYTES,
    ConnectionLost,
    Message,
    refuse,
    serve_connection,
)
from whisperlive_hybrid.transports.live_door import Handshake, LiveTerms
from whisperlive_hybrid.transports.rationed import ration
from whisperlive_hybrid.transports.websocket.doors import door_at

log = logging.getLogger(__name__)

ChooseSubprotocol: TypeAlias = Callable[[Mapping[str, str]], str | None]
"""(headers): the subprotocol to answer with."""

CLOSE_WITHIN_S: Final = 5.0
WRITE_BUFFER_BYTES: Final = 2**16
"""Sent and not yet taken by the client's socket; then its events wait in the session, where newer replace older."""
INBOX_MESSAGES: Final = 4
"""Read ahead, each up to MAX_MESSAGE_BYTES."""


class SocketConnection:
    """A connection of the `websockets` library."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket

    async def receive(self) -> Message:
        """See Connection."""
        protocol = self._socket.protocol
        if protocol.state is State.CLOSING and protocol.close_rcvd is None:
            raise ConnectionLost(clean=False)  # it broke the protocol: what it sent is in pieces
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
        """See Connection. The peer's answer stands behind what it sent before, which nobody wants any more."""
        discarding = asyncio.create_task(self._discard())
        try:
            await self._socket.close(code, reason)
        finally:
            discarding.cancel()
            await asyncio.gather(discarding, return_exceptions=True)
        return self._socket.close_code == code

    async def _discard(self) -> None:
        """Read to the end."""
        with suppress(ConnectionClosed):
            while True:
                await self._socket.recv()

    def abort(self) -> None:
        """See Connection."""
        self._socket.transport.abort()


class _RationedConnection(ServerConnection):
    """Reads in rations from the handshake on."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        ration(self.transport)


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
        terms: LiveTerms,
        admit: Admit | None = None,
        identify: Identify | None = None,
        choose_subprotocol: ChooseSubprotocol | None = None,
    ) -> None:
        self._live = live
        self._host = host
        self._port = port
        self._terms = terms
        self._admit = admit
        self._identify = identify
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
            create_connection=_RationedConnection,
            compression=None,  # audio does not compress, and texts are short
            max_size=MAX_MESSAGE_BYTES,
            max_queue=INBOX_MESSAGES,
            write_limit=WRITE_BUFFER_BYTES,
            ping_interval=None,  # serve_connection pings: it knows when nobody reads
            close_timeout=CLOSE_WITHIN_S,
            process_request=self._process_request,
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

    def _process_request(self, socket: ServerConnection, request: Request) -> Response | None:
        """Turn a caller away before there is a WebSocket, where its door does so."""
        handshake = Handshake.of(request.path, request.headers)
        door = door_at(handshake.path)
        socket.protocol.max_message_size = door.max_message_bytes
        if door.refuse_handshake is None:
            return None
        try:
            self._let_in(handshake)
            door.dialect(handshake, self._terms)
        except HybridError as error:
            refusal = door.refuse_handshake(error)
            response = socket.respond(refusal.status, refusal.body)
            del response.headers["Content-Type"]
            response.headers["Content-Type"] = refusal.content_type
            response.headers.update(refusal.headers)
            return response
        return None

    def _let_in(self, handshake: Handshake) -> None:
        if self._admit is not None:
            self._admit(handshake.headers, handshake.query, handshake.headers.get("Origin"))

    async def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        connection = SocketConnection(socket)
        handshake = Handshake.of(socket.request.path, socket.request.headers)
        dialect = door_at(handshake.path).dialect(handshake, self._terms)
        client: str | None = None
        try:
            self._let_in(handshake)
            if self._identify is not None:
                address = socket.remote_address
                peer = str(address[0]) if isinstance(address, tuple) else None
                client = self._identify(handshake.headers, handshake.query, peer)
        except HybridError as error:
            await refuse(connection, dialect.refuse(error))
            return
        await serve_connection(connection, dialect, self._live, client)
