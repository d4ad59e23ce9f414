"""The native door: POST /transcribe with a file, POST /transcribe/url with an address.

The answer is one JSON object, a text, or subtitles; at /transcribe/stream, and with `Accept: application/x-ndjson`, it
is a stream of JSON lines (`progress`, `segment`, and as the last one `done` or `error`) that starts as soon as there is
something to tell.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import msgspec
from aiohttp import web

from whisperlive_hybrid.errors import BadInput, HybridError
from whisperlive_hybrid.jobs.fetching import fetch_file
from whisperlive_hybrid.jobs.transcript import FileOptions, Progress, Transcript
from whisperlive_hybrid.ops.egress import AllowedHosts
from whisperlive_hybrid.storage.incoming import StoredFile
from whisperlive_hybrid.transports.http.door import HttpDoor
from whisperlive_hybrid.transports.http.errors import envelope, json_response
from whisperlive_hybrid.transports.http.fields import body_fields, query_fields
from whisperlive_hybrid.transports.http.following import News, follow, stream_answer, transcribe
from whisperlive_hybrid.transports.http.form import Form
from whisperlive_hybrid.transports.http.keeping import Kept, keep, news_of, transcript_of
from whisperlive_hybrid.transports.http.native_description import native_paths, native_schemas
from whisperlive_hybrid.transports.http.options import KEEP, native_options
from whisperlive_hybrid.transports.http.rendering import off_loop, result_object, segment_object, text_response
from whisperlive_hybrid.transports.http.services import JOB_ID, HttpServices
from whisperlive_hybrid.transports.http.uploads import (
    Upload,
    UploadRules,
    expect_within,
    receive_upload,
    upload_rules,
)

NDJSON = "application/x-ndjson"


def routes(services: HttpServices) -> list[web.RouteDef]:
    """The routes of this door."""
    door = _NativeDoor(services, upload_rules(services, raw=True))
    early = expect_within(door.rules.max_bytes)
    return [
        web.post("/transcribe", door.transcribe, expect_handler=early),
        web.post("/transcribe/stream", door.transcribe_stream, expect_handler=early),
        web.post("/transcribe/url", door.transcribe_url),
    ]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What one call asks for."""

    options: FileOptions
    format_: str
    keep: bool


@dataclass(frozen=True, slots=True)
class _NativeDoor:
    services: HttpServices
    rules: UploadRules

    async def transcribe(self, request: web.Request) -> web.StreamResponse:
        """POST /transcribe."""
        async with receive_upload(request, self.rules) as upload:
            return await self._answer(request, upload, Form([*query_fields(request), *upload.fields]))

    async def transcribe_stream(self, request: web.Request) -> web.StreamResponse:
        """POST /transcribe/stream: always as it comes."""
        async with receive_upload(request, self.rules) as upload:
            return await self._stream(request, upload, self._read(Form([*query_fields(request), *upload.fields])))

    async def transcribe_url(self, request: web.Request) -> web.StreamResponse:
        """POST /transcribe/url."""
        fields = await body_fields(request)
        urls = [value.strip() for name, value in fields if name == "url" and value.strip()]
        if len(urls) != 1:
            raise BadInput(
                "Name one address in the field url.", param="url", code="several_urls" if urls else "missing_url"
            )
        form = Form([*query_fields(request), *((n, v) for n, v in fields if n != "url")])
        # Wrong options are told before anything is fetched.
        self._read(form.fresh())
        allowed = AllowedHosts.parse(self.services.settings.url_allow_hosts)
        rules = self.rules
        async with fetch_file(urls[0], rules.folder, rules.max_bytes, allowed, floor=rules.floor_bytes) as fetched:
            upload = Upload(StoredFile(fetched.file.path, fetched.file.size), fetched.name, fields=())
            return await self._answer(request, upload, form, source_url=urls[0])

    def _read(self, form: Form) -> _Wanted:
        """Raises BadInput naming every wrong field, or NotFound (model)."""
        keep = form.flag(KEEP.name) or False
        form.drop(KEEP.name)
        return _Wanted(*native_options(form, self.services.settings, self.services.engine), keep)

    async def _answer(
        self, request: web.Request, upload: Upload, form: Form, *, source_url: str | None = None
    ) -> web.StreamResponse:
        wanted = self._read(form)
        if NDJSON in request.headers.get("Accept", ""):
            return await self._stream(request, upload, wanted, source_url=source_url)
        kept = None
        if wanted.keep:
            kept = await keep(request, self.services, upload, wanted.options, source_url)
            transcript = await transcript_of(self.services, kept)
        else:
            transcript = await transcribe(request, self.services, upload, wanted.options)
        return await respond(transcript, wanted.format_, upload.filename, kept)

    async def _stream(
        self, request: web.Request, upload: Upload, wanted: _Wanted, *, source_url: str | None = None
    ) -> web.StreamResponse:
        n_lines = n_told = 0
        kept = None
        if wanted.keep:
            kept = await keep(request, self.services, upload, wanted.options, source_url)
            news = news_of(self.services, kept)
        else:
            news = follow(request, self.services, upload, wanted.options)

        async def write(item: News) -> bytes:
            nonlocal n_lines, n_told
            lines = await _lines(item, n_told, upload.filename, kept)
            if lines and not n_lines and JOB_ID in request:
                lines[0]["job_id"] = request[JOB_ID]
            n_lines += len(lines)
            n_told += len(item) if isinstance(item, tuple) else 0
            return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)

        def write_error(error: HybridError) -> bytes:
            return msgspec.json.encode({"type": "error", **envelope(error)}) + b"\n"

        return await stream_answer(request, NDJSON, news, write=write, write_error=write_error)


async def respond(transcript: Transcript, format_: str, filename: str, kept: Kept | None = None) -> web.Response:
    """The whole answer in one of FORMATS."""
    if format_ == "json":
        return json_response(await off_loop(transcript, lambda: _result(transcript, filename, kept)))
    return await text_response(transcript, format_)


def _result(transcript: Transcript, filename: str, kept: Kept | None) -> dict[str, Any]:
    """The answer; of a file that is kept it says as what."""
    return {**result_object(transcript, filename), **({} if kept is None else asdict(kept))}


async def _lines(item: News, n_sent: int, filename: str, kept: Kept | None) -> list[dict[str, Any]]:
    match item:
        case Progress(stage, done_s, total_s):
            return [{"type": "progress", "stage": stage, "done_s": done_s, "total_s": total_s}]
        case Transcript():
            return [{"type": "done", **await off_loop(item, lambda: _result(item, filename, kept))}]
        case None:
            return [{"type": "heartbeat"}]
        case segments:
            return [{"type": "segment", "segment": segment_object(i, s)} for i, s in enumerate(segments, n_sent)]


DOOR: Final = HttpDoor("native", routes, describe=native_paths, schemas=native_schemas)
