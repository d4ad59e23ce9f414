"""What a front door for HTTP is: routes, the way it says no, and its part of the API's description."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from whisperlive_hybrid.errors import HybridError
from whisperlive_hybrid.transports.http.describing import Json
from whisperlive_hybrid.transports.http.errors import native_refusal
from whisperlive_hybrid.transports.http.services import REQUEST_ID, HttpServices

NOWHERE: Final = re.compile(r"(?!)")


@dataclass(frozen=True, slots=True)
class HttpDoor:
    """One front door. Its module declares it as DOOR; `app.py` lists them."""

    name: str
    routes: Callable[[HttpServices], Sequence[web.RouteDef]]
    paths: re.Pattern[str] = NOWHERE
    """Whose callers expect `refuse`, also where nothing is there. Of several doors the first in the list counts."""
    refuse: Callable[[HybridError], web.Response] = native_refusal
    """The answer to a request that failed, in the door's own envelope."""
    refuse_with_id: Callable[[HybridError, str], web.Response] | None = None
    """The same for an envelope that names the request; where it is given, `refuse` is not asked."""
    open_paths: re.Pattern[str] = NOWHERE
    """What needs no key."""
    own_key_check: re.Pattern[str] = NOWHERE
    """Where the door itself asks for the key when a GET comes: the handshakes of sockets, what a link opens."""
    headers: Callable[[float], Mapping[str, str]] = lambda elapsed_s: {}
    """Of every answer at `paths`, which begins so many seconds after the request came."""
    describe: Callable[[], Json] = dict
    """Its `paths` in the OpenAPI document."""
    aliases: re.Pattern[str] = NOWHERE
    """Routes that are other spellings of described ones; `describe` names them in words."""
    schemas: Callable[[], Json] = dict
    """Its `components.schemas` there."""


DOORS: Final = web.AppKey("doors", tuple[HttpDoor, ...])
"""Of an application: its doors in order."""


def refusal(request: web.Request, error: HybridError) -> web.Response:
    """How the caller of this path is told of an error."""
    door = door_of(request)
    if door is None:
        return native_refusal(error)
    if door.refuse_with_id is not None:
        return door.refuse_with_id(error, request.get(REQUEST_ID, ""))
    return door.refuse(error)


def door_of(request: web.Request) -> HttpDoor | None:
    """Whose path this is."""
    return next((door for door in request.app.get(DOORS, ()) if door.paths.fullmatch(request.path)), None)
