"""Jobs are filed: queued in the caller's transaction, or done at once where the same was computed before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from whisperlive_hybrid.errors import Refused
from whisperlive_hybrid.jobs.clips import no_clip
from whisperlive_hybrid.jobs.outbox import owed
from whisperlive_hybrid.jobs.quotas import Quotas
from whisperlive_hybrid.jobs.stored import content_key, decode_options, decode_transcript, encode_options
from whisperlive_hybrid.jobs.transcript import FileOptions
from whisperlive_hybrid.storage import deliveries, jobs, transcripts
from whisperlive_hybrid.storage.ids import new_id
from whisperlive_hybrid.storage.rows import BatchRow, ClipRow, JobRow, TranscriptRow


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A transcription that is asked for: of a clip, or of what is to be fetched from `source_url`."""

    options: FileOptions
    model: str
    clip: ClipRow | None = None
    source_url: str | None = None
    priority: int = 0
    callback_url: str | None = None
    fresh: bool = False
    """Compute it even where the same was computed before."""
    route: str | None = None
    """Of the request that asks for it."""
    owner: str | None = field(default=None, repr=False)
    """The client that it counts for; None is nobody. Not shown: sent again from elsewhere, it is the same request."""


async def queue_jobs(
    connection: AsyncConnection,
    requests: Sequence[JobRequest],
    batch_name: str | None,
    *,
    quotas: Quotas,
    max_queued: int,
    now: float,
) -> list[JobRow]:
    """The rows of the jobs, in order. With a name they are a batch.

    Raises Refused when too many jobs wait, OverLimit when too many of one client do, NotFound where a clip has gone
    meanwhile.
    """
    await check_room(connection, len(requests), max_queued)
    for owner, theirs in groupby(requests, key=lambda request: request.owner):
        lengths = [r.clip.duration_s or 0.0 if r.clip is not None else 0.0 for r in theirs]
        await quotas.check(connection, owner, now, new_jobs=len(lengths), new_audio_s=sum(lengths))
    batch = None if batch_name is None else BatchRow(new_id("batch", now), batch_name, now)
    ids = sorted(new_id("job", now) for _ in requests)  # in the order in which they were asked for
    rows = [
        _row(id, request, batch, quotas.owner(request.owner), now) for id, request in zip(ids, requests, strict=True)
    ]
    try:
        await jobs.insert_jobs(connection, rows, batch)
    except IntegrityError:
        gone = next((r.clip.id for r in requests if r.clip is not None), "")
        raise no_clip(gone) from None
    known = {key: await _known(connection, key) for key in {row.content_key for row in rows if not row.fresh}}
    return [await _done_before(connection, row, known.get(row.content_key), now) for row in rows]


async def check_room(connection: AsyncConnection, n_more: int, max_queued: int) -> None:
    """Whether so many more jobs may wait. Raises Refused."""
    n_queued = (await jobs.count_jobs(connection)).get("queued", 0)
    if n_queued + n_more > max_queued:
        raise Refused(f"{n_queued} jobs wait already; this server takes {max_queued}.", retry_after_s=30.0)


async def _known(connection: AsyncConnection, content_key: str | None) -> tuple[TranscriptRow, JobRow] | None:
    """What was computed of this content before, and by which job."""
    found = None if content_key is None else await transcripts.transcript_by_content(connection, content_key)
    twin = None if found is None else await jobs.get_job(connection, found.job_id)
    return None if found is None or twin is None else (found, twin)


async def _done_before(
    connection: AsyncConnection, row: JobRow, known: tuple[TranscriptRow, JobRow] | None, now: float
) -> JobRow:
    """The job, done at once where the same audio was computed with the same options before."""
    if row.fresh or row.clip_id is None or known is None:
        return row
    found, twin = known
    ended: dict[str, Any] = {
        "done_s": twin.done_s,
        "total_s": twin.total_s,
        "n_segments": twin.n_segments,
        "finished_at": now,
    }
    await jobs.change_job(connection, row.id, ["queued"], state="done", **ended)
    await transcripts.insert_transcript(connection, replace(found, job_id=row.id, clip_id=row.clip_id, created_at=now))
    if row.callback_url is not None:
        transcript = decode_transcript(found.body, decode_options(row.options))
        await deliveries.insert_deliveries(connection, owed(row, "done", now, transcript=transcript))
    return replace(row, state="done", **ended)


def _row(id: str, request: JobRequest, batch: BatchRow | None, owner: str | None, now: float) -> JobRow:
    clip = request.clip
    return JobRow(
        id=id,
        batch_id=None if batch is None else batch.id,
        clip_id=None if clip is None else clip.id,
        source_url=request.source_url,
        route=request.route,
        kept=True,
        options=encode_options(request.options),
        model=request.model,
        content_key=None if clip is None else content_key(clip.sha256, request.options, request.model),
        fresh=request.fresh,
        callback_url=request.callback_url,
        priority=request.priority,
        total_s=None if clip is None else clip.duration_s,
        created_at=now,
        owner=owner,
    )
