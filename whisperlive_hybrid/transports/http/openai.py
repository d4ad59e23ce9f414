"""OpenAI's audio API: transcriptions, translations, models.

https://platform.openai.com/docs/api-reference/audio — what its own clients send is taken as they send it. Clients put
different things before the same paths: `/v1` (the rule), nothing, Azure's `/openai` and `/openai/deployments/{model}`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from aiohttp import web

from whisperlive_hybrid.engine.models import ModelInfo, is_openai_name
from whisperlive_hybrid.errors import NotFound, UndecodableAudio
from whisperlive_hybrid.jobs.transcript import Transcript
from whisperlive_hybrid.transports.http.door import HttpDoor
from whisperlive_hybrid.transports.http.errors import WireError, json_response, openai_envelope, openai_refusal
from whisperlive_hybrid.transports.http.following import (
    News,
    answer_kept_alive,
    follow,
    stream_answer,
    transcribe,
)
from whisperlive_hybrid.transports.http.form import Form
from whisperlive_hybrid.transports.http.openai_answers import diarized_answer, short_answer, verbose_answer
from whisperlive_hybrid.transports.http.openai_description import openai_paths, openai_schemas
from whisperlive_hybrid.transports.http.openai_options import (
    TRANSCRIPTION_OPTIONS,
    TRANSLATION_OPTIONS,
    Wanted,
    read_transcription,
    read_translation,
)
from whisperlive_hybrid.transports.http.openai_stream import DONE, WAITING, EventStream, event
from whisperlive_hybrid.transports.http.rendering import off_loop, text_response
from whisperlive_hybrid.transports.http.services import HttpServices
from whisperlive_hybrid.transports.http.uploads import Upload, UploadRules, expect_within, receive_upload, upload_rules

_Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

MIN_AUDIO_S: Final = 0.1
"""OpenAI refuses less than that; nobody can say anything in it."""
_PREFIXES: Final = ("/v1", "", "/openai", "/openai/v1")
_DEPLOYMENT: Final = "/openai/deployments/{deployment:(?s:.+)}"
_SLASH: Final = "{slash:/?}"
"""Some clients' base addresses, and so their paths, end with one."""
_JSON_FORMATS: Final = ("json", "verbose_json", "diarized_json")


def routes(services: HttpServices) -> list[web.RouteDef]:
    """The routes of this door."""
    door = _OpenAIDoor(services, upload_rules(services, raw=False))
    early = expect_within(door.rules.max_bytes)
    posts: dict[str, _Handler] = {
        "/audio/transcriptions": door.transcriptions,
        "/audio/translations": door.translations,
    }
    gets: dict[str, _Handler] = {
        "/models": door.models,
        "/models/{id:(?s:.+)}": door.model,
        "/audio/models": door.speech_models,
        "/audio/voices": door.voices,
    }
    return [
        *(
            web.post(f"{prefix}{path}{_SLASH}", handler, expect_handler=early)
            for path, handler in posts.items()
            for prefix in (*_PREFIXES, _DEPLOYMENT)
        ),
        *(web.get(f"{prefix}{path}{_SLASH}", handler) for path, handler in gets.items() for prefix in _PREFIXES),
        *(web.delete(f"{prefix}/models/{{id:(?s:.+)}}{_SLASH}", door.delete_model) for prefix in _PREFIXES),
    ]


