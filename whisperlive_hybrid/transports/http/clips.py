"""Clips under /api: upload once, transcribe when you like, and get it in any form.

`/api/audio` keeps files, `/api/transcribe` transcribes one that is kept, `/api/transcription` gives what came of it.
`/upload+transcribe` does all of it in one step and answers before it is done.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Final

import msgspec
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from whisperlive_hybrid.errors import NotFound
from whisperlive_hybrid.jobs.clips import Arrival
from whisperlive_hybrid.jobs.filing import JobRequest
from whisperlive_hybrid.jobs.follow import JobNews, ended, follow
from whisperlive_hybrid.jobs.once import Key, once, replay
from whisperlive_hybrid.jobs.search import search
from whisperlive_hybrid.jobs.service import JobService
from whisperlive_hybrid.ops.auth import api_keys, check_key
from whisperlive_hybrid.ops.limits import check
from whisperlive_hybrid.ops.signed_links import is_open, signed_link
from whisperlive_hybrid.storage.clips import ClipFilter
from whisperlive_hybrid.storage.rows import ClipRow, JobRow
from whisperlive_hybrid.transports.http.api_answers import (
    HEARTBEAT_S,
    streamed_answer,
    wanted_format,
    whole_answer,
)
from whisperlive_hybrid.transports.http.api_objects import (
    PRIORITIES,
    clip_links,
    clip_object,
    failure,
    found_object,
    job_links,
    moment,
)
from whisperlive_hybrid.transports.http.api_requests import (
    id_of,
    idempotency_key,
    job_request,
    jobs_of,
    moment_of,
    page_of,
    refuse_unknown,
)
from whisperlive_hybrid.transports.http.clips_description import clips_paths, clips_schemas
from whisperlive_hybrid.transports.http.content import send_content
from whisperlive_hybrid.transports.http.door import HttpDoor
from whisperlive_hybrid.transports.http.errors import json_response, rate_limited_refusal
from whisperlive_hybrid.transports.http.fields import body_fields, query_fields
from whisperlive_hybrid.transports.http.following import answer_kept_alive
from whisperlive_hybrid.transports.http.form import Form
from whisperlive_hybrid.transports.http.services import CLIENT, HttpServices
from whisperlive_hybrid.transports.http.uploads import (
    MAX_FIELD_BYTES,
    Upload,
    UploadRules,
    expect_within,
    receive_upload,
    upload_rules,
)

STORED: Final = "The clip is stored."
LINK_S: Final = 6 * 3600
"""How long a link to a clip's content is good."""
_STATUSES: Final = ("none", "queued", "running", "done", "failed", "cancelled")


def routes(services: HttpServices) -> list[web.RouteDef]:
    """The routes of this door."""
    door = _ClipsDoor(services)
    early = expect_within(round(services.settings.max_upload_mb * 1e6))
    return [
        web.post("/api/audio", door.upload, expect_handler=early),
        web.get("/api/audio", door.list_clips),
        web.get("/api/audio/{id}", door.show),
        web.delete("/api/audio/{id}", door.delete),
        web.get("/api/audio/{id}/content", door.content),
        web.get("/api/audio/{id}/link", door.link),
        web.post("/api/transcribe", door.transcribe),
        web.post("/api/transcribe/stream", door.transcribe_stream),
        web.get("/api/transcription", door.list_transcriptions),
        web.get("/api/transcription/{id}", door.transcription),
        web.get("/api/transcription/stream/{id}", door.transcription_stream),
        web.delete("/api/transcription/{id}", door.delete_transcription),
        web.post("/upload+transcribe", door.upload_and_transcribe, expect_handler=early),
        web.post("/api/upload-transcribe", door.upload_and_transcribe, expect_handler=early),
    ]


def arrival_of(request: web.Request, upload: Upload) -> Arrival:
    """An upload as the room below takes it."""
    return Arrival(upload.file.path, upload.file.size, upload.filename or "audio", owner=request.get(CLIENT))


async def storing_rules(request: web.Request, services: HttpServices, jobs: JobService) -> UploadRules:
    """Files that are to be kept are received beside where they will be.

    Raises OverLimit where the client has no room for them, before any of it is read.
    """
    said = request.content_length or 0  # with the form around the file
    await jobs.check_quotas(request.get(CLIENT), new_bytes=max(1, said - MAX_FIELD_BYTES))
    return replace(upload_rules(services, raw=True), folder=jobs.clips.blobs.staging)


def answered(body: bytes, replayed: bool, *, status: int, location: str) -> web.Response:
    """The answer to a request that made something, or was made before."""
    headers = {"Location": location, **({"Idempotency-Replayed": "true"} if replayed else {})}
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8", headers=headers)


