"""The description of the HTTP API: GET /openapi.json for programs, GET /docs for people.

Options come from the same declarations that requests are read by, so the description cannot fall behind.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from aiohttp import web

from whisperlive_hybrid import __version__
from whisperlive_hybrid.pages.site import content_security_policy
from whisperlive_hybrid.transports.http.describing import (
    Json,
    page_operation,
)
from whisperlive_hybrid.transports.http.docs_page import docs_page
from whisperlive_hybrid.transports.http.door import HttpDoor


def door(others: Sequence[HttpDoor]) -> HttpDoor:
    """The door that describes itself and all others."""
    document = description(others)
    return HttpDoor("openapi", lambda services: _routes(document), open_paths=re.compile(r"/docs|/openapi\.json"))


def _routes(document: Json) -> list[web.RouteDef]:
    encoded = msgspec.json.encode(document)
    html = docs_page(document)
    policy = content_security_policy(html)

    async def openapi_json(request: web.Request) -> web.Response:
        return web.Response(body=encoded, content_type="application/json", charset="utf-8")

    async def docs(request: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": policy, "Cache-Control": "no-cache"}
        return web.Response(text=html, content_type="text/html", charset="utf-8", headers=headers)

    return [web.get("/openapi.json", openapi_json), web.get("/docs", docs)]


def description(doors: Sequence[HttpDoor]) -> Json:
    """The OpenAPI 3.1 document of these doors and of itself."""
    schemas: Json = {}
    paths: Json = {}
    for each in doors:
        paths.update(each.describe())
        schemas.update(each.schemas())
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "WhisperLive Hybrid",
            "version": __version__,
            "summary": "Live captions, file transcription and an OpenAI-compatible API on one Whisper engine.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "security": [{}, {"bearer": []}, {"header": []}, {"azure": []}, {"query": []}],
        "paths": {**paths, **_own_paths()},
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "Needed only where API_KEY is set."},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "azure": {"type": "apiKey", "in": "header", "name": "api-key"},
                "query": {"type": "apiKey", "in": "query", "name": "token"},
            },
            "schemas": schemas,
        },
    }


def _own_paths() -> Json:
    return {
        "/docs": page_operation("This description for people", "docs"),
        "/openapi.json": page_operation("This description for programs", "openapi", "application/json"),
    }
