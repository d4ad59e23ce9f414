"""OpenAI's Realtime API, the part of it that is HTTP: client secrets, with which a page may open the WebSocket.

The WebSocket itself is answered by the live doors (`live_socket.py`); this door only says no for it.
"""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from aiohttp import web

from whisperlive_hybrid.errors import BadInput
from whisperlive_hybrid.ops.auth import api_keys
from whisperlive_hybrid.ops.client_secrets import MAX_CHARS, issue
from whisperlive_hybrid.transports.http.describing import (
    ANY,
    TEXT,
    WHOLE,
    Json,
    described,
    faults,
    object_of,
    ok,
    ref,
)
from whisperlive_hybrid.transports.http.door import HttpDoor
from whisperlive_hybrid.transports.http.errors import json_response, openai_refusal
from whisperlive_hybrid.transports.http.services import HttpServices
from whisperlive_hybrid.transports.http.uploads import read_small_body
from whisperlive_hybrid.transports.live_door import live_terms
from whisperlive_hybrid.transports.realtime_settings import RealtimeSettings, Shown
from whisperlive_hybrid.transports.realtime_updates import updated

LEAST_S, MOST_S, DEFAULT_S = 10, 7200, 600
"""How long a secret may be good."""


def routes(services: HttpServices) -> list[web.RouteDef]:
    """The routes of this door."""
    door = _RealtimeDoor(services, RealtimeSettings.new(live_terms(services.settings).defaults))
    return [
        web.post(f"{prefix}/realtime/{name}", handler)
        for prefix in ("/v1", "", "/openai/v1", "/openai")
        for name, handler in (
            ("client_secrets", door.client_secrets),
            ("transcription_sessions", door.transcription_sessions),
        )
    ]


@dataclass(frozen=True, slots=True)
class _RealtimeDoor:
    services: HttpServices
    settings: RealtimeSettings
    """Of a client that asks for nothing."""

    async def client_secrets(self, request: web.Request) -> web.Response:
        """POST /v1/realtime/client_secrets: GA."""
        given = _json_object(await read_small_body(request))
        session = given.get("session")
        session = {} if session is None else session
        settings = updated(self.settings, session)
        value, expires_at = self._issue(session, _lifetime(given.get("expires_after"), "expires_after"))
        id = f"sess_{secrets.token_hex(8)}"
        shown = Shown(settings, id).ga()
        if session.get("type") == "realtime":  # of conversations: shown as it was asked for, heard as a transcription
            shown = {**session, "object": "realtime.session", "id": id}
        return json_response({"value": value, "expires_at": expires_at, "session": shown})

    async def transcription_sessions(self, request: web.Request) -> web.Response:
        """POST /v1/realtime/transcription_sessions: beta."""
        given = _json_object(await read_small_body(request))
        settings = updated(self.settings, given)
        asked = given.get("client_secret")
        expires_after = asked.get("expires_at") if isinstance(asked, dict) else None
        session = {name: value for name, value in given.items() if name != "client_secret"}
        value, expires_at = self._issue(session, _lifetime(expires_after, "client_secret.expires_at"))
        secret = {"value": value, "expires_at": expires_at}
        return json_response(Shown(settings, f"sess_{secrets.token_hex(8)}", {"client_secret": secret}).beta())

    def _issue(self, session: Json, lifetime_s: int) -> tuple[str, int]:
        """A client secret that carries the session asked for, and when it expires."""
        keys = api_keys(self.services.settings)
        expires_at = int(time.time()) + lifetime_s
        value = issue(keys[0] if keys else "", expires_at, {"session": session})
        if len(value) > MAX_CHARS:
            message = "The session is too large for a client secret; send the prompt with session.update."
            raise BadInput(message, param="session", code="too_long")
        return value, expires_at


def _lifetime(given: Any, param: str) -> int:
    if given is None:
        return DEFAULT_S
    anchor, seconds = (given.get("anchor"), given.get("seconds")) if isinstance(given, dict) else (given, None)
    if anchor not in (None, "created_at"):
        raise BadInput(f"{param}.anchor must be created_at.", param=f"{param}.anchor", accepted=("created_at",))
    if seconds is None:
        return DEFAULT_S
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not LEAST_S <= seconds <= MOST_S:
        message = f"{param}.seconds must be a whole number from {LEAST_S} to {MOST_S}."
        raise BadInput(message, param=f"{param}.seconds", accepted=(f"{LEAST_S} to {MOST_S}",))
    return seconds


def _json_object(body: bytes) -> Json:
    if not body.strip():
        return {}
    try:
        given: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"The body is not JSON: {error}.", code="invalid_json") from error
    if not isinstance(given, dict):
        raise BadInput("The body must be a JSON object.", code="invalid_json")
    return given


def _paths() -> Json:
    def post(summary: str, operation: str, fields: Json, answer: Json) -> Json:
        schema = {"type": "object", "properties": fields}
        return {
            "post": {
                "tags": ["OpenAI"],
                "operationId": operation,
                "summary": summary,
                "requestBody": {"content": {"application/json": {"schema": schema}}},
                "responses": {
                    **answer,
                    **faults("OpenAIError", "400", "401", "403", "408", "413", "415", "429", "500", "503"),
                },
            }
        }

    expiry = described(ANY, f"anchor: created_at, seconds: {LEAST_S} to {MOST_S}, {DEFAULT_S} unless said.")
    session = described(ANY, "As in session.update; it holds for whoever connects with the secret.")
    return {
        "/v1/realtime": {
            "get": {
                "tags": ["OpenAI", "Live"],
                "operationId": "realtime",
                "summary": "Live transcription over a WebSocket, OpenAI's Realtime API",
                "responses": {
                    "101": {"description": "A WebSocket."},
                    **faults("OpenAIError", "400", "401", "403"),
                },
            }
        },
        "/v1/realtime/client_secrets": post(
            "A key for a short time, for a page that opens /v1/realtime",
            "createRealtimeClientSecret",
            {"expires_after": expiry, "session": session},
            ok("The secret.", ref("ClientSecret")),
        ),
        "/v1/realtime/transcription_sessions": post(
            "The same in the words of the beta",
            "createRealtimeTranscriptionSession",
            {"client_secret": described(ANY, "expires_at: as expires_after of client_secrets."), "include": {}},
            ok("The session, with its secret.", ref("RealtimeBetaSession")),
        ),
    }


def _schemas() -> Json:
    maybe: Json = {"type": ["object", "null"]}
    return {
        "ClientSecret": object_of("value expires_at session", value=TEXT, expires_at=WHOLE, session=ANY),
        "RealtimeBetaSession": object_of(
            "id object client_secret",
            id=TEXT,
            object=TEXT,
            client_secret=object_of("value expires_at", value=TEXT, expires_at=WHOLE),
            optional={
                "modalities": {"type": "array"},
                "input_audio_format": TEXT,
                "input_audio_transcription": ANY,
                "input_audio_noise_reduction": maybe,
                "turn_detection": maybe,
                "include": {"type": ["array", "null"]},
            },
        ),
    }


DOOR: Final = HttpDoor(
    "openai realtime",
    routes,
    paths=re.compile(r"(/openai)?(/v1)?/realtime(/.*)?", re.DOTALL),
    refuse=openai_refusal,
    describe=_paths,
    aliases=re.compile(r"(/openai(/v1)?)?/realtime(/.*)?", re.DOTALL),
    schemas=_schemas,
)
