"""Jobs of requests that wait for their answer: as others in the table, but of which nothing else is kept.

A request is worked on at once, and what becomes of it is written down beside that: its row is first written a moment
after it began, so a short one is written once, when it is over; and where the database cannot be written it is worked
on all the same. Until its end is recorded this process knows more of it than the table does, and is asked first.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import TracebackType
from typing import Final, Self, cast

from sqlalchemy.ext.asyncio import AsyncConnection

from whisperlive_hybrid.errors import Conflict, DiskFull, HybridError, Refused
from whisperlive_hybrid.jobs.bell import Bell
from whisperlive_hybrid.jobs.job import HIGH, OVER, State, after
from whisperlive_hybrid.jobs.meter import Meter
from whisperlive_hybrid.jobs.quotas import Quotas
from whisperlive_hybrid.jobs.retry import after_failure
from whisperlive_hybrid.jobs.transcript import Progress
from whisperlive_hybrid.jobs.view import JobView, view_of
from whisperlive_hybrid.storage import direct
from whisperlive_hybrid.storage.database import Database
from whisperlive_hybrid.storage.faults import StoreFailed
from whisperlive_hybrid.storage.rows import JobRow
from whisperlive_hybrid.storage.usage import charge

log = logging.getLogger(__name__)

GATHER_S: Final = 0.25
"""What happens so close together is written at once."""
AGAIN_S: Final = 30.0
"""After this the database is tried again that could not be written."""
MOST_UNWRITTEN: Final = 1000
"""Requests that are over and wait to be recorded; of more the oldest are forgotten."""
CANCEL_POLL_S: Final = 1.0
"""How often it is looked for cancels that another process has recorded."""
KEEP_EVERY: Final = 3
"""Leases are extended so many times in their length."""


class DirectJob:
    """A request's job while this process has it."""

    def __init__(self, row: JobRow, changed: Callable[[DirectJob], None], clock: Callable[[], float]) -> None:
        self.row = row
        self.meter = Meter()
        self.task = asyncio.current_task()
        self.cancelled = False
        """Somebody asked for it to be cancelled by its id."""
        self.over = asyncio.Event()
        self.written = False
        """There is a row of it in the table."""
        self.changed = True
        """The table does not say what it is now."""
        self._tell = changed
        self._clock = clock

    def change(self, **values: object) -> None:
        """These columns are so now."""
        self.row = replace(self.row, **values)  # type: ignore[arg-type]
        self.changed = True
        if self.row.state in OVER:
            self.over.set()
        self._tell(self)

    def begin(self) -> None:
        """Its turn has come."""
        self.change(state="running", attempts=1, started_at=self._clock())

    def note(self, progress: Progress) -> None:
        """It is so far now; which is written down now and then."""
        self.meter.note(progress)
        self._tell(self)

    def count(self, n_segments: int) -> None:
        """So many more segments are told."""
        self.row = replace(self.row, n_segments=self.row.n_segments + n_segments)


