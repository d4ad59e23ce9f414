"""Jobs under /api/jobs: filed, listed, followed, cancelled, tried again, deleted.

A job is of one clip. Several that are asked for together are a batch, which every route takes for a job, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from whisperlive_hybrid.errors import BadInput, Conflict, HybridError, NotFound, Refused
from whisperlive_hybrid.jobs.job import OVER, STATES
from whisperlive_hybrid.jobs.once import replay
from whisperlive_hybrid.jobs.service import JobService
from whisperlive_hybrid.ops.egress import AllowedHosts, check_target
from whisperlive_hybrid.storage.ids import is_id
from whisperlive_hybrid.storage.jobs import JobFilter
from whisperlive_hybrid.storage.rows import ClipRow, JobRow
from whisperlive_hybrid.transports.http.api_answers import (
    ENCODERS,
    HEARTBEAT_S,
    NDJSON,
    SSE,
    Event,
    streamed_answer,
    wanted_format,
    whole_answer,
)
from whisperlive_hybrid.transports.http.api_objects import (
    batch_links,
    batch_object,
    batch_totals_object,
    job_links,
    job_object,
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
from whisperlive_hybrid.transports.http.batch_results import lines_of_batch, zip_of_batch
from whisperlive_hybrid.transports.http.clips import answered, arrival_of, follow_from, storing_rules
from whisperlive_hybrid.transports.http.door import HttpDoor
from whisperlive_hybrid.transports.http.errors import envelope, json_response
from whisperlive_hybrid.transports.http.fields import body_fields, query_fields
from whisperlive_hybrid.transports.http.following import stream_answer
from whisperlive_hybrid.transports.http.form import Form
from whisperlive_hybrid.transports.http.jobs_description import jobs_paths, jobs_schemas
from whisperlive_hybrid.transports.http.services import HttpServices
from whisperlive_hybrid.transports.http.uploads import Upload, expect_within, receive_uploads

MAX_BATCH: Final = 1000
"""Clips and URLs of one request."""
MAX_FILES: Final = 100
"""Files of one request; together they may be as large as one."""
BATCH_POLL_S: Final = 1.0


def routes(services: HttpServices) -> list[web.RouteDef]:
    """The routes of this door."""
    door = _JobsDoor(services)
    early = expect_within(round(services.settings.max_upload_mb * 1e6))
    return [
        web.post("/api/jobs", door.file, expect_handler=early),
        web.get("/api/jobs", door.list_jobs),
        web.get("/api/jobs/{id}", door.show),
        web.delete("/api/jobs/{id}", door.delete),
        web.post("/api/jobs/{id}/cancel", door.cancel),
        web.post("/api/jobs/{id}/retry", door.retry),
        web.get("/api/jobs/{id}/events", door.events),
        web.get("/api/jobs/{id}/result", door.result),
    ]


@dataclass(frozen=True, slots=True)
class _JobsDoor:
    services: HttpServices

    # --- filing ---

    async def file(self, request: web.Request) -> web.Response:
        """POST /api/jobs: clips and URLs by fields or JSON, or files."""
        jobs = jobs_of(self.services)
        if not request.content_type.startswith("multipart/"):
            return await self._file_named(request, jobs, Form([*query_fields(request), *await body_fields(request)]))
        rules = await storing_rules(request, self.services, jobs)
        async with receive_uploads(request, rules, most=MAX_FILES) as (uploads, fields):
            form = Form([*query_fields(request), *fields])
            return await self._file_named(request, jobs, form, uploads)

    async def _file_named(
        self, request: web.Request, jobs: JobService, form: Form, uploads: list[Upload] | None = None
    ) -> web.Response:
        uploads = uploads or []
        clip_ids, urls = form.many("clip_id", most=MAX_BATCH), form.whole("url", most=MAX_BATCH)
        name = form.text("name", max_chars=255)
        form.drop("clip_id", "url", "name")
        n_items = len(clip_ids) + len(urls) + len(uploads)
        if not n_items:
            accepted = ("clip_id", "url", "file")
            form.wrong("clip_id", "Name clips or URLs, or send files.", accepted=accepted, code="nothing_to_do")
        allowed = AllowedHosts.parse(self.services.settings.url_allow_hosts)
        for url in urls:
            try:
                await check_target(url, allowed, param="url")
            except BadInput as problem:
                form.wrong("url", f"{url[:128]}: {problem.message}", accepted=problem.accepted, code=problem.code)
        wanted = await job_request(request, self.services, form)
        clips = await jobs.clips.get_all(clip_ids)
        named = [replace(wanted, clip=clips[id]) for id in clip_ids] + [replace(wanted, source_url=url) for url in urls]
        checked = [await jobs.clips.check(arrival_of(request, upload)) for upload in uploads]
        content = [c.sha256 + c.arrival.name for c in checked]
        key = idempotency_key(request, repr(wanted), str(name), *clip_ids, *urls, *content)
        batch_name = name or "" if n_items > 1 or name else None
        body = await replay(jobs.database, key)
        replayed = body is not None
        if body is None:

            async def answer(connection: AsyncConnection, kept: list[ClipRow]) -> bytes:
                items = [*named, *(replace(wanted, clip=clip) for clip in kept)]
                rows = await jobs.file(connection, items, batch_name)
                return msgspec.json.encode(_filed(rows))

            body, replayed = await jobs.clips.keep_all(checked, answer, key)
            jobs.wake()
        location = f"/api/jobs/{msgspec.json.decode(body)['job_id']}"
        return answered(body, replayed, status=202, location=location)

    # --- looking ---

    async def list_jobs(self, request: web.Request) -> web.Response:
        """GET /api/jobs."""
        jobs, form = jobs_of(self.services), Form(query_fields(request))
        which = JobFilter(
            states=form.many("state", STATES),
            clip_id=form.text("clip_id", max_chars=64),
            batch_id=form.text("batch_id", max_chars=64),
            route=form.text("route", max_chars=64),
            kept=form.flag("kept"),
            since=moment_of(form, "since"),
            until=moment_of(form, "until"),
        )
        after, limit = page_of(form)
        refuse_unknown(form, ("state", "clip_id", "batch_id", "route", "kept", "since", "until", "after", "limit"))
        page, batches, counts = await jobs.page(which, after=after, limit=limit)
        return json_response(
            {
                "jobs": [job_object(view) for view in page.items],
                "batches": [batch_totals_object(batch) for batch in batches],
                "counts": counts,
                "after": page.after,
            }
        )

    async def show(self, request: web.Request) -> web.Response:
        """GET /api/jobs/{id}."""
        return json_response(await self._shown(id_of(request, "job", "batch")))

    async def _shown(self, id: str) -> dict[str, Any]:
        jobs = jobs_of(self.services)
        if is_id(id, "batch"):
            return batch_object(*await jobs.batch(id))
        return job_object(await jobs.get(id))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """GET /api/jobs/{id}/events."""
        jobs, id = jobs_of(self.services), id_of(request, "job", "batch")
        format_ = wanted_format(request, ("sse", "ndjson"), "sse")
        if not is_id(id, "batch"):
            return await streamed_answer(request, follow_from(request, jobs, id), format_)
        encode = ENCODERS[format_]

        async def write(event: Event) -> bytes:
            return encode(event)

        def write_error(error: HybridError) -> bytes:
            return encode({"type": "error", **envelope(error)})

        return await stream_answer(
            request, SSE if format_ == "sse" else NDJSON, follow_batch(jobs, id), write=write, write_error=write_error
        )

    async def result(self, request: web.Request) -> web.StreamResponse:
        """GET /api/jobs/{id}/result."""
        jobs, id = jobs_of(self.services), id_of(request, "job", "batch")
        if not is_id(id, "batch"):
            format_ = wanted_format(request)
            transcript = await jobs.transcript(id)
            clip_id = (await jobs.get(id)).row.clip_id or ""
            return await whole_answer(transcript, format_, clip_id, id)
        batch, views = await jobs.batch(id)
        waiting = [view.row.id for view in views if view.row.state not in OVER]
        if waiting:
            raise Conflict(f"{len(waiting)} of the batch's jobs are not done yet.", code="batch_running")
        if wanted_format(request, ("ndjson", "zip"), "ndjson") == "zip":
            return await zip_of_batch(request, jobs, batch, views)
        return await lines_of_batch(request, jobs, views)

    # --- changing ---

    async def cancel(self, request: web.Request) -> web.Response:
        """POST /api/jobs/{id}/cancel."""
        return await self._change(request, "cancel")

    async def retry(self, request: web.Request) -> web.Response:
        """POST /api/jobs/{id}/retry."""
        return await self._change(request, "retry")

    async def _change(self, request: web.Request, what: str) -> web.Response:
        jobs, id = jobs_of(self.services), id_of(request, "job", "batch")
        change = jobs.cancel if what == "cancel" else jobs.retry
        if not is_id(id, "batch"):
            return json_response(job_object(await change(id)))
        _, views = await jobs.batch(id)
        changed = 0
        for view in views:
            try:
                await change(view.row.id)
                changed += 1
            except (Conflict, NotFound):  # over already, or gone meanwhile
                continue
            except Refused:  # the others wait until there is room for them
                if not changed:
                    raise
                break
        if views and not changed:
            raise Conflict(f"None of the batch's jobs can be {_done(what)}.", code="batch_over")
        return json_response(await self._shown(id))

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE /api/jobs/{id}."""
        jobs, id = jobs_of(self.services), id_of(request, "job", "batch")
        if is_id(id, "batch"):
            await jobs.delete_batch(id)
        else:
            await jobs.delete(id)
        return web.Response(status=204)


