"""Which web pages may call, and the headers that tell a browser so."""

from __future__ import annotations

import re

from aiohttp import web

from whisperlive_hybrid.config import Settings
from whisperlive_hybrid.ops.auth import origin_allowed

_METHODS = "GET, HEAD, POST, DELETE, OPTIONS"
_EXPOSED = (
    "x-request-id, x-job-id, retry-after, retry-after-ms, x-should-retry, openai-processing-ms, content-disposition"
)
_HEADER_LIST = re.compile(r"[\w\-, ]{1,1000}", re.ASCII)
_PREFLIGHT_S = 600


def cors_headers(settings: Settings, request: web.BaseRequest) -> dict[str, str]:
    """Headers for an answer to a page of another origin that may read it; none for all others.

    Cookies are never used here, so the answer never allows credentials.
    """
    origin = request.headers.get("Origin")
    if origin is None or not origin_allowed(settings, origin, request.headers.get("Host")):
        return {}
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": _EXPOSED, "Vary": "Origin"}


def is_preflight(request: web.BaseRequest) -> bool:
    """Whether a browser asks beforehand."""
    return (
        request.method == "OPTIONS"
        and "Origin" in request.headers
        and "Access-Control-Request-Method" in request.headers
    )


def preflight_answer(request: web.BaseRequest) -> web.Response:
    """The answer to a page whose origin is allowed; its origin header is added to every answer elsewhere."""
    asked = request.headers.get("Access-Control-Request-Headers", "")
    headers = {
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Max-Age": str(_PREFLIGHT_S),
        "Access-Control-Allow-Headers": asked if _HEADER_LIST.fullmatch(asked) else "authorization, content-type",
    }
    if request.headers.get("Access-Control-Request-Private-Network") == "true":
        headers["Access-Control-Allow-Private-Network"] = "true"
    return web.Response(status=204, headers=headers)
