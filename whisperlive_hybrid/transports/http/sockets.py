"""What all WebSockets of the HTTP port share: their paths' spellings, and the answer to a request that is none."""

from __future__ import annotations

from typing import Final

from aiohttp import hdrs, web

from whisperlive_hybrid.transports.http.errors import WireError

CLOSE_WITHIN_S: Final = 5.0
"""How long a client may take to answer a close."""
SLASH: Final = "{slash:/?}"
"""Behind a route's path: with a slash at the end and without."""
_ABNORMAL: Final = 1006


def require_upgrade(request: web.Request) -> None:
    """Raises WireError (426) for a plain request at a WebSocket's path."""
    tokens = request.headers.get(hdrs.CONNECTION, "").lower().split(",")
    if request.headers.get(hdrs.UPGRADE, "").strip().lower() == "websocket" and "upgrade" in map(str.strip, tokens):
        return
    raise WireError(
        "This path speaks WebSocket only; /docs says how to open one and what else there is.",
        status=426,
        code="upgrade_required",
        headers={hdrs.UPGRADE: "websocket", hdrs.CONNECTION: "Upgrade", hdrs.LINK: '</docs>; rel="help"'},
    )


def was_closed(response: web.StreamResponse | None) -> bool:
    """Whether this was a WebSocket and one of both sides closed it in words, rather than by breaking off."""
    return isinstance(response, web.WebSocketResponse) and response.close_code not in (None, _ABNORMAL)
