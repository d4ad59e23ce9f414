"""The HTTP application: the list of doors, and what all of them share."""

from __future__ import annotations

import logging
import re
import secrets
import time
import warnings
from collections.abc import Awaitable, Callable

from aiohttp import BadContentDispositionHeader, BadContentDispositionParam, web
from aiohttp.typedefs import Handler, Middleware

from whisperlive_hybrid.errors import HybridError, Refused, Unavailable
from whisperlive_hybrid.ops.auth import check_host, check_key, origin_allowed
from whisperlive_hybrid.ops.limits import check
from whisperlive_hybrid.transports.http import (
    asr_webservice,
    clips,
    deepgram,
    health,
    job_socket,
    jobs,
    live_socket,
    native,
    openai,
    openai_realtime,
    openapi,
    pages,
    usage,
    webhooks,
    whisper_cpp,
    wire_log,
)
from whisperlive_hybrid.transports.http.cors import cors_headers, is_preflight, preflight_answer
from whisperlive_hybrid.transports.http.door import DOORS as DOORS_KEY
from whisperlive_hybrid.transports.http.door import HttpDoor, door_of, refusal
from whisperlive_hybrid.transports.http.errors import WireError, unknown_error
from whisperlive_hybrid.transports.http.rate_headers import rate_headers
from whisperlive_hybrid.transports.http.services import (
    ANSWER,
    BEGAN,
    CLIENT,
    JOB_ID,
    LIMITS,
    REQUEST_ID,
    VERDICT,
    HttpServices,
)
from whisperlive_hybrid.transports.http.sockets import was_closed

__all__ = ["HttpServices", "make_app", "make_runner"]

log = logging.getLogger(__name__)
access_log = logging.getLogger(f"{__name__}.access")

DOORS: tuple[HttpDoor, ...] = (
    pages.DOOR,
    health.DOOR,
    native.DOOR,
    asr_webservice.DOOR,
    whisper_cpp.DOOR,
    deepgram.DOOR,
    openai_realtime.DOOR,
    openai.DOOR,
    usage.DOOR,
    clips.DOOR,
    jobs.DOOR,
    webhooks.DOOR,
    job_socket.DOOR,
    live_socket.DOOR,
)
"""The front doors. What describes them all is added to them."""
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
IDLE_S = 75.0
"""A connection gets so long to say, whole, what it wants: between two requests, and for the headers of the first."""


def make_app(services: HttpServices) -> web.Application:
    """The application with all doors. Run it by `make_runner`, whose settings it relies on."""
    app = web.Application(
        middlewares=[_identify(), _envelope_errors(), _guard(services), _admit(services)],
        # Uploads count for themselves; nothing else reads a body through aiohttp.
        client_max_size=1 << 16,
    )
    app.on_response_prepare.append(_common_headers(services))
    app[LIMITS] = services.limits
    app[DOORS_KEY] = doors = (*DOORS, openapi.door(DOORS))
    for door in doors:
        app.add_routes(door.routes(services))
    return app


def make_runner(app: web.Application, *, shutdown_timeout_s: float = 2.0) -> web.AppRunner:
    """The runner for `app`. A closed connection cancels its handler, which is what cancels the inference behind it."""
    # Of a header that makes no sense aiohttp warns, in the caller's words: they would stand in the log, and be kept.
    warnings.simplefilter("ignore", BadContentDispositionHeader)
    warnings.simplefilter("ignore", BadContentDispositionParam)
    return web.AppRunner(
        app,
        handler_cancellation=True,
        access_log=None,
        logger=wire_log.logger,
        shutdown_timeout=shutdown_timeout_s,
        keepalive_timeout=IDLE_S,
        auto_decompress=False,  # encoded bodies are refused
    )


def _identify() -> Middleware:
    """Give the request its id, and a line in the access log without its query (which may hold a key)."""

    @web.middleware
    async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
        offered = request.headers.get("X-Request-Id", "")
        request_id = offered if _REQUEST_ID.fullmatch(offered) else f"req_{secrets.token_hex(12)}"
        request[REQUEST_ID] = request_id
        request[BEGAN] = began = time.monotonic()
        status, size = 499, 0
        try:
            response = await handler(request)
            status, size = response.status, max(0, response.body_length)
            return response
        finally:
            if status == 499 and was_closed(request.get(ANSWER)):  # a client may be gone before its session is put away
                status = 101
            level = logging.DEBUG if _needs_no_key(request) or _only_read(request, status) else logging.INFO
            elapsed_ms = round((time.monotonic() - began) * 1000)
            access_log.log(
                level,
                "%s %s %s in %d ms",
                request.method,
                request.path,
                status,
                elapsed_ms,
                extra={"request_id": request_id, "status": status, "elapsed_ms": elapsed_ms, "bytes": size},
            )

    return identify


