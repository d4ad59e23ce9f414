"""The description of the HTTP API: GET /openapi.json for programs, GET /docs for people.

Options come from the same declarations that requests are read by, so the description cannot fall behind.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from aiohttp import web

from whisperlive_hybrid import __version__
from whisperlive_hybrid.pages.site import content_security_policy
from whisperlive_hybrid.transports.http.docs_page import docs_page
from whisperlive_hybrid.transports.http.openai import TRANSCRIPTION_OPTIONS, TRANSLATION_OPTIONS
from whisperlive_hybrid.transports.http.openapi_schemas import ref, schemas
from whisperlive_hybrid.transports.http.options import NATIVE_OPTIONS, Option
from whisperlive_hybrid.transports.http.services import HttpServices

Json = dict[str, Any]

_TEXT: Json = {"text/plain": {"schema": {"type": "string"}}}
_SUBTITLES: Json = {
    t: {"schema": {"type": "string"}}
    for t in ("text/plain", "application/x-subrip", "text/vtt", "text/tab-separated-values")
}
_FAULTS = ("400", "401", "403", "404", "408", "413", "415", "500", "503", "507")
_OPENAI_FAULTS = (*_FAULTS, "429")
_OPEN: Json = {"security": []}
"""Of operations that never ask for a key."""


def routes(services: HttpServices) -> list[web.RouteDef]:
    """The routes of this door."""
    document = description()
    encoded = msgspec.json.encode(document)
    html = docs_page(document)
    policy = content_security_policy(html)

    async def openapi_json(request: web.Request) -> web.Response:
        return web.Response(body=encoded, content_type="application/json", charset="utf-8")

    async def docs(request: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": policy, "Cache-Control": "no-cache"}
        return web.Response(text=html, content_type="text/html", charset="utf-8", headers=headers)

    return [web.get("/openapi.json", openapi_json), web.get("/docs", docs)]


def description() -> Json:
    """The OpenAPI 3.1 document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "WhisperLive Hybrid",
            "version": __version__,
            "summary": "Live captions, file transcription and an OpenAI-compatible API on one Whisper engine.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "security": [{}, {"bearer": []}, {"header": []}, {"query": []}],
        "paths": {
            **_native_paths(),
            **_openai_paths(),
            **_health_paths(),
            **_page_paths(),
        },
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "Needed only where API_KEY is set."},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "query": {"type": "apiKey", "in": "query", "name": "token"},
            },
            "schemas": schemas(),
        },
    }


def _native_paths() -> Json:
    options = _properties(NATIVE_OPTIONS)
    answer: Json = {
        "200": {
            "description": "The transcript. With Accept: application/x-ndjson a stream of lines: progress, segment, "
            "heartbeat, and as the last one done (with the whole result) or error.",
            "content": {
                "application/json": {"schema": ref("Result")},
                "application/x-ndjson": {"schema": ref("StreamLine")},
                **_SUBTITLES,
            },
        },
        **_faults("Error", *_FAULTS),
    }
    in_query = [{"name": name, "in": "query", "schema": schema} for name, schema in options.items()]
    url: Json = {"type": "string", "format": "uri", "description": "http or https, on a public host."}
    by_url = {"schema": {"type": "object", "required": ["url"], "properties": {"url": url, **options}}}
    return {
        "/transcribe": {
            "post": {
                "tags": ["Files"],
                "operationId": "transcribe",
                "summary": "Transcribe or translate a file",
                "description": "One file as the part named file; options as fields or in the query. The body may also "
                "be the file itself. Every wrong option is named in one answer.",
                "parameters": in_query,
                "requestBody": {
                    "required": True,
                    "content": {
                        "multipart/form-data": {"schema": _form(options)},
                        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
                        "audio/*": {"schema": {"type": "string", "format": "binary"}},
                    },
                },
                "responses": answer,
            }
        },
        "/transcribe/url": {
            "post": {
                "tags": ["Files"],
                "operationId": "transcribeUrl",
                "summary": "Transcribe or translate a file on the web",
                "parameters": in_query,
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": by_url,
                        "application/x-www-form-urlencoded": by_url,
                        "multipart/form-data": by_url,
                    },
                },
                "responses": answer,
            }
        },
    }


