"""Statements about clips. Each is given a connection inside a transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from whisperlive_hybrid.storage.paging import insert_rows, like, page
from whisperlive_hybrid.storage.rows import ClipRow, Page
from whisperlive_hybrid.storage.tables import clip, job


@dataclass(frozen=True, slots=True)
class ClipFilter:
    """Which clips a list is of; None is all."""

    name: str | None = None
    """Part of the name."""
    sha256: str | None = None
    job_state: str | None = None
    """With a job in this state; `none` for those without a job."""
    since: float | None = None
    until: float | None = None


async def insert_clip(connection: AsyncConnection, row: ClipRow) -> None:
    """Record a clip."""
    await insert_rows(connection, clip, [row])


async def get_clip(connection: AsyncConnection, id: str) -> ClipRow | None:
    """The clip; None where there is none."""
    row = (await connection.execute(select(clip).where(clip.c.id == id))).first()
    return None if row is None else _clip(row)


async def get_clips(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, ClipRow]:
    """Those of the clips that there are."""
    rows = await connection.execute(select(clip).where(clip.c.id.in_(ids)))
    return {row.id: _clip(row) for row in rows}


async def clip_names(connection: AsyncConnection, ids: Collection[str]) -> dict[str, str]:
    """What those of the clips are called that there are."""
    rows = await connection.execute(select(clip.c.id, clip.c.name).where(clip.c.id.in_(ids)))
    return {id: name for id, name in rows}


async def page_of_clips(
    connection: AsyncConnection, which: ClipFilter, *, after: str | None, limit: int
) -> Page[ClipRow]:
    """Clips, newest first."""
    query = select(clip).where(*_conditions(which))
    return await page(connection, query, clip.c.id, _clip, after=after, limit=limit)


async def delete_clip(connection: AsyncConnection, id: str) -> bool:
    """Forget a clip with its jobs and transcripts; whether it was there."""
    return (await connection.execute(delete(clip).where(clip.c.id == id))).rowcount > 0


async def set_duration(connection: AsyncConnection, id: str, duration_s: float) -> None:
    """What decoding the whole file has found."""
    await connection.execute(update(clip).where(clip.c.id == id).values(duration_s=duration_s))


async def known_clips(connection: AsyncConnection, ids: Sequence[str]) -> set[str]:
    """Those of the ids that are recorded."""
    return set((await connection.execute(select(clip.c.id).where(clip.c.id.in_(ids)))).scalars())


async def clips_before(connection: AsyncConnection, before: float, limit: int) -> list[str]:
    """Clips that were made before a time, without a job that is still to be done, oldest first."""
    busy = exists().where(job.c.clip_id == clip.c.id, job.c.state.in_(("queued", "running")))
    query = select(clip.c.id).where(clip.c.created_at < before, ~busy).order_by(clip.c.created_at).limit(limit)
    return list((await connection.execute(query)).scalars())


def _conditions(which: ClipFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if which.name is not None:
        found.append(clip.c.name.ilike(like(which.name), escape="\\"))
    if which.sha256 is not None:
        found.append(clip.c.sha256 == which.sha256)
    if which.job_state == "none":
        found.append(~exists().where(job.c.clip_id == clip.c.id))
    elif which.job_state is not None:
        found.append(exists().where(job.c.clip_id == clip.c.id, job.c.state == which.job_state))
    if which.since is not None:
        found.append(clip.c.created_at >= which.since)
    if which.until is not None:
        found.append(clip.c.created_at < which.until)
    return found


def _clip(row: Row[Any]) -> ClipRow:
    return ClipRow(**row._mapping)
