"""Statements about jobs as their owners see them. What workers do with the queue is in `queue.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from whisperlive_hybrid.storage.paging import insert_rows, page
from whisperlive_hybrid.storage.rows import BatchRow, JobRow, Page
from whisperlive_hybrid.storage.tables import batch, chunk, job


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a list is of; None is all."""

    states: tuple[str, ...] = ()
    clip_id: str | None = None
    batch_id: str | None = None
    route: str | None = None
    kept: bool | None = None
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class StateTotals:
    """The jobs of a batch that are in one state."""

    state: str
    n: int
    done_s: float
    total_s: float


@dataclass(frozen=True, slots=True)
class BatchTotals:
    """A batch, and its jobs by state."""

    row: BatchRow
    states: tuple[StateTotals, ...]


async def insert_jobs(connection: AsyncConnection, rows: Sequence[JobRow], of: BatchRow | None = None) -> None:
    """Queue jobs. Raises IntegrityError where a clip is gone."""
    if of is not None:
        await insert_rows(connection, batch, [of])
    await insert_rows(connection, job, rows)


async def get_job(connection: AsyncConnection, id: str, *, lock: bool = False) -> JobRow | None:
    """The job; None where there is none. `lock`: nobody else changes it until the transaction ends."""
    query = select(job).where(job.c.id == id)
    row = (await connection.execute(query.with_for_update() if lock else query)).first()
    return None if row is None else to_job(row)


async def get_batch(connection: AsyncConnection, id: str) -> BatchRow | None:
    """The batch; None where there is none."""
    row = (await connection.execute(select(batch).where(batch.c.id == id))).first()
    return None if row is None else BatchRow(**row._mapping)


async def page_of_jobs(connection: AsyncConnection, which: JobFilter, *, after: str | None, limit: int) -> Page[JobRow]:
    """Jobs, newest first."""
    query = select(job).where(*_conditions(which))
    return await page(connection, query, job.c.id, to_job, after=after, limit=limit)


async def jobs_of_batch(connection: AsyncConnection, batch_id: str) -> list[JobRow]:
    """All jobs of a batch, in the order in which they were asked for."""
    rows = await connection.execute(select(job).where(job.c.batch_id == batch_id).order_by(job.c.id))
    return [to_job(row) for row in rows]


async def latest_jobs(connection: AsyncConnection, clip_ids: Sequence[str]) -> dict[str, JobRow]:
    """The newest job of each of these clips that has one."""
    newest = select(func.max(job.c.id)).where(job.c.clip_id.in_(clip_ids)).group_by(job.c.clip_id)
    rows = await connection.execute(select(job).where(job.c.id.in_(newest)))
    return {row.clip_id: to_job(row) for row in rows}


async def count_jobs(connection: AsyncConnection, kept: bool | None = None) -> dict[str, int]:
    """How many jobs there are in each state that any is in; `kept`: only those that are, or are not."""
    rows = await connection.execute(
        select(job.c.state, func.count()).where(*_conditions(JobFilter(kept=kept))).group_by(job.c.state)
    )
    return {state: n for state, n in rows}


async def queue_place(connection: AsyncConnection, row: JobRow) -> int:
    """How many queued jobs go before this one."""
    before = or_(job.c.priority > row.priority, and_(job.c.priority == row.priority, job.c.id < row.id))
    alike = and_(job.c.state == "queued", job.c.kept == row.kept)  # requests have a queue of their own
    query = select(func.count()).select_from(job).where(alike, before)
    return int((await connection.execute(query)).scalar_one())


async def queue_places(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, int]:
    """The same for several jobs at once; those that are not queued have none."""
    place = (func.row_number().over(partition_by=job.c.kept, order_by=(job.c.priority.desc(), job.c.id)) - 1).label(
        "place"
    )
    queue = select(job.c.id, place).where(job.c.state == "queued").subquery()
    rows = await connection.execute(select(queue.c.id, queue.c.place).where(queue.c.id.in_(ids)))
    return {id: place for id, place in rows}


async def batch_totals(connection: AsyncConnection, ids: Sequence[str]) -> list[BatchTotals]:
    """How far these batches are, without a look at each of their jobs."""
    columns = (func.count(), func.sum(job.c.done_s), func.sum(func.coalesce(job.c.total_s, 0.0)))
    query = select(job.c.batch_id, job.c.state, *columns).where(job.c.batch_id.in_(ids))
    states: dict[str, list[StateTotals]] = {}
    for id, *totals in await connection.execute(query.group_by(job.c.batch_id, job.c.state)):
        states.setdefault(id, []).append(StateTotals(*totals))
    rows = (BatchRow(**row._mapping) for row in await connection.execute(select(batch).where(batch.c.id.in_(ids))))
    return [BatchTotals(row, tuple(states.get(row.id, ()))) for row in rows]


async def change_job(connection: AsyncConnection, id: str, states: Sequence[str], /, **values: Any) -> bool:
    """Set these columns if the job is in one of `states`; whether it was."""
    changed = await connection.execute(update(job).where(job.c.id == id, job.c.state.in_(states)).values(**values))
    return changed.rowcount > 0


async def delete_job(connection: AsyncConnection, id: str) -> bool:
    """Forget a job with its transcript; whether it was there."""
    return (await connection.execute(delete(job).where(job.c.id == id))).rowcount > 0


async def delete_batch(connection: AsyncConnection, id: str) -> None:
    """Forget a batch with its jobs."""
    await connection.execute(delete(batch).where(batch.c.id == id))


async def delete_empty_batches(connection: AsyncConnection, before: float) -> int:
    """Forget batches of before a time whose jobs are all gone."""
    left = select(job.c.batch_id).where(job.c.batch_id.is_not(None))
    gone = await connection.execute(delete(batch).where(batch.c.created_at < before, batch.c.id.not_in(left)))
    return gone.rowcount


async def finished_without_clip(connection: AsyncConnection, before: float, limit: int) -> list[str]:
    """Jobs of before a time that never came to have a clip, and are over."""
    over = job.c.state.in_(("done", "failed", "cancelled"))
    query = select(job.c.id).where(job.c.created_at < before, job.c.clip_id.is_(None), job.c.kept, over).limit(limit)
    return list((await connection.execute(query)).scalars())


async def chunks_of(connection: AsyncConnection, job_id: str, first: int = 0) -> list[bytes]:
    """What windows of a running job have given, from the number `first` on."""
    query = select(chunk.c.body).where(chunk.c.job_id == job_id, chunk.c.number >= first).order_by(chunk.c.number)
    return list((await connection.execute(query)).scalars())


async def forget_chunks(connection: AsyncConnection, job_id: str) -> None:
    """The job begins anew, or is done."""
    await connection.execute(delete(chunk).where(chunk.c.job_id == job_id))


def to_job(row: Row[Any]) -> JobRow:
    """A row of the table as a value."""
    return JobRow(**row._mapping)


def _conditions(which: JobFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if which.states:
        found.append(job.c.state.in_(which.states))
    if which.clip_id is not None:
        found.append(job.c.clip_id == which.clip_id)
    if which.batch_id is not None:
        found.append(job.c.batch_id == which.batch_id)
    if which.route is not None:
        found.append(job.c.route == which.route)
    if which.kept is not None:
        found.append(job.c.kept == which.kept)
    if which.since is not None:
        found.append(job.c.created_at >= which.since)
    if which.until is not None:
        found.append(job.c.created_at < which.until)
    return found
