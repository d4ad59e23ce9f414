"""Statements about webhooks: an outbox that is written in the transaction of what it tells of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, and_, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from whisperlive_hybrid.storage.paging import insert_rows, page
from whisperlive_hybrid.storage.rows import DeliveryRow, Page
from whisperlive_hybrid.storage.tables import delivery


async def insert_deliveries(connection: AsyncConnection, rows: Sequence[DeliveryRow]) -> None:
    """Owe webhooks."""
    await insert_rows(connection, delivery, rows)


async def get_delivery(connection: AsyncConnection, id: str) -> DeliveryRow | None:
    """The webhook; None where there is none."""
    row = (await connection.execute(select(delivery).where(delivery.c.id == id))).first()
    return None if row is None else _delivery(row)


async def page_of_deliveries(
    connection: AsyncConnection,
    *,
    state: str | None = None,
    job_id: str | None = None,
    after: str | None = None,
    limit: int,
) -> Page[DeliveryRow]:
    """Webhooks, newest first."""
    query = select(delivery)
    if state is not None:
        query = query.where(delivery.c.state == state)
    if job_id is not None:
        query = query.where(delivery.c.job_id == job_id)
    return await page(connection, query, delivery.c.id, _delivery, after=after, limit=limit)


async def take_delivery(connection: AsyncConnection, *, lease: str, now: float, until: float) -> DeliveryRow | None:
    """The next webhook that is due, taken as `take_job` takes jobs; None where none is."""
    free = or_(delivery.c.lease_until.is_(None), delivery.c.lease_until < now)
    next_one = (
        select(delivery.c.id)
        .where(delivery.c.state == "waiting", delivery.c.next_at <= now, free)
        .order_by(delivery.c.next_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    taken = await connection.execute(
        update(delivery)
        .where(delivery.c.id == next_one.scalar_subquery())
        .values(lease=lease, lease_until=until, attempts=delivery.c.attempts + 1)
        .returning(delivery)
    )
    row = taken.first()
    return None if row is None else _delivery(row)


async def next_delivery_at(connection: AsyncConnection) -> float | None:
    """When the next webhook is due, or may be taken from one who died; None where none waits."""
    query = (
        select(delivery.c.next_at, delivery.c.lease_until)
        .where(delivery.c.state == "waiting")
        .order_by(delivery.c.next_at)
        .limit(100)
    )
    times = [max(next_at, lease_until or 0.0) for next_at, lease_until in await connection.execute(query)]
    return min(times) if times else None


async def settle_delivery(connection: AsyncConnection, id: str, lease: str, /, **values: Any) -> bool:
    """What became of a try; False: another has taken it meanwhile."""
    mine = and_(delivery.c.id == id, delivery.c.lease == lease)
    settled = await connection.execute(update(delivery).where(mine).values(lease=None, lease_until=None, **values))
    return settled.rowcount > 0


async def send_again(connection: AsyncConnection, id: str, now: float) -> bool:
    """Owe a webhook once more, under its id; whether there is one that nobody is just sending."""
    free = or_(delivery.c.lease_until.is_(None), delivery.c.lease_until < now)
    again = await connection.execute(
        update(delivery)
        .where(delivery.c.id == id, free)
        .values(state="waiting", attempts=0, next_at=now, lease=None, lease_until=None)
    )
    return again.rowcount > 0


async def forget_deliveries(connection: AsyncConnection, before: float) -> int:
    """Forget webhooks of before a time that are not owed any more."""
    gone = await connection.execute(
        delete(delivery).where(delivery.c.created_at < before, delivery.c.state != "waiting")
    )
    return gone.rowcount


def _delivery(row: Row[Any]) -> DeliveryRow:
    return DeliveryRow(**row._mapping)
