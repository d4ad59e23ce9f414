"""One job while it is worked on here, from the file to what is recorded of it.

What a window gives is recorded as it comes; a job that is left by a process that died goes on behind the last of them.
Everything recorded carries the lease, so a worker that has lost it (it stood still for long) changes nothing any more.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, TypeAlias

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from whisperlive_hybrid.audio.samples import seconds
from whisperlive_hybrid.errors import DiskFull, HybridError, NotFound
from whisperlive_hybrid.jobs.archive import keep_transcript
from whisperlive_hybrid.jobs.bell import OUTBOX, Bell
from whisperlive_hybrid.jobs.chunk import Chunk
from whisperlive_hybrid.jobs.clips import Arrival, Clips
from whisperlive_hybrid.jobs.fetching import fetch_file
from whisperlive_hybrid.jobs.job import NORMAL
from whisperlive_hybrid.jobs.meter import Meter
from whisperlive_hybrid.jobs.outbox import owed
from whisperlive_hybrid.jobs.pipeline import Pipeline, Turn
from whisperlive_hybrid.jobs.retry import RetryDecision, after_failure, after_loss
from whisperlive_hybrid.jobs.stored import (
    content_key,
    decode_chunks,
    decode_options,
    decode_transcript,
    encode_chunk,
    encode_transcript,
)
from whisperlive_hybrid.jobs.transcript import FileOptions, Progress, Transcript
from whisperlive_hybrid.ops.egress import AllowedHosts
from whisperlive_hybrid.storage import clips, deliveries, jobs, queue, transcripts
from whisperlive_hybrid.storage.faults import StoreFailed
from whisperlive_hybrid.storage.rows import ClipRow, JobRow, TranscriptRow
from whisperlive_hybrid.storage.usage import charge

log = logging.getLogger(__name__)

GATHER_S: Final = 0.03
"""Windows that come so close together are recorded at once; those of a short file with its end."""
_ENDED: Final = {"lease": None, "lease_until": None}

Ending: TypeAlias = Literal["cancelled", "put back", "lost"]


@dataclass(frozen=True, slots=True)
class WorkRules:
    """How jobs are run."""

    lease_s: float
    max_bytes: int
    """Largest file that is fetched from a URL."""
    allowed_hosts: AllowedHosts
    archive: Path | None = None
    """Where transcripts are kept as files, too."""


@dataclass(frozen=True, slots=True)
class WorkRooms:
    """What a job is worked on with."""

    clips: Clips
    pipeline: Pipeline
    bell: Bell
    rules: WorkRules
    clock: Callable[[], float] = time.time


class LeaseLost(Exception):
    """Another has taken the job, or it was deleted."""


class RunningJob:
    """A job that this process holds by `lease`, and works on when it has its `turn`."""

    def __init__(self, row: JobRow, lease: str, rooms: WorkRooms, turn: Turn) -> None:
        self.row = row
        self.lease = lease
        self._turn = turn
        self.meter = Meter()
        self._rooms = rooms
        self._clips = rooms.clips
        self._database = rooms.clips.database
        self._rules = rooms.rules
        self._bell = rooms.bell
        self._clock = rooms.clock
        self._ending: Ending | None = None
        """Why it was stopped; None while it goes on."""
        self._failures = row.failures
        """Faults of ours in a row, until it gets on."""
        self.task: asyncio.Task[None] = asyncio.create_task(self._run(), name=row.id)

    def stop(self, ending: Ending) -> None:
        """End it, as far as this process goes. The first reason counts."""
        if self._ending is None:
            self._ending = ending
            self.task.cancel()

    async def record_chunks(
        self, first: int, chunks: Sequence[Chunk], bodies: Sequence[bytes], n_segments: int
    ) -> None:
        """Record windows, the first of which is number `first`. Raises LeaseLost, StoreFailed."""
        progress = self.meter.progress

        async def work(connection: AsyncConnection) -> None:
            await self._mine(
                connection,
                done_s=seconds(chunks[-1].end),
                total_s=None if progress is None else progress.total_s,
                n_segments=n_segments,
                lease_until=self._clock() + self._rules.lease_s,
                losses=0,
                failures=0,
            )
            await queue.add_chunks(connection, self.row.id, first, bodies)

        await self._database.write(work)
        self._failures = 0
        self._bell.ring(self.row.id)

    async def _mine(self, connection: AsyncConnection, **values: object) -> None:
        """Change the job. Raises LeaseLost, which undoes the transaction."""
        if not await queue.change_leased(connection, self.row.id, self.lease, **values):
            raise LeaseLost

    async def _charge(self, connection: AsyncConnection) -> None:
        """Count what was worked off for the client; nothing where the result was known."""
        progress = self.meter.progress
        if progress is not None and self._clips.quotas.audio_s_per_day:
            await charge(connection, self.row.owner, progress.done_s, self._clock())

    async def _run(self) -> None:
        """Run a job to one of its ends. Raises nothing: what goes wrong is recorded, or logged and tried again."""
        try:
            try:
                await self._work()
            except asyncio.CancelledError:
                await asyncio.shield(asyncio.ensure_future(self._stopped()))
            except LeaseLost:
                log.warning("%s is worked on by another process now", self.row.id)
            except Exception as error:
                if not isinstance(error, HybridError):
                    log.exception("%s failed", self.row.id)
                await self._failed(after_failure(error, self._failures + 1))
        except (StoreFailed, DiskFull) as error:
            log.warning("what became of %s cannot be recorded; it will be run again: %s", self.row.id, error.message)
        except Exception:
            log.exception("what became of %s cannot be recorded; it will be run again", self.row.id)

    async def _work(self) -> None:
        decision = after_loss(self.row.losses)
        if decision is not None:
            await self._failed(decision)
            return
        clip = await self._clip_of()
        options = decode_options(self.row.options)
        done = await self._same(options)
        if done is None:
            bodies = await self._database.read(lambda c: jobs.chunks_of(c, self.row.id))
            done = await self._transcribe(clip, options, decode_chunks(bodies))
        await self._finish(clip, done)

    async def _clip_of(self) -> ClipRow:
        """The clip of a job, fetched if need be."""
        row = self.row
        if row.clip_id is None:
            return await self._fetch()
        clip_id = row.clip_id
        clip = await self._database.read(lambda c: clips.get_clip(c, clip_id))
        if clip is None:
            raise NotFound("The clip was deleted.", kind="clip", id=clip_id, code="no_such_clip")
        return clip

    async def _fetch(self) -> ClipRow:
        url, rules = self.row.source_url or "", self._rules
        kept: list[ClipRow] = []

        async def record(connection: AsyncConnection, clip: ClipRow) -> bytes:
            key = content_key(clip.sha256, decode_options(self.row.options), self.row.model)
            # How long it is was not known when the job was filed, nor that of others which were filed with it.
            quotas, seconds_more = self._clips.quotas, clip.duration_s or 0.0
            await quotas.check(connection, self.row.owner, self._clock(), new_audio_s=seconds_more)
            await self._mine(connection, clip_id=clip.id, content_key=key, total_s=clip.duration_s)
            kept.append(clip)
            return b""

        blobs = self._clips.blobs
        async with fetch_file(url, blobs.staging, rules.max_bytes, rules.allowed_hosts, floor=blobs.floor) as fetched:
            arrival = Arrival(fetched.file.path, fetched.file.size, fetched.name, url, self.row.owner)
            await self._clips.keep(await self._clips.check(arrival), record)
        key = content_key(kept[-1].sha256, decode_options(self.row.options), self.row.model)
        self.row = replace(self.row, clip_id=kept[-1].id, content_key=key)
        return kept[-1]

    async def _same(self, options: FileOptions) -> Transcript | None:
        """What the same audio gave with the same options before; None where that is not known, or not wanted."""
        key = self.row.content_key
        if self.row.fresh or key is None:
            return None
        found = await self._database.read(lambda c: transcripts.transcript_by_content(c, key))
        return None if found is None else decode_transcript(found.body, options)

    async def _transcribe(self, clip: ClipRow, options: FileOptions, chunks: Sequence[Chunk]) -> Transcript:
        record = _Recording(self, chunks)

        def note(progress: Progress) -> None:
            self.meter.note(progress)
            self._bell.ring(self.row.id)

        async with self._clips.blobs.local_file(clip.id, clip.size_bytes) as path:
            await self._clips.verify(clip, path)
            work = asyncio.create_task(
                self._rooms.pipeline.transcribe(
                    path,
                    options,
                    on_progress=note,
                    on_chunk=record.add,
                    chunks=chunks,
                    turn=self._turn,
                    background=self.row.priority <= NORMAL,
                ),
                name=f"{self.row.id} transcription",
            )
            try:
                await record.until(work)
                return work.result()
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)

    async def _finish(self, clip: ClipRow, done: Transcript) -> None:
        now = self._clock()
        # Hours of words take longer to write out than anybody else should wait.
        body = await asyncio.to_thread(encode_transcript, done)
        owes = await asyncio.to_thread(owed, self.row, "done", now, transcript=done)

        async def work(connection: AsyncConnection) -> None:
            await self._mine(
                connection,
                **_ENDED,
                state="done",
                done_s=done.duration_s,
                total_s=done.duration_s,
                n_segments=len(done.segments),
                finished_at=now,
                error_code=None,
                error_message=None,
            )
            await jobs.forget_chunks(connection, self.row.id)
            row = TranscriptRow(self.row.id, clip.id, done.text, body, now)
            await transcripts.insert_transcript(connection, row)
            await clips.set_duration(connection, clip.id, done.duration_s)
            await self._charge(connection)
            await deliveries.insert_deliveries(connection, owes)

        try:
            await self._database.write(work)
        except IntegrityError:  # the clip was deleted, and the job with it
            log.info("%s was deleted while it ran", self.row.id)
            return
        since_filed = now - self.row.created_at
        log.info("%s is done: %.1f s of audio, %.1f s after it was filed", self.row.id, done.duration_s, since_filed)
        self._bell.ring(OUTBOX, self.row.id)
        await keep_transcript(self._rules.archive, done, clip.name)

    async def _failed(self, decision: RetryDecision) -> None:
        now = self._clock()

        async def work(connection: AsyncConnection) -> None:
            told = {"error_code": decision.code, "error_message": decision.message}
            if decision.delay_s is not None:
                again = now + decision.delay_s
                await self._mine(
                    connection, **_ENDED, **told, state="queued", not_before=again, failures=self._failures + 1
                )
                return
            log.warning("%s has failed: %s", self.row.id, decision.message)
            await self._mine(connection, **_ENDED, **told, state="failed", finished_at=now)
            await self._charge(connection)
            await jobs.forget_chunks(connection, self.row.id)
            error = {"code": decision.code, "message": decision.message}
            await deliveries.insert_deliveries(connection, owed(self.row, "failed", now, error=error))

        with suppress(LeaseLost):
            await self._database.write(work)
        self._bell.ring(OUTBOX, self.row.id)

    async def _stopped(self) -> None:
        now = self._clock()

        async def work(connection: AsyncConnection) -> None:
            if self._ending == "cancelled":
                await self._mine(connection, **_ENDED, state="cancelled", finished_at=now)
                await self._charge(connection)
                await jobs.forget_chunks(connection, self.row.id)
                await deliveries.insert_deliveries(connection, owed(self.row, "cancelled", now))
            elif self._ending == "put back":
                await self._mine(connection, **_ENDED, state="queued", attempts=self.row.attempts - 1)

        with suppress(LeaseLost):
            await self._database.write(work)
        self._bell.ring(OUTBOX, self.row.id)


class _Recording:
    """Writes down what windows give, as it comes, in the order in which it comes."""

    def __init__(self, job: RunningJob, chunks: Sequence[Chunk]) -> None:
        self._job = job
        self._n_chunks = len(chunks)
        self._n_segments = sum(len(chunk.segments) for chunk in chunks)
        self._waiting: list[Chunk] = []
        self._more = asyncio.Event()

    def add(self, chunk: Chunk) -> None:
        """One more window."""
        self._waiting.append(chunk)
        self._more.set()

    async def until(self, work: asyncio.Task[Transcript]) -> None:
        """Write until `work` has ended. What it gave last needs no writing: the end is recorded with all of it."""
        work.add_done_callback(lambda _: self._more.set())
        while not work.done():
            await self._more.wait()
            self._more.clear()
            await asyncio.wait([work], timeout=GATHER_S)
            if not work.done() and self._waiting:
                await self._write()

    async def _write(self) -> None:
        new, self._waiting = self._waiting, []
        bodies = [encode_chunk(chunk) for chunk in new]
        n_segments = self._n_segments + sum(len(chunk.segments) for chunk in new)
        await self._job.record_chunks(self._n_chunks, new, bodies, n_segments)
        self._n_chunks += len(new)
        self._n_segments = n_segments
