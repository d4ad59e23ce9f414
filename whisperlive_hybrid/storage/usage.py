"""What clients have of the server: bytes that are stored, jobs that wait, seconds of audio in a day.

Bytes and jobs are counted from their own rows, so that what is deleted is free at once. Audio that was worked off is
written down by client and day, since deleting a job does not undo the work.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from whisperlive_hybrid.storage.tables import clip, job, usage

DAY_S: Final = 86400.0
"""Days are those of UTC, numbered since 1970."""


@dataclass(frozen=True, slots=True)
class Used:
    """What one client has."""

    stored_bytes: int
    queued_jobs: int
    """But those of requests that wait for their answer."""
    audio_s: float
    """Worked off on this day, or waiting to be, as far as its length is known."""
    oldest_at: float | None
    """When the oldest of its clips was made; None: it has none."""


def day_of(now: float) -> int:
    """The day of a time."""
    return int(now // DAY_S)


async def one_at_a_time(connection: AsyncConnection, owners: Iterable[str]) -> None:
    """Until the transaction ends, nobody else counts what these clients have to add to it. SQLite has one writer."""
    if connection.dialect.name == "postgresql":
        for owner in sorted(set(owners)):
            await connection.execute(
                text("SELECT pg_advisory_xact_lock(hashtextextended(:owner, 0))"), {"owner": owner}
            )


async def used_by(connection: AsyncConnection, owner: str, now: float) -> Used:
    """What this client has."""
    of_clips = select(func.coalesce(func.sum(clip.c.size_bytes), 0), func.min(clip.c.created_at))
    size, oldest = (await connection.execute(of_clips.where(clip.c.owner == owner))).one()
    open_jobs = (
        select(job.c.state, job.c.kept, func.count(), func.coalesce(func.sum(job.c.total_s), 0.0))
        .where(job.c.owner == owner, job.c.state.in_(("queued", "running")))
        .group_by(job.c.state, job.c.kept)
    )
    waiting = {(state, kept): (n, seconds) for state, kept, n, seconds in await connection.execute(open_jobs)}
    of_today = select(usage.c.audio_s).where(usage.c.owner == owner, usage.c.day == day_of(now))
    audio_s = (await connection.execute(of_today)).scalar_one_or_none() or 0.0
    return Used(
        stored_bytes=int(size),
        queued_jobs=waiting.get(("queued", True), (0, 0.0))[0],
        audio_s=audio_s + sum(seconds for _, seconds in waiting.values()),
        oldest_at=oldest,
    )


async def charge(connection: AsyncConnection, owner: str | None, audio_s: float, now: float) -> None:
    """So much audio was worked off for a client; None is nobody's."""
    if owner is None or audio_s <= 0:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = dialect.insert(usage).values(owner=owner, day=day_of(now), audio_s=audio_s)
    total = usage.c.audio_s + row.excluded.audio_s
    await connection.execute(row.on_conflict_do_update(index_elements=["owner", "day"], set_={"audio_s": total}))


async def forget_usage(connection: AsyncConnection, before: float) -> None:
    """Forget days of before a time."""
    await connection.execute(delete(usage).where(usage.c.day < day_of(before)))