def _envelope_errors() -> Middleware:
    """Errors become answers in the envelope of the door that was called."""

    @web.middleware
    async def envelope_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except HybridError as e:
            error: HybridError = e
        except web.HTTPException as e:
            if e.status < 400:
                raise
            error = _wire_error(e, request)
        except ConnectionError:
            raise  # the caller is gone; nobody is left to answer
        except Exception:
            log.exception("request %s failed", request[REQUEST_ID])
            error = unknown_error(request[REQUEST_ID])
        return refusal(request, error)

    return envelope_errors


def _wire_error(e: web.HTTPException, request: web.Request) -> WireError:
    if isinstance(e, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(e.allowed_methods))
        return WireError(
            f"{request.method} is not allowed here; {allowed} is.",
            status=405,
            code="method_not_allowed",
            headers={"Allow": allowed},
        )
    if e.status == 404:
        return WireError("There is nothing at this path; /docs lists what there is.", status=404, code="no_such_path")
    return WireError(e.reason or "The request cannot be answered.", status=e.status, code="bad_request")


def _guard(services: HttpServices) -> Middleware:
    """Origins, the Host header, API keys, the client's rate, in this order; browsers' preflights are answered here."""
    settings = services.settings

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin, host = request.headers.get("Origin"), request.headers.get("Host")
        changes = request.method not in ("GET", "HEAD")
        if changes and not origin_allowed(settings, origin, host):
            raise WireError(
                f"Pages of {(origin or '')[:128]} may not call this server; CORS_ORIGINS lists those that may.",
                status=403,
                code="origin_refused",
            )
        if is_preflight(request):
            return preflight_answer(request)
        if not _needs_no_key(request):
            check_host(settings, host)
            if not _asks_itself(request):
                key = check_key(settings, request.headers, request.query)
                request[CLIENT] = client = services.limits.client_of(key, request.remote, request.headers)
                verdict = services.limits.count(client)
                if verdict is not None:
                    request[VERDICT] = verdict
                    check(verdict)
        return await handler(request)

    return guard


def _asks_itself(request: web.Request) -> bool:
    """What looks at keys in its own way: the handshake of a socket, and a link. Other methods are like all others."""
    return request.method in ("GET", "HEAD") and any(
        d.own_key_check.fullmatch(request.path) for d in request.app[DOORS_KEY]
    )


def _needs_no_key(request: web.Request) -> bool:
    """Pages (they ask for a key) and health."""
    return any(door.open_paths.fullmatch(request.path) for door in request.app[DOORS_KEY])


def _only_read(request: web.Request, status: int) -> bool:
    """Somebody looked at something, as pages do all the time. (A socket is 101.)"""
    return request.method in ("GET", "HEAD") and 200 <= status < 400


def _admit(services: HttpServices) -> Middleware:
    """Turn work away before its body is read, while there is no engine to do it or no room to hold it."""

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method != "POST":
            return await handler(request)
        _refuse_unless_ready(services)
        with services.limits.place(request.get(CLIENT, "")):
            return await handler(request)

    return admit


def _refuse_unless_ready(services: HttpServices) -> None:
    state = services.engine.state
    if state == "loading":
        raise Refused("The model is still being loaded.", retry_after_s=2.0, code="loading")
    if services.draining() or state == "draining":
        raise Refused("The server is shutting down.", retry_after_s=10.0, code="draining")
    if state == "failed":
        raise Unavailable("The engine has failed; the server's log says why.", code="engine_failed")


def _common_headers(services: HttpServices) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    async def add(request: web.Request, response: web.StreamResponse) -> None:
        request[ANSWER] = response
        response.headers["x-request-id"] = request.get(REQUEST_ID) or f"req_{secrets.token_hex(12)}"
        if JOB_ID in request:
            response.headers["X-Job-Id"] = request[JOB_ID]
        response.headers["Server"] = "whisperlive-hybrid"
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Referrer-Policy", "same-origin")
        response.headers.update(cors_headers(services.settings, request))
        if VERDICT in request:
            response.headers.update(rate_headers(request[VERDICT]))
        door = door_of(request)
        if door is not None and BEGAN in request:
            response.headers.update(door.headers(time.monotonic() - request[BEGAN]))

    return add
