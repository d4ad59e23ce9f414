"""GET /health says how the server is; GET /health/live only that it is."""

from __future__ import annotations

import re
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import msgspec
from aiohttp import web

from whisperlive_hybrid import __version__
from whisperlive_hybrid.transports.http.describing import (
    ANY,
    MAYBE_TEXT,
    NUMBER,
    OPEN,
    TEXT,
    WHOLE,
    Json,
    described,
    list_of,
    object_of,
    ok,
    ref,
)
from whisperlive_hybrid.transports.http.door import HttpDoor
from whisperlive_hybrid.transports.http.errors import json_response
from whisperlive_hybrid.transports.http.services import HttpServices

_LIBRARIES = ("faster-whisper", "ctranslate2", "onnxruntime", "av", "aiohttp", "websockets")


def routes(services: HttpServices) -> list[web.RouteDef]:
    """The routes of this door."""
    versions = {"whisperlive_hybrid": __version__, **{name: _version(name) for name in _LIBRARIES}}

    async def health(request: web.Request) -> web.Response:
        status = _status(services)
        busy = status in ("loading", "draining", "failed")
        return json_response(
            _report(services, status, versions),
            status=503 if busy else 200,
            headers={"Retry-After": "2", "Cache-Control": "no-store"} if busy else {"Cache-Control": "no-store"},
        )

    async def live(request: web.Request) -> web.Response:
        return json_response({"status": "alive"}, headers={"Cache-Control": "no-store"})

    return [web.get("/health", health), web.get("/health/live", live)]


def _status(services: HttpServices) -> str:
    """ok, degraded (a fallback model runs), loading, draining or failed."""
    engine = services.engine
    if services.draining():
        return "draining"
    if engine.state == "ready" and engine.failing:
        return "failed"
    if engine.state == "ready":
        return "degraded" if engine.note else "ok"
    return engine.state


def _report(services: HttpServices, status: str, versions: dict[str, str]) -> dict[str, Any]:
    engine = services.engine
    capacity = engine.capacity()
    lag = services.loop_lag()
    return {
        "status": status,
        "note": engine.note,
        "uptime_s": round(time.monotonic() - services.started_at, 3),
        "models": {
            "default": engine.default_model,
            "loaded": [m.id for m in engine.models() if m.loaded],
        },
        "devices": [msgspec.to_builtins(engine.device)],
        "versions": versions,
        "queue": {
            "windows": {lane.name.lower(): n for lane, n in capacity.queued.items()},
            "running": capacity.running,
            "files_waiting": services.pipeline.waiting,
            "wait_s": capacity.wait_s,
        },
        "live_sessions": None if services.live is None else services.live.n_sessions,
        "live_port": services.live_port,
        "loop_lag_ms": None if lag is None else {"p50": lag.p50_ms, "p99": lag.p99_ms, "max": lag.max_ms},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def _health_paths() -> Json:
    health = ok("ok, or degraded: a fallback model runs.", ref("Health"))
    health["503"] = {
        "description": "loading, draining or failed.",
        "content": {"application/json": {"schema": ref("Health")}},
    }
    return {
        "/health": {
            "get": {
                "tags": ["Health"],
                "operationId": "health",
                "summary": "How the server is",
                **OPEN,
                "responses": health,
            }
        },
        "/health/live": {
            "get": {
                "tags": ["Health"],
                "operationId": "alive",
                "summary": "That the process answers",
                **OPEN,
                "responses": ok("Always.", ref("Alive")),
            }
        },
    }


def _health_schemas() -> Json:
    device = object_of(
        "kind index name compute_type threads max_batch memory_bytes batch_bytes",
        kind={"type": "string", "enum": ["cpu", "cuda"]},
        index=WHOLE,
        name=TEXT,
        compute_type=TEXT,
        threads=WHOLE,
        max_batch=WHOLE,
        memory_bytes={"type": ["integer", "null"]},
        batch_bytes=described({"type": ["integer", "null"]}, "Memory that one batch may take beside the model."),
    )
    queue = object_of(
        "windows running files_waiting wait_s",
        windows=described(ANY, "Windows waiting, by lane: final, partial, file."),
        running=described(WHOLE, "Windows in the batch that runs."),
        files_waiting=WHOLE,
        wait_s=described(NUMBER, "About how long a new window would wait."),
    )
    status = {
        "type": "string",
        "enum": ["ok", "degraded", "loading", "draining", "failed"],
        "description": "ok and degraded (a fallback model runs) with 200, the others with 503.",
    }
    return {
        "Health": object_of(
            "status note uptime_s models devices versions queue live_sessions live_port loop_lag_ms",
            status=status,
            note=described(MAYBE_TEXT, "What users should be told, such as that a fallback model runs."),
            uptime_s=NUMBER,
            models=object_of("default loaded", default=TEXT, loaded=list_of(TEXT)),
            devices=list_of(device),
            versions=ANY,
            queue=queue,
            live_sessions={"type": ["integer", "null"]},
            live_port=described({"type": ["integer", "null"]}, "Port of live audio over WebSocket."),
            loop_lag_ms=described({"type": ["object", "null"]}, "How late the event loop is: p50, p99, max."),
        ),
        "Alive": object_of("status", status={"const": "alive"}),
    }


DOOR: Final = HttpDoor(
    "health",
    routes,
    open_paths=re.compile(r"/health(/live)?"),
    describe=_health_paths,
    schemas=_health_schemas,
)
