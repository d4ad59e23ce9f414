"""A job's progress over a WebSocket: /ws/jobs/{id}, the same events as the streams have, one JSON text each."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import Final

import msgspec
from aiohttp import web

from whisperlive_hybrid.errors import HybridError
from whisperlive_hybrid.jobs.follow import follow
from whisperlive_hybrid.jobs.view import JobView
from whisperlive_hybrid.ops.auth import accepted_subprotocol
from whisperlive_hybrid.storage.ids import is_id
from whisperlive_hybrid.transports.admission import admission, identification
from whisperlive_hybrid.transports.close_codes import close_code
from whisperlive_hybrid.transports.http.api_answers import HEARTBEAT_S, Event, events_of
from whisperlive_hybrid.transports.http.api_requests import id_of, jobs_of
from whisperlive_hybrid.transports.http.describing import Json, faults
from whisperlive_hybrid.transports.http.door import HttpDoor
from whisperlive_hybrid.transports.http.errors import envelope, unknown_error
from whisperlive_hybrid.transports.http.jobs import follow_batch
from whisperlive_hybrid.transports.http.services import REQUEST_ID, HttpServices
from whisperlive_hybrid.transports.http.sockets import CLOSE_WITHIN_S, SLASH, require_upgrade

log = logging.getLogger(__name__)


def routes(services: HttpServices) -> list[web.RouteDef]:
    """The route of this door."""

    admit, identify = admission(services.settings), identification(services.settings, services.limits)

    async def handle(request: web.Request) -> web.StreamResponse:
        require_upgrade(request)
        chosen = accepted_subprotocol(request.headers)
        socket = web.WebSocketResponse(
            heartbeat=20.0,
            timeout=CLOSE_WITHIN_S,
            max_msg_size=4096,
            compress=False,
            protocols=() if chosen is None else (chosen,),
        )
        await socket.prepare(request)
        # A browser cannot read a refused handshake: it is told in words, and by the code of the close.
        try:
            admit(request.headers, request.query, request.headers.get("Origin"))
            identify(request.headers, request.query, request.remote)
            await _tell(services, request, socket)
            await socket.close()
        except HybridError as error:
            await _refuse(socket, error)
        except (ConnectionError, RuntimeError):
            pass  # the reader is gone
        except Exception:
            log.exception("request %s failed", request[REQUEST_ID])
            await _refuse(socket, unknown_error(request[REQUEST_ID]))
        return socket

    return [web.get("/ws/jobs/{id}" + SLASH, handle)]


async def _tell(services: HttpServices, request: web.Request, socket: web.WebSocketResponse) -> None:
    """Send the events until the job is over or the reader has gone."""
    jobs, id = jobs_of(services), id_of(request, "job", "batch")

    async def send(event: Event) -> None:
        await socket.send_str(msgspec.json.encode(event).decode())

    async def tell() -> None:
        if is_id(id, "batch"):
            async with aclosing(follow_batch(jobs, id)) as events:
                async for event in events:
                    await send(event)
            return
        last: JobView | None = None
        async with aclosing(follow(jobs, id, heartbeat_s=HEARTBEAT_S)) as news:
            async for item in news:
                last = item if isinstance(item, JobView) else last
                async for event in events_of(item, last):
                    await send(event)

    telling = asyncio.create_task(tell(), name=f"{id} socket")
    listening = asyncio.create_task(_until_closed(socket), name=f"{id} socket listens")
    try:
        await asyncio.wait([telling, listening], return_when=asyncio.FIRST_COMPLETED)
        if telling.done():
            telling.result()
    finally:
        for task in (telling, listening):
            task.cancel()
        await asyncio.gather(telling, listening, return_exceptions=True)


async def _until_closed(socket: web.WebSocketResponse) -> None:
    """Nothing is expected of the reader; what it says is passed over."""
    async for _ in socket:
        pass


async def _refuse(socket: web.WebSocketResponse, error: HybridError) -> None:
    try:
        await socket.send_str(msgspec.json.encode({"type": "error", **envelope(error)}).decode())
        await socket.close(code=close_code(error), message=error.message.encode()[:123])
    except (ConnectionError, RuntimeError):
        return


def _paths() -> Json:
    return {
        "/ws/jobs/{id}": {
            "get": {
                "tags": ["Live"],
                "operationId": "jobSocket",
                "summary": "A job's events over a WebSocket",
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
                "responses": {"101": {"description": "A WebSocket."}, **faults("Error", "426")},
            }
        }
    }


DOOR: Final = HttpDoor("job socket", routes, describe=_paths)