@dataclass(frozen=True, slots=True)
class _OpenAIDoor:
    services: HttpServices
    rules: UploadRules
    created: int = field(default_factory=lambda: int(time.time()))

    async def transcriptions(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/audio/transcriptions."""
        async with receive_upload(request, self.rules) as upload:
            wanted = read_transcription(_form(request, upload), self.services.settings, self.services.engine)
            if wanted.stream:
                return await self._stream(request, upload, wanted)
            return await self._answer(request, upload, wanted)

    async def translations(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/audio/translations."""
        async with receive_upload(request, self.rules) as upload:
            wanted = read_translation(_form(request, upload), self.services.settings, self.services.engine)
            return await self._answer(request, upload, wanted)

    async def models(self, request: web.Request) -> web.Response:
        """GET /v1/models."""
        known = [shown for info in self.services.engine.models() for shown in self._model_objects(info)]
        return json_response({"object": "list", "data": known})

    async def model(self, request: web.Request) -> web.Response:
        """GET /v1/models/{id}."""
        return json_response(self._known_model(request.match_info["id"].rstrip("/")))

    async def delete_model(self, request: web.Request) -> web.Response:
        """DELETE /v1/models/{id}: not over the API."""
        self._known_model(request.match_info["id"].rstrip("/"))
        raise WireError(
            "Models are not deleted over the API.",
            status=405,
            code="method_not_allowed",
            headers={"Allow": "GET, HEAD"},
        )

    async def speech_models(self, request: web.Request) -> web.Response:
        """GET /v1/audio/models: Open WebUI asks for models that speak. There are none."""
        return json_response({"models": []})

    async def voices(self, request: web.Request) -> web.Response:
        """GET /v1/audio/voices: as above."""
        return json_response({"voices": []})

    def _known_model(self, name: str) -> dict[str, Any]:
        for info in self.services.engine.models():
            for shown in self._model_objects(info):
                if shown["id"] == name:
                    return shown
            if info.default and is_openai_name(name):
                return self._alias(info, name)
        raise NotFound(f"The model {name[:128]!r} does not exist here.", kind="model", id=name, code="model_not_found")

    def _model_objects(self, info: ModelInfo) -> list[dict[str, Any]]:
        return [self._model_object(info), *(self._alias(info, alias) for alias in info.aliases)]

    def _alias(self, info: ModelInfo, alias: str) -> dict[str, Any]:
        return {**self._model_object(info), "id": alias, "alias_of": info.id}

    def _model_object(self, info: ModelInfo) -> dict[str, Any]:
        return {
            "id": info.id,
            "object": "model",
            "created": self.created,
            "owned_by": "whisperlive-hybrid",
            "loaded": info.loaded,
            "default": info.default,
        }

    async def _answer(self, request: web.Request, upload: Upload, wanted: Wanted) -> web.StreamResponse:
        async def answer() -> web.Response:
            transcript = await transcribe(request, self.services, upload, wanted.options)
            return await _write(_checked(transcript), wanted)

        # White space may come before JSON, but not before a text.
        return await (answer_kept_alive(request, answer()) if wanted.response_format in _JSON_FORMATS else answer())

    async def _stream(self, request: web.Request, upload: Upload, wanted: Wanted) -> web.StreamResponse:
        events = EventStream(wanted)

        async def write(item: News) -> bytes:
            if item is None:
                return WAITING
            if isinstance(item, tuple):
                return events.segments(item)
            if isinstance(item, Transcript):
                return await off_loop(item, lambda: events.done(_checked(item)))
            return b""

        return await stream_answer(
            request,
            "text/event-stream",
            follow(request, self.services, upload, wanted.options),
            write=write,
            write_error=lambda error: event(openai_envelope(error)),
            closing=DONE,
        )


def _form(request: web.Request, upload: Upload) -> Form:
    """The call's fields. Azure's clients name the model in the path, some of them nowhere else."""
    deployment = request.match_info.get("deployment")
    if deployment is None:
        return Form(upload.fields)
    return Form([*((name, value) for name, value in upload.fields if name != "model"), ("model", deployment)])


def _checked(transcript: Transcript) -> Transcript:
    """Raises for what OpenAI's API refuses and others take: next to no audio."""
    if transcript.duration_s < MIN_AUDIO_S:
        raise UndecodableAudio(
            f"Audio file is too short. Minimum audio length is {MIN_AUDIO_S:g} seconds.",
            param="file",
            code="audio_too_short",
        )
    return transcript


async def _write(transcript: Transcript, wanted: Wanted) -> web.Response:
    match wanted.response_format:
        case "json":
            return json_response(await off_loop(transcript, lambda: short_answer(transcript, wanted)))
        case "verbose_json":
            return json_response(await off_loop(transcript, lambda: verbose_answer(transcript, wanted)))
        case "diarized_json":
            return json_response(await off_loop(transcript, lambda: diarized_answer(transcript)))
        case "text" if wanted.options.diarization is None:
            return web.Response(text=transcript.text + "\n", content_type="text/plain", charset="utf-8")
    response = await text_response(transcript, wanted.response_format)
    # OpenAI's own answers call all three plain text, and clients that look expect that.
    response.content_type = "text/plain"
    return response


def _headers(elapsed_s: float) -> Mapping[str, str]:
    return {"openai-processing-ms": str(round(elapsed_s * 1000)), "openai-version": "2020-10-01"}


DOOR: Final = HttpDoor(
    "openai",
    routes,
    paths=re.compile(r"/(v1|openai|audio|models)(/.*)?", re.DOTALL),
    refuse=openai_refusal,
    headers=_headers,
    describe=lambda: openai_paths(TRANSCRIPTION_OPTIONS, TRANSLATION_OPTIONS),
    aliases=re.compile(r"(/openai(/v1)?)?/(audio|models)(/.*)?", re.DOTALL),
    schemas=openai_schemas,
)
