"""Pages of a table, newest first. Ids are sortable by time, so the last id of a page is where the next one begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Row, Select, Table, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from whisperlive_hybrid.storage.rows import Page

T = TypeVar("T")


async def page(
    connection: AsyncConnection,
    query: Select[Any],
    id_column: ColumnElement[str],
    make: Callable[[Row[Any]], T],
    *,
    after: str | None,
    limit: int,
) -> Page[T]:
    """At most `limit` rows of `query` that come behind `after`."""
    if after is not None:
        query = query.where(id_column < after)
    rows = (await connection.execute(query.order_by(id_column.desc()).limit(limit + 1))).all()
    items = tuple(make(row) for row in rows[:limit])
    return Page(items, str(rows[limit - 1].id) if len(rows) > limit else None)


async def insert_rows(connection: AsyncConnection, table: Table, rows: Sequence[Any]) -> None:
    """Add these values, whose fields are named as the columns. Raises IntegrityError."""
    if rows:
        await connection.execute(insert(table), [asdict(row) for row in rows])


def like(text: str) -> str:
    """The pattern that finds `text` anywhere, with a backslash as escape."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
