"""What is not kept for ever: clips that have grown old, bytes that nobody knows of, keys, webhooks and requests of long
ago."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from sqlalchemy.ext.asyncio import AsyncConnection

from whisperlive_hybrid.errors import HybridError, NotFound
from whisperlive_hybrid.jobs.clips import Clips
from whisperlive_hybrid.jobs.once import KEPT_S
from whisperlive_hybrid.storage import clips, deliveries, direct, jobs
from whisperlive_hybrid.storage.idempotency import forget_keys
from whisperlive_hybrid.storage.usage import forget_usage

log = logging.getLogger(__name__)

FIRST_ROUND_S: Final = 30.0
"""After the start, when others are busy with theirs."""
ROUND_S: Final = 900.0
ORPHANS_EVERY: Final = 24
"""All bytes are listed in every so-manieth round: stores ask for money for that."""
ORPHAN_AGE_S: Final = 3600.0
"""Younger bytes may belong to a clip that is just being recorded."""
WEBHOOKS_KEPT_S: Final = 30 * 86400.0
"""Webhooks that are not owed any more can be looked up, and sent again, for so long."""
USAGE_KEPT_S: Final = 32 * 86400.0
"""Only the day that it is counts."""
AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class Cleared:
    """What a round has done away with."""

    clips: int = 0
    jobs: int = 0
    orphans: int = 0
    requests: int = 0
    """Rows of requests of which nothing else was kept."""


class Retention:
    """`async with Retention(clips, keep_s=…)`: clears away what is too old, now and then. None keeps clips for ever."""

    def __init__(
        self,
        clips: Clips,
        *,
        keep_s: float | None,
        keep_direct_s: float = 3600.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clips = clips
        self._database = clips.database
        self._keep_s = keep_s
        self._keep_direct_s = keep_direct_s
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._rounds(), name="retention")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def clear(self, *, orphans: bool) -> Cleared:
        """One round; `orphans`: look for bytes without a clip, too. Raises StoreFailed."""
        now = self._clock()
        n_clips = n_jobs = 0
        if self._keep_s is not None:
            n_clips = await self._clear_clips(now - self._keep_s)
            n_jobs = await self._clear_jobs(now - self._keep_s)

        async def forget(connection: AsyncConnection) -> None:
            await forget_keys(connection, now - KEPT_S)
            await deliveries.forget_deliveries(connection, now - WEBHOOKS_KEPT_S)
            await jobs.delete_empty_batches(connection, now - KEPT_S)
            await forget_usage(connection, now - USAGE_KEPT_S)

        await self._database.write(forget)
        n_requests = await self._clear_requests(now - self._keep_direct_s)
        return Cleared(n_clips, n_jobs, await self._clear_orphans(now - ORPHAN_AGE_S) if orphans else 0, n_requests)

    async def _clear_requests(self, before: float) -> int:
        """Rows of requests; a few at a time, so that nobody waits long for the database."""
        n_cleared = 0
        while True:
            n = await self._database.write(lambda c: direct.forget_direct(c, before, AT_ONCE))
            n_cleared += n
            if n < AT_ONCE:
                return n_cleared

    async def _clear_clips(self, before: float) -> int:
        """Clips that are too old and have no job to be done."""
        n_cleared = 0
        while True:
            old = await self._database.read(lambda c: clips.clips_before(c, before, AT_ONCE))
            for id in old:
                try:
                    await self._clips.delete(id)
                    n_cleared += 1
                except NotFound:  # somebody else was faster
                    continue
            if len(old) < AT_ONCE:
                return n_cleared

    async def _clear_jobs(self, before: float) -> int:
        """Jobs that never came to have a clip."""

        async def work(connection: AsyncConnection) -> int:
            ids = await jobs.finished_without_clip(connection, before, AT_ONCE)
            for id in ids:
                await jobs.delete_job(connection, id)
            return len(ids)

        return await self._database.write(work)

    async def _clear_orphans(self, before: float) -> int:
        """Bytes that a crash has left without a record."""
        n_cleared = 0
        suspects: list[str] = []

        async def clear() -> int:
            known = await self._database.read(lambda c: clips.known_clips(c, suspects))
            orphans = [id for id in suspects if id not in known]
            for id in orphans:
                await self._clips.blobs.delete(id)
            suspects.clear()
            return len(orphans)

        async for blob in self._clips.blobs.all():
            if blob.modified_at < before:
                suspects.append(blob.id)
            if len(suspects) >= AT_ONCE:
                n_cleared += await clear()
        return n_cleared + (await clear() if suspects else 0)

    async def _rounds(self) -> None:
        await asyncio.sleep(FIRST_ROUND_S)
        number = 0
        while True:
            try:
                cleared = await self.clear(orphans=number % ORPHANS_EVERY == 0)
            except HybridError as error:
                log.warning("what is too old cannot be cleared away now: %s", error.message)
            else:
                if cleared != Cleared():
                    log.info(
                        "%d clips, %d jobs, %d orphans, %d records of requests cleared away",
                        cleared.clips,
                        cleared.jobs,
                        cleared.orphans,
                        cleared.requests,
                    )
            number += 1
            await asyncio.sleep(ROUND_S)
