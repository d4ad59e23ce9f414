"""Jobs as their owners see them: filed, looked at, followed, cancelled, tried again, deleted.

The database is the truth. What a follower is told of is read from there, so it may be another process that works on the
job, or the next one after a crash; wake-ups and the progress between two windows come from this process where it is
the one. Of requests that wait for their answer (`direct.py`) the process that has them knows first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, cast

from sqlalchemy.ext.asyncio import AsyncConnection

from whisperlive_hybrid.errors import Conflict, NotFound
from whisperlive_hybrid.jobs.bell import OUTBOX, QUEUE, Bell
from whisperlive_hybrid.jobs.clips import Clips
from whisperlive_hybrid.jobs.courier import Courier
from whisperlive_hybrid.jobs.direct import DirectJobs
from whisperlive_hybrid.jobs.filing import JobRequest, check_room, queue_jobs
from whisperlive_hybrid.jobs.job import OVER, State, after, before
from whisperlive_hybrid.jobs.stored import (
    decode_options,
    decode_transcript,
)
from whisperlive_hybrid.jobs.transcript import Progress, Transcript
from whisperlive_hybrid.jobs.view import JobView, view_of
from whisperlive_hybrid.jobs.workers import Workers
from whisperlive_hybrid.storage import clips, direct, jobs, transcripts
from whisperlive_hybrid.storage.jobs import BatchTotals, JobFilter
from whisperlive_hybrid.storage.rows import BatchRow, JobRow, Page, TranscriptRow
from whisperlive_hybrid.storage.usage import Used, charge, used_by

LONG_BYTES: Final = 100_000
"""Longer transcripts are read in a thread."""
LOOK_S: Final = 1.0
"""Who looks waits no longer for others to be written down."""


class JobService:
    """The jobs of the server."""

    def __init__(
        self,
        kept: Clips,
        bell: Bell,
        workers: Workers,
        courier: Courier,
        direct_jobs: DirectJobs,
        *,
        max_queued: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.clips = kept
        self.database = kept.database
        self.workers = workers
        self.courier = courier
        self.direct = direct_jobs
        self.bell = bell
        self._max_queued = max_queued
        self._clock = clock

    async def file(
        self, connection: AsyncConnection, requests: Sequence[JobRequest], batch_name: str | None = None
    ) -> list[JobRow]:
        """Queue jobs in the caller's transaction; `wake` once it is committed. With a name they are a batch.

        Raises Refused when too many jobs wait, OverLimit when too many of one client do, NotFound where a clip has gone
        meanwhile.
        """
        return await queue_jobs(
            connection,
            requests,
            batch_name,
            quotas=self.clips.quotas,
            max_queued=self._max_queued,
            now=self._clock(),
        )

    async def check_quotas(self, owner: str | None, *, new_bytes: int = 0, new_audio_s: float | None = None) -> None:
        """Whether a client may have more, as `Quotas.check`, before anything is done for it. Raises OverLimit."""
        if owner is None:
            return
        used = await self.used_by(owner)
        if used is not None:
            self.clips.quotas.judge(used, self._clock(), new_bytes=new_bytes, new_audio_s=new_audio_s)

    async def used_by(self, owner: str) -> Used | None:
        """What a client has; None where nothing is limited, since then nobody counts it."""
        quotas = self.clips.quotas
        if not quotas.are_any:
            return None
        if quotas.audio_s_per_day:
            await self._record_soon()  # what was heard for this client a moment ago
        now = self._clock()
        return await self.database.read(lambda c: used_by(c, owner, now))

    def wake(self) -> None:
        """Jobs were queued, or were done at once."""
        self.bell.ring(QUEUE, OUTBOX)

    def now(self) -> float:
        """Unix time."""
        return self._clock()

    async def get(self, id: str) -> JobView:
        """The job. Raises NotFound."""
        here = self.direct.view(id)
        if here is not None:
            return here

        async def work(c: AsyncConnection) -> tuple[JobRow, int | None, dict[str, str]]:
            row, place = await with_place(c, id)
            return row, place, await clips.clip_names(c, _clip_ids([row]))

        row, place, names = await self.database.read(work)
        return view_of(row, self, place, names.get(row.clip_id or ""))

    def progress(self, job_id: str) -> Progress | None:
        """How far a job is that is worked on here; None for others."""
        return self.direct.progress(job_id) or self.workers.progress(job_id)

    def pace(self, job_id: str) -> float | None:
        """Seconds of audio a second for a job that is worked on here; None while that is unknown."""
        return self.direct.pace(job_id) or self.workers.pace(job_id)

    async def page(
        self, which: JobFilter, *, after: str | None, limit: int
    ) -> tuple[Page[JobView], list[BatchTotals], dict[str, int]]:
        """Jobs, newest first; the batches that they are of, newest first; how many jobs there are in each state."""
        await self._record_soon()

        async def work(
            c: AsyncConnection,
        ) -> tuple[Page[JobRow], list[JobView], list[BatchTotals], dict[str, int]]:
            found = await jobs.page_of_jobs(c, which, after=after, limit=limit)
            batches = list(dict.fromkeys(row.batch_id for row in found.items if row.batch_id is not None))
            totals = await jobs.batch_totals(c, batches) if batches else []
            totals.sort(key=lambda each: each.row.id, reverse=True)
            return found, await self._views(c, found.items), totals, await jobs.count_jobs(c, which.kept)

        found, views, totals, counts = await self.database.read(work)
        return Page(tuple(views), found.after), totals, counts

    async def _record_soon(self) -> None:
        """Have in the table what became of requests a moment ago. Who only looks does not wait for a database that
        cannot be written now."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self.direct.record()

    async def batch(self, id: str) -> tuple[BatchRow, list[JobView]]:
        """A batch and its jobs in order. Raises NotFound."""

        async def work(c: AsyncConnection) -> tuple[BatchRow | None, list[JobView]]:
            return await jobs.get_batch(c, id), await self._views(c, await jobs.jobs_of_batch(c, id))

        batch, views = await self.database.read(work)
        if batch is None:
            raise no_job(id)
        return batch, views

    async def _views(self, connection: AsyncConnection, rows: Sequence[JobRow]) -> list[JobView]:
        queued = [row.id for row in rows if row.state == "queued"]
        places = await jobs.queue_places(connection, queued) if queued else {}
        names = await clips.clip_names(connection, _clip_ids(rows))
        return [view_of(row, self, places.get(row.id), names.get(row.clip_id or "")) for row in rows]

    async def cancel(self, id: str) -> JobView:
        """Cancel a job that is not over; one that runs is stopped at once, or within a second where another process
        has it. Raises NotFound, or Conflict when it is over."""
        if self.direct.knows(id):
            return await self.direct.cancel(id)

        async def work(connection: AsyncConnection) -> None:
            row = await _locked(connection, id)
            after(cast(State, row.state), "cancel")
            if not row.kept:
                await direct.ask_cancel(connection, id)
            elif row.state == "running":
                await jobs.change_job(connection, id, ["running"], cancel_asked=True)
            else:
                await self.workers.record_cancel(connection, row)

        await self.database.write(work)
        self.bell.ring(id, OUTBOX)
        await self.workers.cancel(id)
        return await self.get(id)

    async def retry(self, id: str) -> JobView:
        """Queue a job again that failed or was cancelled. Raises NotFound, Conflict in another state, and where the
        file is not kept, and what `file` raises where too many wait."""
        await self.direct.record()

        async def work(connection: AsyncConnection) -> None:
            row = await _locked(connection, id)
            if not row.kept:
                raise Conflict("The file of this request is not kept; send it again.", code="not_kept")
            after(cast(State, row.state), "retry")
            await check_room(connection, 1, self._max_queued)
            quotas, new_audio_s = self.clips.quotas, row.total_s or 0.0
            await quotas.check(connection, row.owner, self._clock(), new_jobs=1, new_audio_s=new_audio_s)
            await jobs.forget_chunks(connection, id)
            await jobs.change_job(
                connection,
                id,
                before("retry"),
                state="queued",
                attempts=0,
                losses=0,
                failures=0,
                not_before=0.0,
                cancel_asked=False,
                done_s=0.0,
                n_segments=0,
                error_code=None,
                error_message=None,
                started_at=None,
                finished_at=None,
            )

        await self.database.write(work)
        self.bell.ring(QUEUE, id)
        return await self.get(id)

    async def delete(self, id: str) -> None:
        """Forget a job and its transcript. Raises NotFound, or Conflict while it runs, or a request waits for it."""
        await self.direct.record()

        async def work(connection: AsyncConnection) -> None:
            row = await _locked(connection, id)
            if row.state == "running" or (not row.kept and row.state not in OVER):
                raise Conflict(f"The job is {row.state}; cancel it first.", code=f"job_{row.state}")
            await jobs.delete_job(connection, id)

        await self.database.write(work)
        self.bell.ring(id)

    async def delete_batch(self, id: str) -> None:
        """Forget a batch and its jobs. Raises NotFound, or Conflict while one of them runs."""

        async def work(connection: AsyncConnection) -> None:
            if await jobs.get_batch(connection, id) is None:
                raise no_job(id)
            if any(row.state == "running" for row in await jobs.jobs_of_batch(connection, id)):
                raise Conflict("A job of the batch is running; cancel it first.", code="job_running")
            await jobs.delete_batch(connection, id)

        await self.database.write(work)

    async def delete_clip(self, clip_id: str) -> None:
        """Forget a clip with its jobs, which are stopped, and transcripts. Raises NotFound."""
        which = JobFilter(clip_id=clip_id, states=("running",))
        running = await self.database.read(lambda c: jobs.page_of_jobs(c, which, after=None, limit=1000))
        await self.clips.delete(clip_id)
        await self._charge(running.items)
        ids = [row.id for row in running.items]
        await self.workers.abandon(ids)
        self.bell.ring(QUEUE, *ids)

    async def _charge(self, stopped: Sequence[JobRow]) -> None:
        """What was worked off of jobs that are deleted before they are done."""
        owned = [row for row in stopped if row.owner is not None]
        if owned and self.clips.quotas.audio_s_per_day:

            async def work(connection: AsyncConnection) -> None:
                for row in owned:
                    await charge(connection, row.owner, row.done_s, self._clock())

            await self.database.write(work)

    # --- results ---

    async def transcript(self, id: str) -> Transcript:
        """What became of a job. Raises NotFound, or Conflict while it is not done."""
        here = self.direct.view(id)
        if here is not None:
            raise _no_transcript(here.row)
        row, found = await self.database.read(lambda c: _with_transcript(c, id))
        if found is not None:
            return await unpack(found, row)
        raise _no_transcript(row)

    async def transcript_of_clip(self, clip_id: str) -> tuple[str, Transcript]:
        """The clip's newest transcript and the job it is of.

        Raises NotFound, or Conflict where there is none yet, but a job for it.
        """

        async def work(c: AsyncConnection) -> tuple[TranscriptRow | None, JobRow | None, JobRow | None]:
            found = await transcripts.transcript_of_clip(c, clip_id)
            job = await jobs.get_job(c, found.job_id) if found is not None else None
            return found, job, (await jobs.latest_jobs(c, [clip_id])).get(clip_id)

        found, job, latest = await self.database.read(work)
        if found is not None and job is not None:
            return job.id, await unpack(found, job)
        if latest is not None and latest.state != "done":
            raise _not_done(latest)
        raise NotFound(
            f"The clip {clip_id!r} has no transcription.", kind="transcription", id=clip_id, code="no_transcription"
        )

    async def delete_transcripts(self, clip_id: str) -> None:
        """Forget the clip's transcripts and their jobs. Raises NotFound where there are none, Conflict while a job for
        the clip is not over."""

        async def work(connection: AsyncConnection) -> int:
            of_clip = (await jobs.page_of_jobs(connection, JobFilter(clip_id=clip_id), after=None, limit=10_000)).items
            busy = next((row for row in of_clip if row.state not in OVER), None)
            if busy is not None:
                raise Conflict(f"{busy.id} is {busy.state}; cancel it first.", code=f"job_{busy.state}")
            for row in of_clip:
                await jobs.delete_job(connection, row.id)
            return sum(row.state == "done" for row in of_clip)

        if not await self.database.write(work):
            raise NotFound(
                f"The clip {clip_id!r} has no transcription.", kind="transcription", id=clip_id, code="no_transcription"
            )


