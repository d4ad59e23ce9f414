"""OpenAI's audio API: transcriptions, translations, models.

https://platform.openai.com/docs/api-reference/audio — what its own clients send is taken as they send it: lists as
repeated `name[]`, nested objects as `name[key]`, fields left empty, the file first or last, with or without a name.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec
from aiohttp import web

from whisperlive_hybrid.engine.languages import parse_language
from whisperlive_hybrid.engine.models import ModelInfo
from whisperlive_hybrid.engine.window import Task
from whisperlive_hybrid.errors import HybridError, NotFound
from whisperlive_hybrid.jobs.transcript import FileOptions, Transcript
from whisperlive_hybrid.transports.http.door import HttpDoor
from whisperlive_hybrid.transports.http.errors import WireError, json_response, openai_envelope, openai_refusal
from whisperlive_hybrid.transports.http.following import News, follow, stream_answer, transcribe
from whisperlive_hybrid.transports.http.form import Form
from whisperlive_hybrid.transports.http.openai_answers import Deltas, short_answer, verbose_answer
from whisperlive_hybrid.transports.http.openai_description import openai_paths, openai_schemas
from whisperlive_hybrid.transports.http.option import Option
from whisperlive_hybrid.transports.http.options import (
    MAX_PROMPT_CHARS,
    default_options,
    read_temperatures,
    resolve_model,
    speech_options,
)
from whisperlive_hybrid.transports.http.rendering import off_loop, text_response
from whisperlive_hybrid.transports.http.services import HttpServices
from whisperlive_hybrid.transports.http.uploads import Upload, UploadRules, expect_within, receive_upload, upload_rules

FORMATS = ("json", "text", "srt", "vtt", "verbose_json")
GRANULARITIES = ("word", "segment")
MAX_CANDIDATES = 16

_SHARED_OPTIONS = (
    Option("model", "text", "A model of /v1/models. OpenAI's own names mean the default model."),
    Option("prompt", "text", "Text that the audio continues: names, spelling, style."),
    Option("response_format", "choice", "Form of the answer.", accepted=FORMATS),
    Option("temperature", "list", "0 or absent means 0, then warmer while the result is poor.", 0, 1),
    Option("language", "text", "ISO 639-1 code or English name."),
    Option("hotwords", "text", "Words to expect; ours."),
    Option("beam_size", "integer", "Beam of the search at temperature 0; ours.", 1, 20),
)
TRANSCRIPTION_OPTIONS: tuple[Option, ...] = (
    *_SHARED_OPTIONS,
    Option("languages", "list", "Languages to choose among when detecting."),
    Option("keywords", "list", "Words to expect."),
    Option("timestamp_granularities", "list", "Times in verbose_json.", accepted=GRANULARITIES),
    Option("stream", "flag", "Answer with server-sent events while the file is transcribed."),
    Option("chunking_strategy", "object", "auto, or a server_vad object: threshold, prefix_padding_ms, …"),
)
TRANSLATION_OPTIONS = _SHARED_OPTIONS
_NOT_SUPPORTED = ("include", "known_speaker_names", "known_speaker_references")
"""Options that would change the answer; better refused than ignored."""


def routes(services: HttpServices) -> list[web.RouteDef]:
    """The routes of this door."""
    door = _OpenAIDoor(services, upload_rules(services, raw=False))
    early = expect_within(door.rules.max_bytes)
    return [
        web.post("/v1/audio/transcriptions", door.transcriptions, expect_handler=early),
        web.post("/v1/audio/translations", door.translations, expect_handler=early),
        web.get("/v1/models", door.models),
        web.get("/v1/models/{id:.+}", door.model),
        web.delete("/v1/models/{id:.+}", door.delete_model),
    ]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What one call asks for."""

    options: FileOptions
    response_format: str
    words: bool
    segments: bool
    stream: bool


