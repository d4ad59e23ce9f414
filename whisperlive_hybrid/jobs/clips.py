"""Clips: files that were received whole, checked, synced to the disk and recorded."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from whisperlive_hybrid.audio.files import DecodeLimits, FileInfo, decode_file
from whisperlive_hybrid.audio.samples import seconds
from whisperlive_hybrid.errors import NotFound
from whisperlive_hybrid.jobs.once import Key, once
from whisperlive_hybrid.jobs.quotas import Quotas
from whisperlive_hybrid.storage import clips, jobs
from whisperlive_hybrid.storage.blobs import Blobs
from whisperlive_hybrid.storage.clips import ClipFilter
from whisperlive_hybrid.storage.database import Database
from whisperlive_hybrid.storage.faults import BlobDamaged, StoreFailed
from whisperlive_hybrid.storage.ids import new_id
from whisperlive_hybrid.storage.rows import ClipRow, JobRow, Page

log = logging.getLogger(__name__)


_MEDIA_TYPES: Final = {
    "wav": "audio/wav",
    "w64": "audio/x-w64",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "aac": "audio/aac",
    "aiff": "audio/aiff",
    "amr": "audio/amr",
    "au": "audio/basic",
    "caf": "audio/x-caf",
    "mp4": "audio/mp4",
    "webm": "audio/webm",
    "mpegts": "video/mp2t",
    "asf": "audio/x-ms-wma",
}


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file that has come, and what its sender says of it."""

    path: Path
    size_bytes: int
    name: str
    source_url: str | None = None
    owner: str | None = None
    """The client that it will count for."""


@dataclass(frozen=True, slots=True)
class Checked:
    """An arrival that can be decoded."""

    arrival: Arrival
    sha256: str
    media_type: str
    """By what the file is, not by what was said of it."""
    duration_s: float | None
    """None where neither the file says nor a look at its beginning shows it."""