async def _locked(connection: AsyncConnection, id: str) -> JobRow:
    row = await jobs.get_job(connection, id, lock=True)
    if row is None:
        raise no_job(id)
    return row


def _clip_ids(rows: Sequence[JobRow]) -> set[str]:
    return {row.clip_id for row in rows if row.clip_id is not None}


async def with_place(connection: AsyncConnection, id: str) -> tuple[JobRow, int | None]:
    row = await jobs.get_job(connection, id)
    if row is None:
        raise no_job(id)
    return row, await jobs.queue_place(connection, row) if row.state == "queued" else None


async def _with_transcript(connection: AsyncConnection, id: str) -> tuple[JobRow, TranscriptRow | None]:
    row = await jobs.get_job(connection, id)
    if row is None:
        raise no_job(id)
    return row, await transcripts.transcript_of_job(connection, id)


async def unpack(found: TranscriptRow, job: JobRow) -> Transcript:
    """The transcript of a job, read in a thread where it is long."""
    options = decode_options(job.options)
    if len(found.body) < LONG_BYTES:
        return decode_transcript(found.body, options)
    return await asyncio.to_thread(decode_transcript, found.body, options)


def no_job(id: str) -> NotFound:
    """The error for a job or batch that is not there."""
    return NotFound(f"There is no job {id[:64]!r}.", kind="job", id=id, code="no_such_job")


def _no_transcript(row: JobRow) -> NotFound | Conflict:
    if row.state != "done":
        return _not_done(row)
    why = (
        "The job's transcript was deleted." if row.kept else "The transcript went to who asked for it, and is not kept."
    )
    return NotFound(why, kind="transcription", id=row.id, code="no_transcription")


def _not_done(row: JobRow) -> Conflict:
    why = f": {row.error_message}" if row.error_message and row.state == "failed" else "."
    return Conflict(f"There is no transcription yet: {row.id} is {row.state}{why}", code=f"job_{row.state}")