@dataclass(frozen=True, slots=True)
class _OpenAIDoor:
    services: HttpServices
    rules: UploadRules
    created: int = field(default_factory=lambda: int(time.time()))

    async def transcriptions(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/audio/transcriptions."""
        async with receive_upload(request, self.rules) as upload:
            wanted = self._read(Form(upload.fields), "transcribe")
            if wanted.stream:
                return await self._stream(request, upload, wanted)
            return await self._answer(upload, wanted)

    async def translations(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/audio/translations."""
        async with receive_upload(request, self.rules) as upload:
            return await self._answer(upload, self._read(Form(upload.fields), "translate"))

    async def models(self, request: web.Request) -> web.Response:
        """GET /v1/models."""
        known = [shown for info in self.services.engine.models() for shown in self._model_objects(info)]
        return json_response({"object": "list", "data": known})

    async def model(self, request: web.Request) -> web.Response:
        """GET /v1/models/{id}."""
        return json_response(self._known_model(request.match_info["id"]))

    async def delete_model(self, request: web.Request) -> web.Response:
        """DELETE /v1/models/{id}: not over the API."""
        self._known_model(request.match_info["id"])
        raise WireError(
            "Models are not deleted over the API.",
            status=405,
            code="method_not_allowed",
            headers={"Allow": "GET, HEAD"},
        )

    def _known_model(self, name: str) -> dict[str, Any]:
        for info in self.services.engine.models():
            for shown in self._model_objects(info):
                if shown["id"] == name:
                    return shown
        raise NotFound(f"The model {name[:128]!r} does not exist here.", kind="model", id=name, code="model_not_found")

    def _model_objects(self, info: ModelInfo) -> list[dict[str, Any]]:
        own = {
            "id": info.id,
            "object": "model",
            "created": self.created,
            "owned_by": "whisperlive-hybrid",
            "loaded": info.loaded,
            "default": info.default,
        }
        return [own, *({**own, "id": alias, "alias_of": info.id} for alias in info.aliases)]

    def _read(self, form: Form, task: Task) -> _Wanted:
        """Raises BadInput naming every wrong field, or NotFound (model)."""
        for name in _NOT_SUPPORTED:
            if any(n == name or n.startswith(f"{name}[") for n in form.names):
                form.wrong(name, f"{name} is not supported by this server.", code="unsupported_option")
        response_format = form.choice("response_format", FORMATS) or "json"
        granularities = form.many("timestamp_granularities", GRANULARITIES) or ("segment",)
        if "word" in granularities and response_format != "verbose_json":
            form.wrong(
                "timestamp_granularities",
                "Word times need response_format verbose_json.",
                accepted=("segment",),
                code="bad_option",
            )
        base = default_options(self.services.settings)
        prompt = form.text("prompt", max_chars=MAX_PROMPT_CHARS)
        hotwords = [*form.many("keywords"), form.text("hotwords", max_chars=MAX_PROMPT_CHARS)]
        decode = replace(
            base.decode,
            task=task,
            prompt=prompt,
            hotwords=", ".join(w for w in hotwords if w) or None,
            temperatures=read_temperatures(form) or base.decode.temperatures,
            beam_size=form.integer("beam_size", 1, 20) or base.decode.beam_size,
            languages=_languages(form),
            word_times="word" in granularities,
        )
        if "language" in form.names:
            decode = replace(decode, language=form.parsed("language", parse_language))
        elif decode.languages:
            decode = replace(decode, language=None)
        speech = speech_options(base.speech, **_chunking(form))
        stream = form.flag("stream") or False
        if "model" not in form.names:
            form.wrong("model", "Name a model of /v1/models.", code="missing_model")
        model = resolve_model(form, self.services.engine)
        form.finish()
        return _Wanted(
            FileOptions(model=model, decode=decode, speech=speech),
            response_format,
            words="word" in granularities,
            segments="segment" in granularities,
            stream=stream,
        )

    async def _answer(self, upload: Upload, wanted: _Wanted) -> web.Response:
        began = time.monotonic()
        transcript = await transcribe(self.services, upload, wanted.options)
        response = await _write(transcript, wanted)
        response.headers["openai-processing-ms"] = str(round((time.monotonic() - began) * 1000))
        response.headers["openai-version"] = "2020-10-01"
        return response

    async def _stream(self, request: web.Request, upload: Upload, wanted: _Wanted) -> web.StreamResponse:
        """Server-sent events. Deltas are append-only and join to the text of the last event."""
        deltas = Deltas()

        async def write(item: News) -> bytes:
            if item is None:
                return b": waiting\n\n"
            if isinstance(item, tuple):
                delta = deltas.add("".join(s.text for s in item))
                return _event({"type": "transcript.text.delta", "delta": delta}) if delta else b""
            if isinstance(item, Transcript):
                return _event({"type": "transcript.text.done", "text": deltas.text})
            return b""

        return await stream_answer(
            request,
            "text/event-stream",
            follow(self.services, upload, wanted.options),
            write=write,
            write_error=lambda error: _event(openai_envelope(error)),
            closing=b"data: [DONE]\n\n",
        )


async def _write(transcript: Transcript, wanted: _Wanted) -> web.Response:
    if wanted.response_format == "json":
        return json_response(short_answer(transcript))
    if wanted.response_format == "verbose_json":
        return json_response(
            await off_loop(transcript, lambda: verbose_answer(transcript, words=wanted.words, segments=wanted.segments))
        )
    if wanted.response_format == "text":
        return web.Response(text=transcript.text + "\n", content_type="text/plain", charset="utf-8")
    response = await text_response(transcript, wanted.response_format)
    # OpenAI's own answers call all three plain text, and clients that look expect that.
    response.content_type = "text/plain"
    return response


def _event(body: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(body) + b"\n\n"


def _languages(form: Form) -> tuple[str, ...]:
    parsed: list[str] = []
    for value in form.many("languages", most=MAX_CANDIDATES):
        try:
            code = parse_language(value)
        except HybridError as e:
            form.wrong("languages", e.message)
            continue
        if code is not None:
            parsed.append(code)
    return tuple(parsed)


def _chunking(form: Form) -> dict[str, float | int | None]:
    """Speech options out of `chunking_strategy`: auto, a JSON object, or its keys as fields of their own."""
    text = form.text("chunking_strategy")
    if text is not None and text.startswith("{"):
        try:
            given = msgspec.json.decode(text, type=dict[str, str | float | int])
        except msgspec.DecodeError:
            form.wrong("chunking_strategy", "chunking_strategy is auto or an object.", accepted=("auto", "server_vad"))
            return {}
        form.add((f"chunking_strategy[{key}]", str(value)) for key, value in given.items())
    elif text is not None:
        form.choice("chunking_strategy", ("auto",))
    form.choice("chunking_strategy[type]", ("server_vad",))
    return {
        "threshold": form.number("chunking_strategy[threshold]", 0.01, 0.99),
        "pre_roll_ms": form.integer("chunking_strategy[prefix_padding_ms]", 0, 5000),
        "min_silence_ms": form.integer("chunking_strategy[silence_duration_ms]", 50, 10000),
    }


DOOR: Final = HttpDoor(
    "openai",
    routes,
    paths=re.compile(r"/v1(/.*)?"),
    refuse=openai_refusal,
    describe=lambda: openai_paths(TRANSCRIPTION_OPTIONS, TRANSLATION_OPTIONS),
    schemas=openai_schemas,
)
