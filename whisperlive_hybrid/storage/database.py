"""The database of clips, jobs and transcripts: SQLite (WAL) in a file, or PostgreSQL, with the same statements.

Work is a function that is given a connection inside a transaction. What it does is done as a whole or not at all, also
where its caller is cancelled meanwhile: a client may well hang up while its upload is being recorded. SQLite knows one
writer at a time: writers of this process queue here, those of others wait for the file. `synchronous=FULL`: what is
written has been synced to the disk (https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from whisperlive_hybrid.errors import DiskFull
from whisperlive_hybrid.storage.faults import StoreFailed
from whisperlive_hybrid.storage.schema import SchemaTooNew, bring_up_to_date

log = logging.getLogger(__name__)

T = TypeVar("T")

BUSY_MS: Final = 5000
"""How long a writer waits for another process's transaction, each of which takes milliseconds."""
READERS: Final = 5
"""Connections at once; more work waits."""
SAME_AGAIN_S: Final = 10.0
"""The same fault is logged at most this often."""
_WRITES: Final = "writes"
_DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


class BadDatabase(Exception):
    """The database cannot be used; the message is one for the operator."""


class Database:
    """`async with Database(url) as database`. Raises BadDatabase.

    `url` is `sqlite:////absolute/path` or `postgresql://user:password@host/name`.
    """

    def __init__(self, url: str) -> None:
        self._url = parse_url(url)
        self._engine: AsyncEngine | None = None
        self._writers = asyncio.Lock()
        self._running: set[asyncio.Task[Any]] = set()

    @property
    def is_sqlite(self) -> bool:
        """A file of this machine; its writers take turns."""
        return self._url.get_backend_name() == "sqlite"

    async def __aenter__(self) -> Self:
        try:
            if self.is_sqlite:
                await asyncio.to_thread(_prepare_file, Path(self._url.database or ""))
            self._engine = _engine(self._url)
            await self._write(lambda c: c.run_sync(bring_up_to_date))
        except BaseException as error:
            await self._close()
            if isinstance(error, ModuleNotFoundError):
                raise BadDatabase("PostgreSQL needs asyncpg: pip install 'whisperlive-hybrid[postgres]'") from error
            if isinstance(error, SchemaTooNew | SQLAlchemyError | sqlite3.Error | OSError):
                raise BadDatabase(_one_line(error)) from error
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._running:
            await asyncio.wait(self._running)
        await self._close()

    async def read(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """What `work` finds. Raises StoreFailed."""
        return await self._carried_through(self._read(work))

    async def write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """What `work` returns, once it is committed. Raises StoreFailed or DiskFull, and what `work` raises.

        IntegrityError passes: it says that a rule of the tables was broken, which `work` may have meant to find out.
        """
        return await self._carried_through(self._write(work))

    async def _carried_through(self, work: Awaitable[T]) -> T:
        if self._engine is None:
            if asyncio.iscoroutine(work):
                work.close()
            raise StoreFailed("The storage is closed.", code="shutting_down")
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._done)
        try:
            return await asyncio.shield(task)
        except IntegrityError:
            raise
        except (SQLAlchemyError, OSError) as error:
            raise fault(error) from error

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # looked at: its caller may be gone

    async def _read(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        assert self._engine is not None
        async with self._engine.connect() as connection:
            return await work(connection)

    async def _write(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        assert self._engine is not None
        if not self.is_sqlite:
            async with self._engine.begin() as connection:
                return await work(connection)
        async with self._writers, self._engine.connect() as connection:
            await connection.execution_options(**{_WRITES: True})
            async with connection.begin():
                return await work(connection)

    async def _close(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.dispose()


def parse_url(text: str) -> URL:
    """The URL with the driver that is used here. Raises BadDatabase."""
    try:
        url = make_url(text)
    except ArgumentError:
        raise BadDatabase("it is no database URL") from None
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise BadDatabase("it is neither sqlite:////path nor postgresql://user:password@host/name")
    if driver.startswith("sqlite") and not os.path.isabs(url.database or ""):
        raise BadDatabase("the path of an SQLite file is absolute: sqlite:////path")
    return url.set(drivername=driver)


def fault(error: BaseException) -> StoreFailed | DiskFull:
    """What a caller is told of the database's error; the log has the rest."""
    text = str(error.orig) if isinstance(error, DBAPIError) and error.orig is not None else str(error)
    if "disk is full" in text or "No space left" in text:
        return DiskFull("The disk of the server's storage is full.")
    _complain(_one_line(error))
    if isinstance(error, PoolTimeout) or "database is locked" in text:
        return StoreFailed("The storage is busy.", code="storage_busy")
    return StoreFailed("The storage failed; the server's log says why.")


def _complain(text: str) -> None:
    """Log it, unless the same was just logged: in an outage everybody finds out at once, again and again."""
    now = time.monotonic()
    if text != _complaint.text or now - _complaint.at >= SAME_AGAIN_S:
        log.error("the storage failed: %s", text)
        _complaint.text, _complaint.at = text, now


@dataclass(slots=True)
class _Complaint:
    """What was logged last, and when, on the monotonic clock."""

    text: str = ""
    at: float = 0.0


_complaint = _Complaint()


def _prepare_file(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):  # SQLite gives its journals the mode of the database.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    # The file keeps this. Of two that change it at once SQLite refuses one, and does not wait as for other locks.
    until = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(0.02)


def _engine(url: URL) -> AsyncEngine:
    engine = create_async_engine(
        url, pool_size=READERS, max_overflow=0, pool_timeout=30, pool_pre_ping=url.host is not None
    )
    if url.get_backend_name() == "sqlite":
        event.listen(engine.sync_engine, "connect", _set_up)
        event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _set_up(connection: Any, _: Any) -> None:
    # Transactions are begun below: the driver's own begin as readers, and cannot become writers while others write.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (f"busy_timeout = {BUSY_MS}", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Any) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _one_line(error: BaseException) -> str:
    text = str(error.orig) if isinstance(error, DBAPIError) and error.orig is not None else str(error)
    return " ".join(text.split())[:300] or type(error).__name__