class Clips:
    """The clips of the server."""

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        limits: DecodeLimits,
        quotas: Quotas | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.database = database
        self.blobs = blobs
        self.quotas = quotas or Quotas()
        self._limits = limits
        self._clock = clock

    async def check(self, arrival: Arrival) -> Checked:
        """Whether a file is audio, and which. Raises UndecodableAudio or TooLarge, as decoding it would."""
        sha256 = await asyncio.to_thread(_sha256, arrival.path)
        info, duration_s = await beginning_of(arrival.path, self._limits)
        return Checked(arrival, sha256, _media_type(info.container), duration_s)

    async def keep(
        self,
        checked: Checked,
        answer: Callable[[AsyncConnection, ClipRow], Awaitable[bytes]],
        key: Key | None = None,
    ) -> tuple[bytes, bool]:
        """Keep a file for good: as `keep_all`, for one."""

        async def answer_one(connection: AsyncConnection, rows: list[ClipRow]) -> bytes:
            return await answer(connection, rows[0])

        return await self.keep_all([checked], answer_one, key)

    async def keep_all(
        self,
        checked: Sequence[Checked],
        answer: Callable[[AsyncConnection, list[ClipRow]], Awaitable[bytes]],
        key: Key | None = None,
    ) -> tuple[bytes, bool]:
        """Keep files for good: when this returns they are synced and recorded, with whatever `answer` does beside it.

        Returns as `once`; where the request was made before, nothing is kept. Raises StoreFailed, DiskFull, Conflict,
        OverLimit.
        """
        now = self._clock()
        rows = [_row(each, self.quotas.owner(each.arrival.owner), now) for each in checked]
        sizes: Counter[str | None] = Counter()
        for row in rows:
            sizes[row.owner] += row.size_bytes
        try:
            for row, each in zip(rows, checked, strict=True):
                await self.blobs.keep(row.id, each.arrival.path)

            async def record(connection: AsyncConnection) -> bytes:
                for owner, size in sizes.items():
                    await self.quotas.check(connection, owner, now, new_bytes=size)
                for row in rows:
                    await clips.insert_clip(connection, row)
                return await answer(connection, rows)

            result, replayed = await once(self.database, key, record, now)
        except StoreFailed:
            # A commit whose answer is lost may have been made: the bytes stay. Without a record they are cleared away.
            raise
        except Exception:
            await self._forget_bytes(*(row.id for row in rows))
            raise
        if replayed:
            await self._forget_bytes(*(row.id for row in rows))
        return result, replayed

    async def get(self, id: str) -> ClipRow:
        """The clip. Raises NotFound."""
        row = await self.database.read(lambda c: clips.get_clip(c, id))
        if row is None:
            raise no_clip(id)
        return row

    async def get_all(self, ids: Sequence[str]) -> dict[str, ClipRow]:
        """The clips by id. Raises NotFound for the first that is not there."""
        found = await self.database.read(lambda c: clips.get_clips(c, ids)) if ids else {}
        for id in ids:
            if id not in found:
                raise no_clip(id)
        return found

    async def names(self, ids: Sequence[str]) -> dict[str, str]:
        """Names of those of the clips that there are."""
        return {id: row.name for id, row in (await self.database.read(lambda c: clips.get_clips(c, ids))).items()}

    async def with_job(self, ids: Sequence[str]) -> dict[str, JobRow]:
        """The newest job of each of these clips that has one."""
        return await self.database.read(lambda c: jobs.latest_jobs(c, ids))

    async def page(self, which: ClipFilter, *, after: str | None, limit: int) -> Page[ClipRow]:
        """Clips, newest first."""
        return await self.database.read(lambda c: clips.page_of_clips(c, which, after=after, limit=limit))

    def content(self, row: ClipRow, start: int, end: int) -> AsyncGenerator[bytes]:
        """Bytes `start` to `end` (exclusive) of the clip. Raises StoreFailed."""
        return self.blobs.read(row.id, start, end)

    async def verify(self, row: ClipRow, file: Path) -> None:
        """Whether a file has the clip's bytes. Raises BlobDamaged."""
        if await asyncio.to_thread(_sha256, file) != row.sha256:
            log.error("the bytes of %s are not those that were stored", row.id)
            raise BlobDamaged("The clip's audio is not what was stored.")

    async def delete(self, id: str) -> None:
        """Forget a clip, its jobs and transcripts. Raises NotFound.

        What is recorded goes first: bytes without a record are cleared away later, a record without bytes is a loss.
        """
        if not await self.database.write(lambda c: clips.delete_clip(c, id)):
            raise no_clip(id)
        await self._forget_bytes(id)

    async def _forget_bytes(self, *ids: str) -> None:
        for id in ids:
            with suppress(StoreFailed):  # logged; the orphan is collected
                await self.blobs.delete(id)


def _row(checked: Checked, owner: str | None, now: float) -> ClipRow:
    arrival = checked.arrival
    return ClipRow(
        id=new_id("clip", now),
        name=arrival.name,
        media_type=checked.media_type,
        size_bytes=arrival.size_bytes,
        sha256=checked.sha256,
        duration_s=checked.duration_s,
        source_url=arrival.source_url,
        created_at=now,
        owner=owner,
    )


def no_clip(id: str) -> NotFound:
    """The error for a clip that is not there."""
    return NotFound(f"There is no clip {id[:64]!r}.", kind="clip", id=id, code="no_such_clip")


async def beginning_of(path: Path, limits: DecodeLimits) -> tuple[FileInfo, float | None]:
    """What a file is, and its seconds of audio, by a look at its beginning; None where that does not show them.

    Raises UndecodableAudio or TooLarge where the beginning cannot be decoded.
    """
    said: list[FileInfo] = []
    heard = 0
    async with aclosing(decode_file(path, limits, on_info=said.append)) as blocks:
        async for block in blocks:
            if heard:
                return said[0], said[0].duration_s
            heard = len(block)
    return said[0], seconds(heard)


def _media_type(container: str) -> str:
    """The media type of a container, by FFmpeg's name for it."""
    return next((kind for part in container.split(",") if (kind := _MEDIA_TYPES.get(part))), "application/octet-stream")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
