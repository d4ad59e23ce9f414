"""The queue: the table of jobs, taken from by leases.

Who takes a job has it until `lease_until`, and says so again and again while he works. Everything that is written about
a running job carries the lease; a job whose lease has run out may be taken by another, and what the first one writes
then changes nothing. What is not kept is never taken: it belongs to a request (`direct.py`). On PostgreSQL takers pass
over rows that others are just taking (FOR UPDATE SKIP LOCKED); SQLite has one writer at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import and_, case, exists, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from whisperlive_hybrid.storage.jobs import to_job
from whisperlive_hybrid.storage.rows import JobRow
from whisperlive_hybrid.storage.tables import chunk, delivery, job


async def take_job(
    connection: AsyncConnection,
    *,
    lease: str,
    now: float,
    until: float,
    above: int | None = None,
    wait_after_loss: Callable[[int], float] = lambda _: 0.0,
) -> JobRow | None:
    """The next job that is due, taken; None where none is. `above`: only those of a higher priority.

    One that was begun by a process which died goes first, then the highest priority, then the oldest.
    `wait_after_loss`: how long one waits that was left so many times in a row.

    A job waits while an equal one runs, unless it is to be computed in any case: it will find that one's result.
    """
    twin = job.alias("twin")
    runs_elsewhere = exists().where(
        twin.c.content_key == job.c.content_key,
        twin.c.state == "running",
        twin.c.id != job.c.id,
        twin.c.lease_until >= now,
    )
    alone = or_(job.c.fresh, ~runs_elsewhere)
    # Those that were begun go first. One state at a time: a long queue is then read from its head, by the index.
    for lost, due in (
        (True, and_(job.c.state == "running", job.c.lease_until < now)),
        (False, and_(job.c.state == "queued", job.c.not_before <= now)),
    ):
        next_one = (
            select(job.c.id)
            .where(due, job.c.kept, alone, *(() if above is None else (job.c.priority > above,)))
            .order_by(job.c.priority.desc(), job.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        while (id := (await connection.execute(next_one)).scalar()) is not None:
            row = await _taken(connection, id, lease, now, until)
            wait_s = wait_after_loss(row.losses) if lost else 0.0
            if not wait_s:
                return row
            waits = {"state": "queued", "lease": None, "lease_until": None, "not_before": now + wait_s}
            await change_leased(connection, id, lease, **waits, attempts=row.attempts - 1)
    return None


async def _taken(connection: AsyncConnection, id: str, lease: str, now: float, until: float) -> JobRow:
    """The job, taken."""
    taken = await connection.execute(
        update(job)
        .where(job.c.id == id)
        .values(
            state="running",
            lease=lease,
            lease_until=until,
            attempts=job.c.attempts + 1,
            losses=job.c.losses + case((job.c.state == "running", 1), else_=0),
            started_at=case((job.c.started_at.is_(None), now), else_=job.c.started_at),
        )
        .returning(job)
    )
    return to_job(taken.one())


async def next_due(connection: AsyncConnection, now: float) -> float | None:
    """When the next job is due of those that are not yet: one that waits, or one whose lease may run out."""
    waiting = select(job.c.not_before).where(job.c.state == "queued", job.c.kept, job.c.not_before > now)
    running = select(job.c.lease_until).where(job.c.state == "running", job.c.kept)
    found = [
        (await connection.execute(query.order_by(query.selected_columns[0]).limit(1))).scalar()
        for query in (waiting, running)
    ]
    times = [at for at in found if at is not None]
    return min(times) if times else None


async def change_leased(connection: AsyncConnection, id: str, lease: str, /, **values: Any) -> bool:
    """Set these columns of a job that is run under `lease`; False: it is no longer."""
    mine = and_(job.c.id == id, job.c.lease == lease, job.c.state == "running")
    return (await connection.execute(update(job).where(mine).values(**values))).rowcount > 0


async def extend_leases(connection: AsyncConnection, leases: Sequence[str], until: float) -> dict[str, bool]:
    """Keep jobs; for each lease that still holds, whether the job is to be cancelled."""
    kept = await connection.execute(
        update(job)
        .where(job.c.lease.in_(leases), job.c.state == "running")
        .values(lease_until=until)
        .returning(job.c.lease, job.c.cancel_asked)
    )
    return {lease: bool(asked) for lease, asked in kept}


async def cancels_asked(connection: AsyncConnection, leases: Sequence[str]) -> dict[str, bool]:
    """As `extend_leases`, with nothing written."""
    rows = await connection.execute(
        select(job.c.lease, job.c.cancel_asked).where(job.c.lease.in_(leases), job.c.state == "running")
    )
    return {lease: bool(asked) for lease, asked in rows}


async def add_chunks(connection: AsyncConnection, job_id: str, first: int, bodies: Sequence[bytes]) -> None:
    """Record what windows of a job have given. The caller has made sure of the lease in the same transaction."""
    await connection.execute(
        insert(chunk), [{"job_id": job_id, "number": first + i, "body": body} for i, body in enumerate(bodies)]
    )


async def void_leases(connection: AsyncConnection) -> None:
    """Nobody holds a job or a webhook any more: who did is dead. They are due at once."""
    held = job.c.state.in_(("queued", "running"))
    await connection.execute(update(job).where(held, job.c.lease.is_not(None)).values(lease_until=0.0))
    await connection.execute(update(delivery).where(delivery.c.lease.is_not(None)).values(lease=None, lease_until=None))