def _openai_paths() -> Json:
    def audio(summary: str, operation: str, options: Iterable[Option], content: Json) -> Json:
        schema = _form(_properties(options))
        schema["required"] = ["file", "model"]
        return {
            "post": {
                "tags": ["OpenAI"],
                "operationId": operation,
                "summary": summary,
                "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}},
                "responses": {
                    "200": {"description": "As response_format says.", "content": content},
                    **_faults("OpenAIError", *_OPENAI_FAULTS),
                },
            }
        }

    bodies: Json = {"application/json": {"schema": ref("OpenAITranscription")}, **_TEXT}
    events: Json = {"text/event-stream": {"schema": {"type": "string"}}}
    model = _ok("One model.", ref("Model"))
    of_id: Json = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "/v1/audio/transcriptions": audio(
            "Transcribe a file", "createTranscription", TRANSCRIPTION_OPTIONS, {**bodies, **events}
        ),
        "/v1/audio/translations": audio(
            "Translate a file into English", "createTranslation", TRANSLATION_OPTIONS, bodies
        ),
        "/v1/models": {
            "get": {
                "tags": ["OpenAI"],
                "operationId": "listModels",
                "summary": "Models and their aliases",
                "responses": {**_ok("All models.", ref("ModelList")), **_faults("OpenAIError", "401", "403")},
            }
        },
        "/v1/models/{id}": {
            "parameters": [of_id],
            "get": {
                "tags": ["OpenAI"],
                "operationId": "retrieveModel",
                "summary": "One model",
                "responses": {**model, **_faults("OpenAIError", "401", "403", "404")},
            },
            "delete": {
                "tags": ["OpenAI"],
                "operationId": "deleteModel",
                "summary": "Refused: models are not deleted over the API",
                "responses": _faults("OpenAIError", "401", "403", "404", "405"),
            },
        },
    }


def _health_paths() -> Json:
    health = _ok("ok, or degraded: a fallback model runs.", ref("Health"))
    health["503"] = {
        "description": "loading, draining or failed.",
        "content": {"application/json": {"schema": ref("Health")}},
    }
    return {
        "/health": {
            "get": {
                "tags": ["Health"],
                "operationId": "health",
                "summary": "How the server is",
                **_OPEN,
                "responses": health,
            }
        },
        "/health/live": {
            "get": {
                "tags": ["Health"],
                "operationId": "alive",
                "summary": "That the process answers",
                **_OPEN,
                "responses": _ok("Always.", ref("Alive")),
            }
        },
    }


def _page_paths() -> Json:
    def page(summary: str, operation: str, media_type: str = "text/html") -> Json:
        return {
            "get": {
                "tags": ["Pages"],
                "operationId": operation,
                "summary": summary,
                "responses": {"200": {"description": summary, "content": {media_type: {}}}},
                **_OPEN,
            }
        }

    path: Json = {"name": "path", "in": "path", "required": True, "schema": {"type": "string"}}
    socket = page("Live audio over a WebSocket; see the protocol's own page", "stream")
    del socket["get"]["security"]
    socket["get"]["responses"] = {"101": {"description": "A WebSocket, protocol 1."}}
    return {
        "/": page("The page for files", "filePage"),
        "/live": page("The page for live captions", "livePage"),
        "/static/{path}": {"parameters": [path], **page("What the pages load", "static", "*/*")},
        "/docs": page("This description for people", "docs"),
        "/openapi.json": page("This description for programs", "openapi", "application/json"),
        "/ws/stream": socket,
    }


def _form(options: Json) -> Json:
    file: Json = {"type": "string", "format": "binary", "description": "Audio, or video with sound."}
    return {"type": "object", "required": ["file"], "properties": {"file": file, **options}}


def _properties(options: Iterable[Option]) -> Json:
    return {option.name: _schema(option) for option in options}


def _schema(option: Option) -> Json:
    kinds = {"text": "string", "number": "number", "integer": "integer", "flag": "boolean", "choice": "string"}
    schema: Json = {"type": kinds.get(option.kind, "string"), "description": option.help}
    inner = schema
    if option.kind == "list":
        inner = {"type": "number" if option.high is not None else "string"}
        schema.update(type="array", items=inner)
    if option.accepted:
        inner["enum"] = list(option.accepted)
    if option.high is not None:
        inner.update(minimum=option.low, maximum=option.high)
    return schema


def _ok(text: str, schema: Json) -> Json:
    return {"200": {"description": text, "content": {"application/json": {"schema": schema}}}}


def _faults(schema: str, *statuses: str) -> Json:
    meaning = {
        "400": "Something in the request is wrong; param and accepted say what.",
        "401": "A key is needed, or this one is not known.",
        "403": "Not from this page or under this host name.",
        "404": "No such model, or it cannot be had here.",
        "405": "Not allowed.",
        "408": "The upload stood still.",
        "413": "Too large or too long.",
        "415": "The body is not of a type that is taken here.",
        "429": "Full; Retry-After says when to come again.",
        "500": "Our fault; the log tells more under the answer's x-request-id.",
        "503": "Full, loading or shutting down; Retry-After says when to come again.",
        "507": "No room for the upload.",
    }
    if schema == "OpenAIError":
        meaning["503"] = "Loading or shutting down; Retry-After says when to come again."
    content: Json = {"application/json": {"schema": ref(schema)}}
    later: Json = {"headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}}
    return {
        status: {"description": meaning[status], "content": content, **(later if status in ("429", "503") else {})}
        for status in sorted(statuses)
    }
