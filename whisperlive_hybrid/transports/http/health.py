"""GET /health says how the server is; GET /health/live only that it is."""

from __future__ import annotations

import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec
from aiohttp import web

from whisperlive_hybrid import __version__
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
