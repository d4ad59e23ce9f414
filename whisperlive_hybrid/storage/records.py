"""Records that processes hand over to each other, in one SQLite file.

A record is some bytes under an id and a secret, with numbered entries. One process owns it: who takes a record over
becomes its owner, and the one before learns that at its next write. A record nobody has touched for a while is gone.
The bytes are the caller's business; only a hash of the secret is kept.

All statements run in one thread. What is asked for while a transaction runs makes up the next one, so that many
sessions that write at once cost one commit. The file is in WAL mode with synchronous=NORMAL: what is written survives
the death of the process at any moment, though not a loss of power (https://www.sqlite.org/wal.html, section 2.3).
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeAlias, TypeVar, cast

from whisperlive_hybrid.storage.faults import StoreFailed

log = logging.getLogger(__name__)

SCHEMA_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE record (
    id TEXT PRIMARY KEY, secret BLOB NOT NULL, owner TEXT NOT NULL, touched REAL NOT NULL, body BLOB NOT NULL
);
CREATE TABLE entry (
    id TEXT NOT NULL REFERENCES record (id) ON DELETE CASCADE, number INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (id, number)
) WITHOUT ROWID;
"""
_BUSY_S: Final = 1.0
"""How long one process waits for another's transaction, each of which takes milliseconds; finals wait with it."""
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})
"""SQLite's codes for a file that is none of ours; the last says that a table or column is missing."""

