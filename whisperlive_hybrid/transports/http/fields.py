"""Fields of a request without a file: its query, and a body that is a form or JSON."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from aiohttp import web

from whisperlive_hybrid.errors import BadInput
from whisperlive_hybrid.transports.http.errors import WireError
from whisperlive_hybrid.transports.http.uploads import read_fields, read_small_body

_KEY_NAMES: Final = frozenset({"token", "api_key"})


def query_fields(request: web.Request) -> list[tuple[str, str]]:
    """The query without the API key."""
    return [(name, value) for name, value in request.query.items() if name not in _KEY_NAMES]


async def body_fields(request: web.Request) -> list[tuple[str, str]]:
    """The body as fields: a form, or a JSON object whose lists are repeated fields. Its object `options` is flattened.

    Raises BadInput, WireError (413, 415).
    """
    kind = request.content_type
    if kind == "application/json" or kind.endswith("+json"):
        return _json_fields(await read_small_body(request))
    if kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
        return await read_fields(request)
    if not request.can_read_body:
        return []
    accepted = "application/json, application/x-www-form-urlencoded, multipart/form-data"
    raise WireError(f"Send {accepted}, not {kind}.", status=415, code="unsupported_media_type")


def _json_fields(body: bytes) -> list[tuple[str, str]]:
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise BadInput(f"The body is not JSON: {e}.", code="invalid_json") from e
    if not isinstance(given, dict):
        raise BadInput("The body is a JSON object.", accepted=("object",), code="invalid_json")
    options = given.pop("options", None)
    if isinstance(options, dict):
        given.update(options)
    elif options is not None:
        raise BadInput("options is an object.", param="options", accepted=("object",), code="bad_option")
    return [pair for name, value in given.items() for pair in _pairs(name, value)]


def _pairs(name: str, value: Any) -> list[tuple[str, str]]:
    pairs = []
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict | list):
            raise BadInput(f"{name[:64]} cannot be nested.", param=name[:64], code="bad_option")
        if item is not None:
            pairs.append((name, str(item).lower() if isinstance(item, bool) else str(item)))
    return pairs
