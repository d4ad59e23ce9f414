"""Takes jobs from the queue, as many at once as may run, and keeps them while they do.

Beside these, jobs of more than normal priority, for which somebody waits, may take half of the turns of requests: so
they need not wait for the end of others, and requests always have turns that no job takes.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from sqlalchemy.ext.asyncio import AsyncConnection

from whisperlive_hybrid.errors import DiskFull, HybridError
from whisperlive_hybrid.jobs.bell import OUTBOX, QUEUE
from whisperlive_hybrid.jobs.job import NORMAL
from whisperlive_hybrid.jobs.outbox import owed
from whisperlive_hybrid.jobs.pipeline import Turn
from whisperlive_hybrid.jobs.retry import wait_after_loss
from whisperlive_hybrid.jobs.running_job import Ending, RunningJob, WorkRooms
from whisperlive_hybrid.jobs.transcript import Progress
from whisperlive_hybrid.storage import deliveries, jobs, queue
from whisperlive_hybrid.storage.faults import StoreFailed
from whisperlive_hybrid.storage.rows import JobRow

log = logging.getLogger(__name__)

KEEP_EVERY: Final = 3
"""Leases are extended so many times in their length."""
CANCEL_POLL_S: Final = 1.0
"""How often a worker looks for cancels that another process has recorded."""
IDLE_POLL_S: Final = 2.0
"""How often an idle worker looks for jobs that another process has queued."""


class Workers:
    """`async with Workers(rooms, max_running=4) as workers`: takes jobs as soon as the engine is ready."""

    def __init__(self, rooms: WorkRooms, *, max_running: int) -> None:
        self._rooms = rooms
        self._database = rooms.clips.database
        self._bell = rooms.bell
        self._clock = rooms.clock
        self._lease_s = rooms.rules.lease_s
        self._running: dict[str, RunningJob] = {}
        self._max_running = max_running
        self._takers: list[asyncio.Task[None]] = []
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._takers = [asyncio.create_task(self._take_jobs("job", self._max_running), name="take jobs")]
        if self._max_running > 1:
            urgent = self._take_jobs("urgent job", self._max_running // 2)
            self._takers.append(asyncio.create_task(urgent, name="take urgent jobs"))
        self._keeper = asyncio.create_task(self._keep_leases(), name="keep jobs")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.put_back()
        await self._end([] if self._keeper is None else [self._keeper])

    async def put_back(self) -> None:
        """Take no more jobs, and put those that run back into the queue, to be gone on with by another process."""
        await self._end(self._takers)
        await self._stop(list(self._running), "put back")

    async def drain(self) -> None:
        """Take no more jobs; return when none runs."""
        await self._end(self._takers)
        while self._running:
            await asyncio.wait([job.task for job in self._running.values()])

    def progress(self, job_id: str) -> Progress | None:
        """How far a job is that is worked on here; None for others."""
        job = self._running.get(job_id)
        return None if job is None else job.meter.progress

    def pace(self, job_id: str) -> float | None:
        """Seconds of audio a second for a job that is worked on here; None while that is unknown."""
        job = self._running.get(job_id)
        return None if job is None else job.meter.pace

    async def cancel(self, job_id: str) -> None:
        """Stop a job that was asked to be cancelled, if it is worked on here, and return when it has stopped."""
        await self._stop([job_id], "cancelled")

    async def abandon(self, job_ids: list[str]) -> None:
        """Stop jobs that are deleted."""
        await self._stop(job_ids, "lost")

    async def record_cancel(self, connection: AsyncConnection, row: JobRow) -> None:
        """That a job which nobody works on is cancelled, and the webhook for that."""
        now = self._clock()
        await jobs.change_job(connection, row.id, ["queued"], state="cancelled", cancel_asked=True, finished_at=now)
        await jobs.forget_chunks(connection, row.id)
        await deliveries.insert_deliveries(connection, owed(row, "cancelled", now))

    # --- the queue ---

    async def _take_jobs(self, turn: Turn, most: int) -> None:
        free = asyncio.Semaphore(most)
        try:
            await self._rooms.pipeline.engine.ready()
        except HybridError:
            return  # the server ends with it
        with self._bell.listen(QUEUE) as listener:
            while True:
                await free.acquire()
                taking = asyncio.ensure_future(self._take(turn, free))
                try:
                    taken = await asyncio.shield(taking)
                except asyncio.CancelledError:
                    await taking  # or a job would be held by nobody
                    raise
                if not taken:
                    free.release()
                    await listener.wait(await self._until_due())

    async def _take(self, turn: Turn, free: asyncio.Semaphore) -> bool:
        """Take a job and begin it; whether there was one."""
        above = NORMAL if turn == "urgent job" else None
        lease, now = secrets.token_hex(16), self._clock()
        try:
            row = await self._database.write(
                lambda c: queue.take_job(
                    c, lease=lease, now=now, until=now + self._lease_s, above=above, wait_after_loss=wait_after_loss
                )
            )
        except (StoreFailed, DiskFull):
            return False  # logged there
        if row is None:
            return False
        job = self._running[row.id] = RunningJob(row, lease, self._rooms, turn)
        job.task.add_done_callback(lambda _: self._ended(job, free))
        return True

    def _ended(self, job: RunningJob, free: asyncio.Semaphore) -> None:
        if self._running.get(job.row.id) is job:
            del self._running[job.row.id]
        free.release()
        self._bell.ring(QUEUE, OUTBOX, job.row.id)  # equal jobs waited for this one

    async def _until_due(self) -> float:
        now = self._clock()
        try:
            due = await self._database.read(lambda c: queue.next_due(c, now))
        except StoreFailed:
            return IDLE_POLL_S
        return IDLE_POLL_S if due is None else min(max(due - now, 0.02), IDLE_POLL_S)

    async def _keep_leases(self) -> None:
        extended = time.monotonic()
        while True:
            await asyncio.sleep(min(CANCEL_POLL_S, self._lease_s / KEEP_EVERY))
            now = time.monotonic()
            extend = now - extended >= self._lease_s / KEEP_EVERY
            if not self._running:
                continue
            with suppress(StoreFailed, DiskFull):
                await self._look_after({job.lease: job for job in self._running.values()}, extend)
                extended = now if extend else extended

    async def _look_after(self, running: dict[str, RunningJob], extend: bool) -> None:
        until = self._clock() + self._lease_s
        held = await (
            self._database.write(lambda c: queue.extend_leases(c, list(running), until))
            if extend
            else self._database.read(lambda c: queue.cancels_asked(c, list(running)))
        )
        for lease, job in running.items():
            if held.get(lease, True):
                job.stop("cancelled" if lease in held else "lost")

    async def _stop(self, job_ids: list[str], ending: Ending) -> None:
        stopped = [job for id in job_ids if (job := self._running.get(id)) is not None]
        for job in stopped:
            job.stop(ending)
        if stopped:
            await asyncio.wait([job.task for job in stopped])

    @staticmethod
    async def _end(tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
