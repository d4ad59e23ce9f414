"""GET /api/usage: what the client that asks may have of the server, and what it has."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from whisperlive_hybrid.ops.clients import is_key
from whisperlive_hybrid.storage.usage import Used
from whisperlive_hybrid.transports.http.describing import (
    NUMBER,
    SECONDS,
    Json,
    described,
    faults,
    object_of,
    ok,
    ref,
)
from whisperlive_hybrid.transports.http.door import HttpDoor
from whisperlive_hybrid.transports.http.errors import json_response
from whisperlive_hybrid.transports.http.services import CLIENT, HttpServices


def routes(services: HttpServices) -> list[web.RouteDef]:
    """The route of this door."""

    async def usage(request: web.Request) -> web.Response:
        client = request[CLIENT]
        used = None if services.jobs is None else await services.jobs.used_by(client)
        return json_response(_report(services, client, used), headers={"Cache-Control": "no-store"})

    return [web.get("/api/usage", usage)]


def _report(services: HttpServices, client: str, used: Used | None) -> dict[str, Any]:
    limits, settings, live = services.limits, services.settings, services.live
    rate, places = limits.look(client), limits.places
    report: dict[str, Any] = {
        "client": "key" if is_key(client) else "address",
        "requests_at_once": _row(places.limit_of(client), places.taken_by(client)),
        "requests_per_minute": None,
        "live_sessions": None,
        "queued_jobs": None,
        "stored_bytes": None,
        "audio_s_today": None,
    }
    if rate is not None:
        report["requests_per_minute"] = _row(rate.limit, rate.limit - rate.remaining) | {"frees_in_s": rate.reset_s}
    if settings.client_live_sessions and live is not None:
        report["live_sessions"] = _row(settings.client_live_sessions, live.held_by(client))
    if used is not None and services.jobs is not None:
        quotas = services.jobs.clips.quotas
        rows = {
            "queued_jobs": (quotas.queued_jobs, used.queued_jobs),
            "stored_bytes": (quotas.stored_bytes, used.stored_bytes),
            "audio_s_today": (quotas.audio_s_per_day, used.audio_s),
        }
        report.update({name: _row(limit, has) for name, (limit, has) in rows.items() if limit})
    return report


def _row(limit: float, used: float) -> dict[str, float]:
    return {"limit": limit, "used": used}


def _paths() -> Json:
    return {
        "/api/usage": {
            "get": {
                "tags": ["Jobs"],
                "operationId": "usage",
                "summary": "What this client may have of the server, and has",
                "responses": {
                    **ok("Its limits.", ref("Usage")),
                    **faults("Error", "401", "403", "429", "500", "503"),
                },
            }
        }
    }


def _schemas() -> Json:
    def maybe(what: str) -> Json:
        return {"anyOf": [ref("UsageRow"), {"type": "null"}], "description": f"{what}; null where that is not limited."}

    return {
        "Usage": object_of(
            "client requests_at_once requests_per_minute live_sessions queued_jobs stored_bytes audio_s_today",
            client={"type": "string", "enum": ["key", "address"], "description": "By what the client is told."},
            requests_at_once=ref("UsageRow"),
            requests_per_minute=maybe("Requests in a minute"),
            live_sessions=maybe("Live sessions at once"),
            queued_jobs=maybe("Jobs that wait"),
            stored_bytes=maybe("Clips that are kept"),
            audio_s_today=maybe("Audio of this day (UTC), with that of jobs that are not done yet"),
        ),
        "UsageRow": object_of(
            "limit used",
            limit=NUMBER,
            used=NUMBER,
            optional={"frees_in_s": described(SECONDS, "Until nothing is used any more.")},
        ),
    }


DOOR: Final = HttpDoor("usage", routes, describe=_paths, schemas=_schemas)
