"""Statements about jobs of which nothing is kept but their row: those of requests that wait for their answer.

The process that has the request says now and then, by a lease, that it lives. What one that died has left is failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from whisperlive_hybrid.storage.jobs import insert_jobs
from whisperlive_hybrid.storage.rows import JobRow
from whisperlive_hybrid.storage.tables import job

INTERRUPTED: Final = "interrupted"
_OPEN: Final = ("queued", "running")
_OVER: Final = ("done", "failed", "cancelled")
_CHANGING: Final = (
    "state",
    "attempts",
    "lease",
    "lease_until",
    "done_s",
    "total_s",
    "n_segments",
    "error_code",
    "error_message",
    "started_at",
    "finished_at",
)


async def record_direct(
    connection: AsyncConnection, lease: str, new: Sequence[JobRow], known: Sequence[JobRow], *, unsure: bool = False
) -> None:
    """Write rows that are not there yet, and what has become of others, which `lease` holds. `unsure`: some of the new
    ones may be there all the same."""
    there: set[str] = set()
    if unsure:
        there = set((await connection.execute(select(job.c.id).where(job.c.id.in_([r.id for r in new])))).scalars())
    await insert_jobs(connection, [row for row in new if row.id not in there])
    for row in (*known, *(row for row in new if row.id in there)):
        mine = (job.c.id == row.id, job.c.lease == lease, job.c.state.in_(_OPEN))
        await connection.execute(update(job).where(*mine).values({name: getattr(row, name) for name in _CHANGING}))


async def extend_direct(connection: AsyncConnection, lease: str, until: float) -> None:
    """The process that `lease` names lives."""
    await connection.execute(update(job).where(job.c.lease == lease, job.c.state.in_(_OPEN)).values(lease_until=until))


async def ask_cancel(connection: AsyncConnection, id: str) -> None:
    """Whoever has the request is to give it up."""
    await connection.execute(update(job).where(job.c.id == id, job.c.state.in_(_OPEN)).values(cancel_asked=True))


async def cancels_of_direct(connection: AsyncConnection, lease: str) -> list[str]:
    """Jobs that this process has and that are to be cancelled."""
    mine = (job.c.lease == lease, job.c.state.in_(_OPEN), job.c.cancel_asked)
    return list((await connection.execute(select(job.c.id).where(*mine))).scalars())


async def fail_lost(connection: AsyncConnection, now: float) -> int:
    """End the jobs of processes that have not been heard of; how many there were."""
    lost = (job.c.kept.is_(False), job.c.state.in_(_OPEN), job.c.lease_until < now)
    ended = await connection.execute(
        update(job)
        .where(*lost)
        .values(
            state="failed",
            error_code=INTERRUPTED,
            error_message="The server ended while it worked on this request.",
            lease=None,
            lease_until=None,
            finished_at=now,
        )
    )
    return ended.rowcount


async def forget_direct(connection: AsyncConnection, before: float, limit: int) -> int:
    """Delete rows of before a time that are over, so many at most; how many there were."""
    old = select(job.c.id).where(job.c.created_at < before, job.c.kept.is_(False), job.c.state.in_(_OVER)).limit(limit)
    return (await connection.execute(delete(job).where(job.c.id.in_(old)))).rowcount