@dataclass(frozen=True, slots=True)
class _ClipsDoor:
    services: HttpServices

    # --- clips ---

    async def upload(self, request: web.Request) -> web.Response:
        """POST /api/audio."""
        jobs = jobs_of(self.services)
        async with receive_upload(request, await storing_rules(request, self.services, jobs)) as upload:
            refuse_unknown(Form([*query_fields(request), *upload.fields]), ())
            checked = await jobs.clips.check(arrival_of(request, upload))
            key = idempotency_key(request, checked.sha256, checked.arrival.name)
            before = await replay(jobs.database, key)
            if before is not None:
                return self._uploaded(before, True)

            async def answer(_: AsyncConnection, clip: ClipRow) -> bytes:
                return msgspec.json.encode({"clip_id": clip.id, "message": STORED})

            return self._uploaded(*await jobs.clips.keep(checked, answer, key))

    @staticmethod
    def _uploaded(body: bytes, replayed: bool) -> web.Response:
        location = f"/api/audio/{msgspec.json.decode(body)['clip_id']}"
        return answered(body, replayed, status=201, location=location)

    async def list_clips(self, request: web.Request) -> web.Response:
        """GET /api/audio."""
        jobs, form = jobs_of(self.services), Form(query_fields(request))
        which = ClipFilter(
            name=form.text("name"),
            sha256=form.text("sha256"),
            job_state=form.choice("status", _STATUSES),
            since=moment_of(form, "since"),
            until=moment_of(form, "until"),
        )
        after, limit = page_of(form)
        refuse_unknown(form, ("name", "sha256", "status", "since", "until", "after", "limit"))
        page = await jobs.clips.page(which, after=after, limit=limit)
        latest = await jobs.clips.with_job([row.id for row in page.items])
        clips = [clip_object(row, latest.get(row.id)) for row in page.items]
        return json_response({"clips": clips, "after": page.after})

    async def show(self, request: web.Request) -> web.Response:
        """GET /api/audio/{id}."""
        jobs = jobs_of(self.services)
        clip = await jobs.clips.get(id_of(request, "clip"))
        return json_response(clip_object(clip, (await jobs.clips.with_job([clip.id])).get(clip.id)))

    async def content(self, request: web.Request) -> web.StreamResponse:
        """GET /api/audio/{id}/content, with a key or by a link."""
        settings, limits = self.services.settings, self.services.limits
        by_link = is_open(request.path, request.query, api_keys(settings), time.time())
        key = None if by_link else check_key(settings, request.headers, request.query)
        check(limits.count(limits.client_of(key, request.remote, request.headers)))
        jobs = jobs_of(self.services)
        clip = await jobs.clips.get(id_of(request, "clip"))
        return await send_content(request, clip, jobs.clips)

    async def link(self, request: web.Request) -> web.Response:
        """GET /api/audio/{id}/link: where the content is for those who cannot send a key."""
        clip = await jobs_of(self.services).clips.get(id_of(request, "clip"))
        path = f"/api/audio/{clip.id}/content"
        keys = api_keys(self.services.settings)
        if not keys:
            return json_response({"url": path, "expires": None})
        expires_at = int(time.time()) + LINK_S
        answer = {"url": signed_link(path, keys[0], expires_at), "expires": moment(expires_at)}
        return json_response(answer, headers={"Cache-Control": "no-store"})

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE /api/audio/{id}."""
        await jobs_of(self.services).delete_clip(id_of(request, "clip"))
        return web.Response(status=204)

    # --- transcribing ---

    async def transcribe(self, request: web.Request) -> web.StreamResponse:
        """POST /api/transcribe."""
        jobs = jobs_of(self.services)
        format_ = wanted_format(request)
        row = await self._file_for_clip(request, jobs)
        news = follow(jobs, row.id, heartbeat_s=HEARTBEAT_S)
        if format_ in ("ndjson", "sse"):
            return await streamed_answer(request, news, format_)

        async def answer() -> web.Response:
            view, transcript = await ended(news)
            if transcript is None:
                raise failure(view.row)
            return await whole_answer(transcript, format_, str(row.clip_id), row.id)

        return await (answer_kept_alive(request, answer()) if format_ == "json" else answer())

    async def transcribe_stream(self, request: web.Request) -> web.StreamResponse:
        """POST /api/transcribe/stream."""
        jobs = jobs_of(self.services)
        format_ = wanted_format(request, ("ndjson", "sse"), "ndjson")
        row = await self._file_for_clip(request, jobs)
        return await streamed_answer(request, follow(jobs, row.id, heartbeat_s=HEARTBEAT_S), format_)

    async def _file_for_clip(self, request: web.Request, jobs: JobService) -> JobRow:
        form = Form([*query_fields(request), *await body_fields(request)])
        clip_id = form.text("clip_id", max_chars=64)
        if clip_id is None:
            form.wrong("clip_id", "Name the clip to transcribe.", accepted=("clip_…",), code="missing_clip")
        form.drop("clip_id")
        wanted = await job_request(request, self.services, form, default_priority=PRIORITIES["high"])
        clip = await jobs.clips.get(clip_id or "")
        key = idempotency_key(request, clip.id, repr(wanted))
        (row,) = await file_jobs(jobs, [replace(wanted, clip=clip)], key)
        return row

    async def upload_and_transcribe(self, request: web.Request) -> web.Response:
        """POST /upload+transcribe."""
        jobs = jobs_of(self.services)
        async with receive_upload(request, await storing_rules(request, self.services, jobs)) as upload:
            form = Form([*query_fields(request), *upload.fields])
            wanted = await job_request(request, self.services, form)
            checked = await jobs.clips.check(arrival_of(request, upload))
            key = idempotency_key(request, checked.sha256, checked.arrival.name, repr(wanted))
            before = await replay(jobs.database, key)
            if before is None:

                async def answer(connection: AsyncConnection, clip: ClipRow) -> bytes:
                    (row,) = await jobs.file(connection, [replace(wanted, clip=clip)])
                    return msgspec.json.encode(
                        {
                            "clip_id": clip.id,
                            "job_id": row.id,
                            "state": row.state,
                            "links": {**job_links(row), "transcription": clip_links(clip.id)["transcription"]},
                        }
                    )

                body, replayed = await jobs.clips.keep(checked, answer, key)
                jobs.wake()
            else:
                body, replayed = before, True
        return answered(body, replayed, status=202, location=f"/api/jobs/{msgspec.json.decode(body)['job_id']}")

    # --- transcriptions ---

    async def list_transcriptions(self, request: web.Request) -> web.Response:
        """GET /api/transcription."""
        jobs, form = jobs_of(self.services), Form(query_fields(request))
        clip_id, words = form.text("clip_id", max_chars=64), form.text("q", max_chars=1000)
        prefix, text = bool(form.flag("prefix")), form.flag("text") is not False
        after, limit = page_of(form)
        refuse_unknown(form, ("clip_id", "q", "prefix", "text", "after", "limit"))
        page = await search(jobs.database, clip_id=clip_id, words=words, prefix=prefix, after=after, limit=limit)
        shown = [found_object(found, searched=words is not None, text=text) for found in page.items]
        return json_response({"transcriptions": shown, "after": page.after})

    async def transcription(self, request: web.Request) -> web.Response:
        """GET /api/transcription/{id}."""
        jobs = jobs_of(self.services)
        format_ = wanted_format(request)
        clip = await jobs.clips.get(id_of(request, "clip"))
        job_id, transcript = await jobs.transcript_of_clip(clip.id)
        return await whole_answer(transcript, format_, clip.id, job_id)

    async def transcription_stream(self, request: web.Request) -> web.StreamResponse:
        """GET /api/transcription/stream/{id}: the newest job of the clip, from its beginning."""
        jobs = jobs_of(self.services)
        format_ = wanted_format(request, ("ndjson", "sse"), "ndjson")
        clip = await jobs.clips.get(id_of(request, "clip"))
        job = (await jobs.clips.with_job([clip.id])).get(clip.id)
        if job is None:
            raise NotFound(
                f"The clip {clip.id!r} has no transcription.",
                kind="transcription",
                id=clip.id,
                code="no_transcription",
            )
        return await streamed_answer(request, follow_from(request, jobs, job.id), format_)

    async def delete_transcription(self, request: web.Request) -> web.Response:
        """DELETE /api/transcription/{id}."""
        jobs = jobs_of(self.services)
        clip = await jobs.clips.get(id_of(request, "clip"))
        await jobs.delete_transcripts(clip.id)
        return web.Response(status=204)


async def file_jobs(
    jobs: JobService, wanted: list[JobRequest], key: Key | None, batch_name: str | None = None
) -> list[JobRow]:
    """Queue jobs, once for a key; the rows as they were then."""
    rows: list[JobRow] = []

    async def work(connection: AsyncConnection) -> bytes:
        rows[:] = await jobs.file(connection, wanted, batch_name)
        return msgspec.json.encode([row.id for row in rows])

    before = await replay(jobs.database, key)
    if before is None:
        before, replayed = await once(jobs.database, key, work, jobs.now())
        if not replayed:
            jobs.wake()
            return rows
    return [(await jobs.get(id)).row for id in msgspec.json.decode(before, type=list[str])]


def follow_from(request: web.Request, jobs: JobService, job_id: str) -> AsyncGenerator[JobNews]:
    """The job's news for this reader: behind the segments that it has, where it says so (Last-Event-ID)."""
    given = request.headers.get("Last-Event-ID", "")
    from_segment = int(given) if re.fullmatch(r"\d{1,9}", given) else 0
    return follow(jobs, job_id, heartbeat_s=HEARTBEAT_S, from_segment=from_segment)


DOOR: Final = HttpDoor(
    "clips",
    routes,
    paths=re.compile(r"/api/.*|/upload\+transcribe", re.DOTALL),
    refuse=rate_limited_refusal,
    own_key_check=re.compile(r"/api/audio/[^/]+/content"),
    describe=clips_paths,
    schemas=clips_schemas,
)