def _done(what: str) -> str:
    return "cancelled" if what == "cancel" else "tried again"


def _filed(rows: list[JobRow]) -> dict[str, Any]:
    """The answer to filing: the batch where there is one, and its jobs."""
    id = rows[0].batch_id or rows[0].id
    return {
        "job_id": id,
        "jobs": [
            {
                "job_id": row.id,
                "clip_id": row.clip_id,
                "source_url": row.source_url,
                "state": row.state,
                "links": job_links(row),
            }
            for row in rows
        ],
        "links": batch_links(id),
    }


async def follow_batch(jobs: JobService, id: str) -> AsyncGenerator[Event]:
    """How far a batch is, whenever that changes; `done` is the last."""
    last, told_at = None, 0.0
    loop = asyncio.get_running_loop()
    while True:
        batch, views = await jobs.batch(id)
        shown = batch_object(batch, views)
        news = {name: shown[name] for name in ("state", "progress", "total_s", "seconds_left", "counts")}
        if shown["state"] in OVER:
            yield {"type": "done", **news}
            return
        if (news["progress"], news["counts"]) != last:
            last, told_at = (news["progress"], news["counts"]), loop.time()
            yield {"type": "progress", **news}
        elif loop.time() - told_at >= HEARTBEAT_S:
            told_at = loop.time()
            yield {"type": "heartbeat"}
        await asyncio.sleep(BATCH_POLL_S)


DOOR: Final = HttpDoor(
    "jobs",
    routes,
    describe=jobs_paths,
    schemas=jobs_schemas,
)
