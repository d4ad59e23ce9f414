"""Requests that are made once, however often they are sent (the Idempotency-Key header)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from whisperlive_hybrid.errors import Conflict
from whisperlive_hybrid.storage.database import Database
from whisperlive_hybrid.storage.idempotency import Remembered, remember, remembered

KEPT_S: Final = 24 * 3600.0
"""How long a key is remembered."""


@dataclass(frozen=True, slots=True)
class Key:
    """A caller's key. Both are digests."""

    key: str
    fingerprint: str
    """Of what is asked for."""


async def replay(database: Database, key: Key | None) -> bytes | None:
    """What was answered under this key; None: nothing yet. Raises Conflict where something else was asked then."""
    if key is None:
        return None
    found = await database.read(lambda c: remembered(c, key.key))
    if found is not None and found.fingerprint != key.fingerprint:
        raise Conflict("This Idempotency-Key was used for another request.", code="idempotency_key_reused")
    return None if found is None else found.result


async def once(
    database: Database, key: Key | None, work: Callable[[AsyncConnection], Awaitable[bytes]], now: float
) -> tuple[bytes, bool]:
    """What `work` answers, done in one transaction with the record of the key; and whether it was done before.

    Raises Conflict as `replay` does, and what `work` raises.
    """

    async def do(connection: AsyncConnection) -> bytes:
        result = await work(connection)
        if key is not None:
            await remember(connection, Remembered(key.key, key.fingerprint, result, now))
        return result

    try:
        return await database.write(do), False
    except IntegrityError:
        # The same request at the same time was faster; or some other rule was broken.
        before = await replay(database, key)
        if before is None:
            raise
        return before, True
