"""Deepgram's API for files: POST /v1/listen with the audio as body, or with JSON that names its address.

https://developers.deepgram.com/reference/speech-to-text/listen-pre-recorded — all options stand in the query. Channels
are mixed into one; words always have their times.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

import msgspec
from aiohttp import web

from whisperlive_hybrid.audio.pcm import MAX_CHANNELS
from whisperlive_hybrid.audio.resampler import MAX_RATE, MIN_RATE
from whisperlive_hybrid.audio.wav import SampleLayout
from whisperlive_hybrid.diarization.turns import SpeakerOptions
from whisperlive_hybrid.engine.languages import parse_language
from whisperlive_hybrid.errors import BadInput, HybridError
from whisperlive_hybrid.jobs.fetching import fetch_file
from whisperlive_hybrid.jobs.transcript import FileOptions
from whisperlive_hybrid.ops.egress import AllowedHosts
from whisperlive_hybrid.storage.incoming import StoredFile
from whisperlive_hybrid.transports.deepgram_wire import (
    SAMPLES,
    Parameters,
    error_body,
    header_text,
    hotwords,
    model_of,
    refuse_separate_channels,
    refuse_unsupported,
    wants_diarization,
    wire_status,
)
from whisperlive_hybrid.transports.http.deepgram_answers import Shape, answer
from whisperlive_hybrid.transports.http.deepgram_description import deepgram_paths, deepgram_schemas
from whisperlive_hybrid.transports.http.door import HttpDoor
from whisperlive_hybrid.transports.http.errors import error_response, json_response, status_of
from whisperlive_hybrid.transports.http.following import transcribe
from whisperlive_hybrid.transports.http.options import default_options
from whisperlive_hybrid.transports.http.rendering import off_loop
from whisperlive_hybrid.transports.http.services import REQUEST_ID, HttpServices
from whisperlive_hybrid.transports.http.uploads import (
    Upload,
    UploadRules,
    expect_within,
    read_small_body,
    receive_body,
    upload_rules,
)


def routes(services: HttpServices) -> list[web.RouteDef]:
    """The routes of this door."""
    door = _DeepgramDoor(services, upload_rules(services, raw=True))
    return [web.post("/v1/listen", door.listen, expect_handler=expect_within(door.rules.max_bytes))]


@dataclass(frozen=True, slots=True)
class _DeepgramDoor:
    services: HttpServices
    rules: UploadRules

    async def listen(self, request: web.Request) -> web.Response:
        """POST /v1/listen."""
        parameters = Parameters(request.query.items())
        # Wrong options are told before the audio is read, or fetched.
        options, shape = self._read(parameters), _shape(parameters)
        async with self._audio(request, parameters) as upload:
            digest = asyncio.create_task(asyncio.to_thread(_sha256, upload.file.path))
            try:
                transcript = await transcribe(request, self.services, upload, options)
            finally:
                sha256 = await digest
        id = request[REQUEST_ID]
        body = await off_loop(transcript, lambda: answer(transcript, shape, request_id=id, sha256=sha256))
        return json_response(body, headers={"dg-request-id": id})

    @asynccontextmanager
    async def _audio(self, request: web.Request, parameters: Parameters) -> AsyncIterator[Upload]:
        rules = replace(self.rules, samples=_samples(parameters))
        if request.content_type == "application/json":
            allowed = AllowedHosts.parse(self.services.settings.url_allow_hosts)
            url = _url(await read_small_body(request))
            async with fetch_file(url, rules.folder, rules.max_bytes, allowed) as fetched:
                yield Upload(StoredFile(fetched.file.path, fetched.file.size), fetched.name, fields=())
        elif request.can_read_body:
            async with receive_body(request, rules) as upload:
                yield upload
        else:
            raise BadInput("the request has no audio: send it as the body, or JSON with its url", code="missing_file")

    def _read(self, parameters: Parameters) -> FileOptions:
        """Raises BadInput or NotFound (model)."""
        refuse_unsupported(parameters)
        refuse_separate_channels(parameters)
        base = default_options(self.services.settings)
        language = parameters.text("language")
        decode = replace(base.decode, word_times=True, hotwords=hotwords(parameters))
        if parameters.wanted(("detect_language",)):
            # Its values, where they are languages, are those to choose among.
            named = [v for v in parameters.many("detect_language") if v.lower() not in ("true", "1", "yes", "on")]
            among = tuple(code for code in map(parse_language, named) if code is not None)
            decode = replace(decode, language=None, languages=among)
        elif language is not None:
            decode = replace(decode, language=parse_language(language))
        diarization = SpeakerOptions() if wants_diarization(parameters) else None
        model = self.services.engine.resolve(model_of(parameters))
        return replace(base, model=model, decode=decode, diarization=diarization)


def _shape(parameters: Parameters) -> Shape:
    smart = parameters.flag("smart_format")
    return Shape(
        parameters=parameters,
        punctuated=smart or parameters.flag("punctuate") or parameters.flag("paragraphs"),
        paragraphs=smart or parameters.flag("paragraphs"),
        utterances=parameters.flag("utterances"),
        utterance_gap_s=parameters.number("utt_split", 0, 3600) or 0.8,
        detected_language=bool(parameters.wanted(("detect_language",))),
        multilingual=(parameters.text("language") or "").lower() == "multi",
    )


def _samples(parameters: Parameters) -> SampleLayout | None:
    """What the body is where `encoding` names samples alone. Other encodings are found by looking at the file."""
    encoding = SAMPLES.get((parameters.text("encoding") or "").lower())
    rate = parameters.whole("sample_rate", MIN_RATE, MAX_RATE)
    channels = parameters.whole("channels", 1, MAX_CHANNELS)
    if encoding is None:
        return None
    return SampleLayout(cast(Any, encoding[0]), rate or encoding[1], channels or 1)


def _url(body: bytes) -> str:
    try:
        given = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as e:
        raise BadInput(f"the body is not JSON: {e}", code="invalid_json") from e
    url = given.get("url")
    if not isinstance(url, str) or not url.strip():
        raise BadInput("the JSON body needs url, the address of the audio", param="url", code="missing_url")
    return url


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse(error: HybridError, request_id: str) -> web.Response:
    """The answer to a request that failed."""
    status = wire_status(error, status_of(error))
    body = error_body(error, status, request_id)
    response = error_response(error, body, status=status)
    response.headers.update({"dg-error": header_text(body["err_msg"]), "dg-request-id": request_id})
    return response


DOOR: Final = HttpDoor(
    "deepgram",
    routes,
    paths=re.compile(r"/v1/listen/?"),
    refuse_with_id=refuse,
    describe=deepgram_paths,
    schemas=deepgram_schemas,
)
