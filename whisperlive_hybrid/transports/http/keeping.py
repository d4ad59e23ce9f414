"""A file that is sent to be transcribed and kept: a clip and a job like those of /api, answered in the same request."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

import msgspec
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from whisperlive_hybrid.jobs.clips import Arrival
from whisperlive_hybrid.jobs.filing import JobRequest
from whisperlive_hybrid.jobs.follow import NewSegments, ended, follow
from whisperlive_hybrid.jobs.job import HIGH
from whisperlive_hybrid.jobs.once import replay
from whisperlive_hybrid.jobs.transcript import FileOptions, Progress, Transcript
from whisperlive_hybrid.jobs.view import JobView
from whisperlive_hybrid.storage.rows import ClipRow
from whisperlive_hybrid.transports.http.api_objects import failure
from whisperlive_hybrid.transports.http.api_requests import idempotency_key, jobs_of, wants_fresh
from whisperlive_hybrid.transports.http.following import HEARTBEAT_S, News, route_of
from whisperlive_hybrid.transports.http.services import CLIENT, JOB_ID, HttpServices
from whisperlive_hybrid.transports.http.uploads import Upload


@dataclass(frozen=True, slots=True)
class Kept:
    """What was made of an upload."""

    job_id: str
    clip_id: str


async def keep(
    request: web.Request, services: HttpServices, upload: Upload, options: FileOptions, source_url: str | None
) -> Kept:
    """Keep an upload for good, and queue its transcription. Raises as POST /upload+transcribe."""
    jobs = jobs_of(services)
    wanted = JobRequest(
        options,
        options.model or services.engine.default_model,
        priority=HIGH,
        fresh=wants_fresh(request),
        route=route_of(request),
        owner=request.get(CLIENT),
    )
    name = upload.filename or "audio"
    checked = await jobs.clips.check(Arrival(upload.file.path, upload.file.size, name, source_url, request.get(CLIENT)))
    key = idempotency_key(request, checked.sha256, name, repr(wanted))
    body = await replay(jobs.database, key)
    if body is None:

        async def record(connection: AsyncConnection, clip: ClipRow) -> bytes:
            (row,) = await jobs.file(connection, [replace(wanted, clip=clip)])
            return msgspec.json.encode(Kept(row.id, clip.id))

        body, _ = await jobs.clips.keep(checked, record, key)
        jobs.wake()
    kept = msgspec.json.decode(body, type=Kept)
    request[JOB_ID] = kept.job_id
    return kept


async def transcript_of(services: HttpServices, kept: Kept) -> Transcript:
    """What becomes of it. Raises what it failed for. Who is not there any more when it is done finds it later."""
    view, transcript = await ended(follow(jobs_of(services), kept.job_id, heartbeat_s=HEARTBEAT_S))
    if transcript is None:
        raise failure(view.row)
    return transcript


async def news_of(services: HttpServices, kept: Kept) -> AsyncGenerator[News, None]:
    """As `following.follow`, of a job that is kept."""
    async with aclosing(follow(jobs_of(services), kept.job_id, heartbeat_s=HEARTBEAT_S)) as news:
        async for item in news:
            if isinstance(item, NewSegments):
                yield item.segments
            elif not isinstance(item, JobView):
                yield item
            elif item.row.state in ("failed", "cancelled"):
                raise failure(item.row)
            elif item.stage in ("decoding", "transcribing", "diarizing", "done"):
                yield Progress(item.stage, item.done_s, item.total_s)
