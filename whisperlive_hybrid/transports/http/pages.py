"""The pages: `/`, `/live`, `/jobs` and what they load from `/static/`."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final

from aiohttp import web

from whisperlive_hybrid.errors import NotFound
from whisperlive_hybrid.pages import site
from whisperlive_hybrid.transports.http.describing import (
    Json,
    faults,
    page_operation,
)
from whisperlive_hybrid.transports.http.door import HttpDoor
from whisperlive_hybrid.transports.http.services import HttpServices

_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".wasm": "application/wasm",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".webmanifest": "application/manifest+json",
}
"""Not the system's table: a module script of a wrong type does not run."""


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    content_type: str
    etag: str


def routes(services: HttpServices) -> list[web.RouteDef]:
    """The routes of this door."""
    return [
        web.get("/", partial(_page, site.test_form)),
        web.get("/live", partial(_page, site.live)),
        web.get("/jobs", partial(_page, site.jobs)),
        web.get("/static/{path:.+}", _static),
    ]


async def _page(read: Callable[[], site.Page], request: web.Request) -> web.Response:
    page = await asyncio.to_thread(read)
    return _answer(request, _File(page.html.encode(), "text/html", _etag(page.html.encode())), page.headers)


async def _static(request: web.Request) -> web.Response:
    file = await asyncio.to_thread(_read_static, request.match_info["path"])
    if file is None:
        raise NotFound("There is no such file.", kind="path", id=request.path[:128])
    return _answer(request, file, {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"})


def _answer(request: web.Request, file: _File, headers: dict[str, str]) -> web.Response:
    # no-cache with an ETag: asked for each time, sent when it changed, so an upgraded server never meets old pages.
    known = request.headers.get("If-None-Match", "")
    if file.etag in [part.strip().removeprefix("W/") for part in known.split(",")]:
        return web.Response(status=304, headers={**headers, "ETag": file.etag})
    charset = "utf-8" if file.content_type.startswith("text/") else None
    return web.Response(
        body=file.body, content_type=file.content_type, charset=charset, headers={**headers, "ETag": file.etag}
    )


def _read_static(path: str) -> _File | None:
    parts = PurePosixPath(path).parts
    if any(part in ("..", "/") or part.startswith(".") for part in parts) or "\\" in path or "\0" in path:
        return None
    place = Path(site.STATIC, *parts)
    if place.suffix not in _TYPES:
        return None
    try:
        body = place.read_bytes()
    except OSError:  # none of that name, a folder, or a name longer than the file system takes
        return None
    return _File(body, _TYPES[place.suffix], _etag(body))


def _etag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def _paths() -> Json:
    path: Json = {"name": "path", "in": "path", "required": True, "schema": {"type": "string"}}
    static = page_operation("What the pages load", "static", "*/*")
    static["get"]["responses"].update(faults("Error", "404"))
    return {
        "/": page_operation("The page for files", "filePage"),
        "/live": page_operation("The page for live captions", "livePage"),
        "/jobs": page_operation("The page of jobs and transcripts", "jobsPage"),
        "/static/{path}": {"parameters": [path], **static},
    }


DOOR: Final = HttpDoor("pages", routes, open_paths=re.compile(r"/|/live|/jobs|/static/.+"), describe=_paths)