class DirectJobs:
    """`async with DirectJobs(database, bell, lease_s=…)`: the requests that this process works on, as jobs.

    `keep`: rows are written; else requests are only known while they are worked on.
    """

    def __init__(
        self,
        database: Database,
        bell: Bell,
        *,
        lease_s: float,
        keep: bool = True,
        quotas: Quotas | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._bell = bell
        self._lease_s = lease_s
        self._keep = keep
        self._quotas = quotas or Quotas()
        self._clock = clock
        self._lease = secrets.token_hex(16)
        """One for all of them: they end with this process."""
        self._jobs: dict[str, DirectJob] = {}
        self._heard: list[tuple[str, float]] = []
        """Seconds of audio that were worked off for clients, to be recorded."""
        self._news = asyncio.Event()
        self._recording: asyncio.Task[bool] | None = None
        self._failing = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self._fail_lost()
        self._tasks = [
            asyncio.create_task(self._record_news(), name="record requests"),
            asyncio.create_task(self._keep_leases(), name="keep requests"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.record()

    # --- work ---

    @contextmanager
    def open(self, id: str, route: str, model: str, client: str | None = None) -> Iterator[DirectJob]:
        """The work of the block is the job `id`. How the block ends is how the job does; cancelling the caller cancels
        the job. Raises Conflict when the job is cancelled by its id."""
        row = replace(_row(id, route, model, self._lease, self._clock()), owner=self._quotas.owner(client))
        job = self._jobs[id] = DirectJob(row, self._changed, self._clock)
        self._changed(job)
        task = job.task
        cancelling = 0 if task is None else task.cancelling()
        ended: dict[str, object] = {}
        try:
            yield job
            ended = {"state": "done"}
        except asyncio.CancelledError:
            ended = {"state": "cancelled"}
            # As asyncio.timeout has it: where nobody but us has cancelled the task, it goes on.
            if job.cancelled and task is not None and task.uncancel() <= cancelling:
                raise Conflict(f"{id} was cancelled.", code="job_cancelled") from None
            raise
        except Exception as error:
            # What is turned away at once leaves no trace: a server that is full has enough to write.
            if job.written or job.row.state != "queued" or not isinstance(error, Refused):
                decision = after_failure(error, attempts=1)
                ended = {"state": "failed", "error_code": decision.code, "error_message": decision.message}
            raise
        finally:
            if ended and job.meter.progress is not None:
                progress = job.meter.progress
                ended |= {"done_s": progress.done_s, "total_s": progress.total_s}
                self._charge(row.owner, progress.done_s)
            if ended:
                job.change(**ended, lease=None, lease_until=None, finished_at=self._clock())
            if not ended or not self._keep:
                job.over.set()
                del self._jobs[id]
            self._bell.ring(id)

    def _charge(self, owner: str | None, audio_s: float) -> None:
        if owner is not None and self._quotas.audio_s_per_day:
            self._heard.append((owner, audio_s))
            self._news.set()

    def knows(self, id: str) -> bool:
        """Whether this process has the job, or has yet to record how it ended."""
        return id in self._jobs

    def view(self, id: str) -> JobView | None:
        """The job as it is now; None where this process does not have it."""
        job = self._jobs.get(id)
        if job is None:
            return None
        place = None
        if job.row.state == "queued":
            before = itertools.takewhile(lambda other: other is not job, self._jobs.values())
            place = sum(other.row.state == "queued" for other in before)
        return view_of(job.row, self, place)

    def progress(self, job_id: str) -> Progress | None:
        """How far a job of this process is; None for others."""
        job = self._jobs.get(job_id)
        return None if job is None else job.meter.progress

    def pace(self, job_id: str) -> float | None:
        """Seconds of audio a second for a job of this process; None while that is unknown."""
        job = self._jobs.get(job_id)
        return None if job is None else job.meter.pace

    async def cancel(self, id: str) -> JobView:
        """Cancel a job that this process has, and return when it has stopped. Raises Conflict when it is over."""
        job = self._jobs[id]
        after(cast(State, job.row.state), "cancel")
        self._stop(job)
        await job.over.wait()
        return view_of(job.row, self)

    # --- inside ---

    def _stop(self, job: DirectJob) -> None:
        if job.row.state not in OVER and not job.cancelled and job.task is not None:
            job.cancelled = True
            job.task.cancel()

    def _changed(self, job: DirectJob) -> None:
        self._bell.ring(job.row.id)
        if job.changed:
            self._news.set()

    # --- the table ---

    async def record(self) -> bool:
        """Write down what is not written yet; False where that cannot be done now. It is done, too, where its caller is
        cancelled meanwhile."""
        before = self._recording
        if before is not None:
            await asyncio.wait([before])
        if self._recording is before or self._recording is None:
            self._recording = asyncio.create_task(self._record(), name="record requests now")
        return await asyncio.shield(self._recording)

    async def _record(self) -> bool:
        self._news.clear()
        todo = [(job, job.row) for job in self._jobs.values() if job.changed and self._keep]
        heard, self._heard = self._heard, []
        if not todo and not heard:
            return True
        until = self._clock() + self._lease_s
        new = [_held(row, until) for job, row in todo if not job.written]
        known = [_held(row, until) for job, row in todo if job.written]
        for job, _ in todo:
            job.changed = False  # what changes while it is written is written again
        unsure = self._failing  # a connection may break after all was committed

        async def work(connection: AsyncConnection) -> None:
            await direct.record_direct(connection, self._lease, new, known, unsure=unsure)
            for owner, audio_s in sorted(heard):  # so that no two processes wait for each other
                await charge(connection, owner, audio_s, self._clock())

        try:
            await self._database.write(work)
        except (StoreFailed, DiskFull) as error:
            self._heard = [*heard, *self._heard][-MOST_UNWRITTEN:]
            self._could_not(error, [job for job, _ in todo])
            return False
        if self._failing:
            self._failing = False
            log.info("what becomes of requests is recorded again")
        for job, row in todo:
            job.written = True
            if row.state in OVER:
                self._jobs.pop(row.id, None)
        return True

    def _could_not(self, error: HybridError, jobs: Sequence[DirectJob]) -> None:
        if not self._failing:
            self._failing = True
            log.warning("requests are answered, but what becomes of them cannot be recorded: %s", error.message)
        for job in jobs:
            job.changed = True
        over = [id for id, job in self._jobs.items() if job.row.state in OVER and not job.written]
        for id in over[: max(0, len(over) - MOST_UNWRITTEN)]:
            del self._jobs[id]

    async def _record_news(self) -> None:
        while True:
            await self._news.wait()
            await asyncio.sleep(GATHER_S)
            if not await self.record():
                await asyncio.sleep(AGAIN_S)

    async def _keep_leases(self) -> None:
        extended = time.monotonic()
        while True:
            await asyncio.sleep(min(CANCEL_POLL_S, self._lease_s / KEEP_EVERY))
            now = time.monotonic()
            if now - extended >= self._lease_s / KEEP_EVERY:
                extended = now
                await self._extend()
                await self._fail_lost()
            if self._open_rows():
                with suppress(StoreFailed, DiskFull):
                    asked = await self._database.read(lambda c: direct.cancels_of_direct(c, self._lease))
                    for job in (self._jobs[id] for id in asked if id in self._jobs):
                        self._stop(job)

    async def _extend(self) -> None:
        """Say that this process lives, and how far its requests are."""
        if not self._open_rows():
            return
        for job in self._open_rows():
            progress = job.meter.progress
            if progress is not None and progress.stage != "decoding":
                job.change(done_s=progress.done_s, total_s=progress.total_s)
        until = self._clock() + self._lease_s
        with suppress(StoreFailed, DiskFull):
            await self._database.write(lambda c: direct.extend_direct(c, self._lease, until))

    async def _fail_lost(self) -> None:
        now = self._clock()
        with suppress(StoreFailed, DiskFull):
            n_lost = await self._database.write(lambda c: direct.fail_lost(c, now))
            if n_lost:
                log.warning("%d requests were left unanswered by a server that ended", n_lost)

    def _open_rows(self) -> list[DirectJob]:
        return [job for job in self._jobs.values() if job.written and job.row.state not in OVER]


def _held(row: JobRow, until: float) -> JobRow:
    return row if row.state in OVER else replace(row, lease_until=until)


def _row(id: str, route: str, model: str, lease: str, now: float) -> JobRow:
    """A job that has just come. What was asked for may tell what is said in the file, and is not kept."""
    return JobRow(
        id=id,
        batch_id=None,
        clip_id=None,
        source_url=None,
        route=route,
        kept=False,
        options=b"{}",
        model=model,
        content_key=None,
        fresh=False,
        callback_url=None,
        priority=HIGH,
        lease=lease,
        created_at=now,
    )
