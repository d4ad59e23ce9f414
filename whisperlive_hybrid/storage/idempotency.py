"""Requests that were answered, by the key their caller gave them: sent again, they are answered alike.

The key is recorded in the transaction of what the request did. Two requests with one key at the same time: the second
one's transaction breaks the primary key, is undone, and finds the answer of the first.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from whisperlive_hybrid.storage.paging import insert_rows
from whisperlive_hybrid.storage.tables import idempotency


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a request with this key was, and what it was answered."""

    key: str
    fingerprint: str
    """Of the request's content: the same key with another content is a mistake."""
    result: bytes
    created_at: float


def key_of(scope: str, given: str) -> str:
    """A key of fixed length. `scope` is what was called, and for whom."""
    return digest(scope, given)


def digest(*parts: str | bytes) -> str:
    """SHA-256 in hex of parts that cannot run into each other."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()


async def remember(connection: AsyncConnection, what: Remembered) -> None:
    """Record an answer. Raises IntegrityError where the key is taken."""
    await insert_rows(connection, idempotency, [what])


async def remembered(connection: AsyncConnection, key: str) -> Remembered | None:
    """What was recorded under the key; None where nothing was."""
    row = (await connection.execute(select(idempotency).where(idempotency.c.key == key))).first()
    return None if row is None else Remembered(**row._mapping)


async def forget_keys(connection: AsyncConnection, before: float) -> int:
    """Forget keys of before a time."""
    return (await connection.execute(delete(idempotency).where(idempotency.c.created_at < before))).rowcount
