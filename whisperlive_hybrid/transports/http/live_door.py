"""Live audio on the HTTP port: GET /ws/stream."""

from __future__ import annotations

from aiohttp import web

from whisperlive_hybrid.ops.auth import accepted_subprotocol
from whisperlive_hybrid.transports.http.live_socket import live_socket
from whisperlive_hybrid.transports.http.services import HttpServices
from whisperlive_hybrid.transports.websocket.admission import admission, live_defaults


def routes(services: HttpServices) -> list[web.RouteDef]:
    """The route, where this application takes live audio."""
    if services.live is None:
        return []
    settings = services.settings
    handler = live_socket(
        services.live,
        defaults=live_defaults(settings),
        admit=admission(settings),
        choose_subprotocol=accepted_subprotocol,
    )
    return [web.get("/ws/stream", handler)]