Entry: TypeAlias = tuple[int, bytes]
"""Number and bytes."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Record:
    """What was written last."""

    body: bytes
    entries: tuple[Entry, ...]


class _Damaged(sqlite3.DatabaseError):
    """SQLite opens the file and finds it inconsistent."""


@dataclass(eq=False, slots=True)
class _Job:
    work: Callable[[sqlite3.Connection], Any]
    answer: asyncio.Future[Any]


class RecordStore:
    """`async with RecordStore(path, keep_s=60) as store`. Raises OSError when the file cannot be made.

    `keep_s`: how long a record is kept after the process that owned it was last alive.
    """

    def __init__(self, path: Path, *, keep_s: float, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._keep_s = keep_s
        self._clock = clock
        self._owner = secrets.token_hex(8)
        self._waiting: list[_Job] = []
        self._driver: asyncio.Task[None] | None = None
        self._toucher: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="storage")
        self._connection: sqlite3.Connection | None = None

    async def __aenter__(self) -> Self:
        try:
            self._connection = await self._loop.run_in_executor(self._thread, _open, self._path)
        except BaseException:
            self._thread.shutdown()
            raise
        try:
            # The processes that wrote these may be gone: their clients get their time from now on.
            await self._do(lambda c: self._touch(c, everybody=True))
        except StoreFailed as error:
            await self.__aexit__(None, None, None)
            raise OSError(f"{self._path}: {error.message}") from error
        self._toucher = asyncio.create_task(self._keep_touching(), name="storage touch")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._toucher is not None:
            self._toucher.cancel()
            await asyncio.gather(self._toucher, return_exceptions=True)
        while self._driver is not None:
            await asyncio.wait([self._driver])
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._loop.run_in_executor(self._thread, _close, connection)
        self._thread.shutdown()

    # --- what callers do. All raise StoreFailed. -------------------------------------------------------------------

    async def create(self, id: str, secret: str, body: bytes) -> None:
        """A new record, of this process."""
        row = (id, _hash(secret), self._owner, self._clock(), body)
        await self._do(lambda c: c.execute("INSERT INTO record VALUES (?, ?, ?, ?, ?)", row))

    async def save(self, id: str, body: bytes, entries: Sequence[Entry] = (), forget_upto: int = 0) -> bool:
        """Replace a record's bytes, add `entries`, drop those numbered up to `forget_upto`.

        Returns once that is safe. False: the record is gone or another process's; nothing was written.
        """

        def work(c: sqlite3.Connection) -> bool:
            update = "UPDATE record SET body = ?, touched = ? WHERE id = ? AND owner = ?"
            if c.execute(update, (body, self._clock(), id, self._owner)).rowcount == 0:
                return False
            c.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?)", [(id, n, b) for n, b in entries])
            if forget_upto:
                c.execute("DELETE FROM entry WHERE id = ? AND number <= ?", (id, forget_upto))
            return True

        return await self._do(work)

    async def take(self, id: str, secret: str) -> Record | None:
        """Take a record over from whichever process has it. None: there is none, or the secret is another one."""

        def work(c: sqlite3.Connection) -> Record | None:
            claim = "UPDATE record SET owner = ?, touched = ? WHERE id = ? AND secret = ? AND touched > ?"
            now = self._clock()
            if c.execute(claim, (self._owner, now, id, _hash(secret), now - self._keep_s)).rowcount == 0:
                return None
            ((body,),) = c.execute("SELECT body FROM record WHERE id = ?", (id,))
            entries = c.execute("SELECT number, body FROM entry WHERE id = ? ORDER BY number", (id,))
            return Record(body, tuple(entries))

        return await self._do(work)

    async def owns(self, id: str) -> bool:
        """The record is there, and this process's."""
        find = "SELECT 1 FROM record WHERE id = ? AND owner = ?"
        return await self._do(lambda c: c.execute(find, (id, self._owner)).fetchone() is not None)

    async def let_go(self, id: str) -> None:
        """A record of this process is nobody's any more: it waits to be taken, or is gone after a while."""
        await self._do(
            lambda c: c.execute("UPDATE record SET owner = '' WHERE id = ? AND owner = ?", (id, self._owner))
        )

    async def delete(self, id: str) -> None:
        """Forget a record, if it is this process's."""
        await self._do(lambda c: c.execute("DELETE FROM record WHERE id = ? AND owner = ?", (id, self._owner)))

    # --- the thread ------------------------------------------------------------------------------------------------

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    async def _do(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run `work` in the next transaction; it may be run twice, the first time undone."""
        if self._connection is None:
            raise StoreFailed("The storage is closed.", code="shutting_down")
        job = _Job(work, self._loop.create_future())
        self._waiting.append(job)
        if self._driver is None:
            self._driver = asyncio.create_task(self._drive(self._connection), name="storage")
        return cast(_T, await job.answer)

    async def _drive(self, connection: sqlite3.Connection) -> None:
        try:
            while self._waiting:
                jobs, self._waiting = self._waiting, []
                results = await self._loop.run_in_executor(self._thread, _commit, connection, jobs)
                for job, result in zip(jobs, results, strict=True):
                    if job.answer.done():  # its caller was cancelled
                        continue
                    if isinstance(result, Exception):
                        job.answer.set_exception(StoreFailed(f"The storage failed: {result}"))
                    else:
                        job.answer.set_result(result)
        finally:
            self._driver = None

    async def _keep_touching(self) -> None:
        """Say now and then that this process is alive, and drop what nobody came back to."""
        while True:
            await asyncio.sleep(max(0.1, min(10.0, self._keep_s / 4)))
            with suppress(StoreFailed):
                await self._do(lambda c: self._touch(c, everybody=False))

    def _touch(self, c: sqlite3.Connection, *, everybody: bool) -> None:
        now = self._clock()
        c.execute("UPDATE record SET touched = ? WHERE owner = ?", (now, self._owner))
        c.execute("DELETE FROM record WHERE touched <= ?", (now - self._keep_s,))
        if everybody:
            c.execute("UPDATE record SET touched = ?", (now,))


def _hash(secret: str) -> bytes:
    """The secrets are random and long: a plain hash cannot be guessed from."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def _commit(connection: sqlite3.Connection, jobs: Sequence[_Job]) -> list[Any]:
    """The results of all jobs, done in one transaction; where that fails, each has its own."""
    try:
        with _transaction(connection):
            return [job.work(connection) for job in jobs]
    except Exception as error:
        if len(jobs) == 1:
            return [error]
        if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            return [error] * len(jobs)  # each alone would have to wait as long
        return [result for job in jobs for result in _commit(connection, [job])]


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _open(path: Path) -> sqlite3.Connection:
    """The database, made if need be. A file that is none is put aside."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives its journals the mode of the database.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    try:
        return _connect(path)
    except sqlite3.DatabaseError as error:
        if not isinstance(error, _Damaged) and error.sqlite_errorcode & 0xFF not in _DAMAGED:
            full = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL  # or locked: nothing is wrong with the file
            raise OSError(errno.ENOSPC if full else errno.EIO, f"{path}: {error}") from error
        aside = path.with_name(path.name + ".damaged")
        log.warning("%s is damaged (%s); it is now %s, and sessions of before cannot be resumed", path, error, aside)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        path.replace(aside)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "secure_delete = ON"):
            connection.execute(f"PRAGMA {pragma}")
        with _transaction(connection):
            ((version,),) = connection.execute("PRAGMA user_version")
            if version != SCHEMA_VERSION:
                for statement in ("DROP TABLE IF EXISTS entry", "DROP TABLE IF EXISTS record", *_SCHEMA.split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        _check(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection) -> None:
    """Raises sqlite3.DatabaseError where the file is damaged, or another program's."""
    connection.execute("SELECT id, secret, owner, touched, body FROM record LIMIT 0")
    connection.execute("SELECT id, number, body FROM entry LIMIT 0")
    ((found,),) = connection.execute("PRAGMA quick_check(1)")
    if found != "ok":
        raise _Damaged(" ".join(found.split()))


def _close(connection: sqlite3.Connection) -> None:
    with closing(connection), suppress(sqlite3.Error):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # nothing of what was deleted stays in the journal
