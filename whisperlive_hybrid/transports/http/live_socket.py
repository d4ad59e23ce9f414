"""The front doors for live audio on the HTTP port, so that a page or a proxy needs one port only.

The same dialects, the same loop as on the live port."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from aiohttp import WSCloseCode, WSMsgType, web

from whisperlive_hybrid.errors import HybridError
from whisperlive_hybrid.live.runner import LiveService
from whisperlive_hybrid.ops.auth import accepted_subprotocol
from whisperlive_hybrid.transports.admission import Admit, Identify, admission, identification
from whisperlive_hybrid.transports.connection import (
    ConnectionLost,
    Message,
    refuse,
    serve_connection,
)
from whisperlive_hybrid.transports.http.describing import Json, faults
from whisperlive_hybrid.transports.http.door import HttpDoor
from whisperlive_hybrid.transports.http.services import HttpServices
from whisperlive_hybrid.transports.http.sockets import CLOSE_WITHIN_S, require_upgrade
from whisperlive_hybrid.transports.live_door import Handshake, LiveDoor, LiveTerms, live_terms
from whisperlive_hybrid.transports.rationed import ration
from whisperlive_hybrid.transports.turnstile import Turnstile
from whisperlive_hybrid.transports.websocket.doors import DOORS
from whisperlive_hybrid.transports.websocket.listener import ChooseSubprotocol


class HttpSocketConnection:
    """A WebSocket of aiohttp. Control frames are answered here: aiohttp's own heartbeat would take a client for dead
    while the session is full and nothing is read."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self._socket = socket
        self._request = request
        self._pong = asyncio.Event()
        self._turnstile = Turnstile(asyncio.get_running_loop().time())

    async def receive(self) -> Message:
        """See Connection."""
        while True:
            message = await self._socket.receive()
            match message.type:
                case WSMsgType.TEXT | WSMsgType.BINARY:
                    data: str | bytes = message.data
                    return data
                case WSMsgType.PING:
                    with suppress(ConnectionError):  # the next message says how it ended
                        await self._socket.pong(message.data)
                    await self._queue_up()
                case WSMsgType.PONG:
                    self._pong.set()
                    await self._queue_up()
                case _:
                    raise ConnectionLost(clean=self._socket.close_code == WSCloseCode.OK)

    async def _queue_up(self) -> None:
        """Control frames wait their turn as other messages do."""
        await asyncio.sleep(self._turnstile.wait_s(audio=False, now=asyncio.get_running_loop().time()))

    async def send(self, message: Message) -> None:
        """See Connection."""
        try:
            if isinstance(message, str):
                await self._socket.send_str(message)
            else:
                await self._socket.send_bytes(message)
        except (ConnectionError, RuntimeError):
            raise ConnectionLost(clean=False) from None

    async def ping(self, timeout_s: float) -> bool:
        """See Connection."""
        self._pong.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._socket.ping()
                await self._pong.wait()
        except TimeoutError:
            return False
        except (ConnectionError, RuntimeError):
            raise ConnectionLost(clean=False) from None
        return True

    async def close(self, code: int, reason: str) -> bool:
        """See Connection."""
        try:
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._socket.close(code=code, message=reason.encode()[:123])
        except (TimeoutError, ConnectionError, RuntimeError):
            self.abort()
            return False
        return self._socket.close_code == code

    def abort(self) -> None:
        """See Connection."""
        if self._request.transport is not None:
            self._request.transport.abort()


def routes(services: HttpServices) -> list[web.RouteDef]:
    """GET at the paths of all live doors, with and without a slash behind, where the server takes live audio."""
    if services.live is None:
        return []
    live, settings = services.live, services.settings
    terms, admit, identify = live_terms(settings), admission(settings), identification(settings, services.limits)

    def socket(door: LiveDoor) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        return live_socket(
            door, live, terms=terms, admit=admit, identify=identify, choose_subprotocol=accepted_subprotocol
        )

    return [web.get(path, socket(door)) for door in DOORS for path in _spellings(door)]


def _spellings(door: LiveDoor) -> list[str]:
    return [spelling for path in door.paths for spelling in (path, f"{path}/")]


def live_socket(
    door: LiveDoor,
    live: LiveService,
    *,
    terms: LiveTerms,
    admit: Admit | None = None,
    identify: Identify | None = None,
    choose_subprotocol: ChooseSubprotocol | None = None,
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The aiohttp handler of a live door."""

    def let_in(request: web.Request) -> None:
        if admit is not None:
            admit(request.headers, request.query, request.headers.get("Origin"))

    async def handle(request: web.Request) -> web.StreamResponse:
        require_upgrade(request)
        handshake = Handshake.of(request.raw_path, request.headers)
        if door.refuse_handshake is not None:  # the path's own door says why
            let_in(request)
            door.dialect(handshake, terms)
        chosen = choose_subprotocol(request.headers) if choose_subprotocol is not None else None
        socket = web.WebSocketResponse(
            max_msg_size=door.max_message_bytes + 1,  # aiohttp refuses messages that reach it
            autoping=False,
            compress=False,
            timeout=CLOSE_WITHIN_S,
            protocols=() if chosen is None else (chosen,),
        )
        await socket.prepare(request)
        if request.transport is not None:
            ration(request.transport)
        connection = HttpSocketConnection(socket, request)
        dialect = door.dialect(handshake, terms)
        client: str | None = None
        try:
            let_in(request)
            if identify is not None:
                client = identify(request.headers, request.query, request.remote)
        except HybridError as error:
            await refuse(connection, dialect.refuse(error))
        else:
            await serve_connection(connection, dialect, live, client)
        return socket

    return handle


def _paths() -> Json:
    socket: Json = {
        "tags": ["Live"],
        "operationId": "stream",
        "summary": "Live audio over a WebSocket; see the protocol's own page",
        "responses": {"101": {"description": "A WebSocket, protocol 1."}, **faults("Error", "426")},
    }
    return {"/ws/stream": {"get": socket}}


DOOR: Final = HttpDoor(
    "live",
    routes,
    own_key_check=re.compile("/ws/.+|" + "|".join(re.escape(path) for door in DOORS for path in _spellings(door))),
    describe=_paths,
    aliases=re.compile("|".join(re.escape(f"{path}/") for door in DOORS for path in door.paths)),
)
