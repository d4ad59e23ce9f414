"""Uploads on disk: written beside the event loop, counted, private, and gone when their block ends.

Each is locked (flock) by the process that holds it. The system lets go of the locks of a process that was killed, so
the next start finds what it left, and never takes what another running server holds in the same folder.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import secrets
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from whisperlive_hybrid.errors import DiskFull, TooLarge, Unavailable

log = logging.getLogger(__name__)

BLOCK_BYTES = 1 << 20
"""Bytes gathered before a thread writes them: few hops, little memory."""
FREE_FLOOR_BYTES = 256_000_000
"""An upload stops while the disk still has this much for everybody else, unless another floor is given."""

_PREFIX = "upload-"

_closing: set[asyncio.Task[None]] = set()
"""Keeps the loop's only weakly held tasks alive until they are done."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Bytes that arrived, whole."""

    path: Path
    size: int


class IncomingFile:
    """A file being received. `write` counts and may raise TooLarge or DiskFull."""

    def __init__(self, path: Path, fd: int, *, limit: int, told_limit: int, floor: int) -> None:
        self.path = path
        self.size = 0
        self._fd = fd
        self._limit = limit
        self._told_limit = told_limit
        self._floor = floor
        self._block = bytearray()
        self._writing: asyncio.Future[None] | None = None

    async def write(self, data: bytes | bytearray) -> None:
        """Take `data`; the disk is touched once per block."""
        self.size += len(data)
        if self.size > self._limit:
            raise too_large(self._told_limit)
        self._block += data
        if len(self._block) >= BLOCK_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Put what was gathered on disk."""
        if not self._block:
            return
        block, self._block = self._block, bytearray()
        self._writing = asyncio.get_running_loop().run_in_executor(None, _write_all, self._fd, block, self._floor)
        try:
            # Shielded: the descriptor must not be closed under a thread that is still writing to it.
            await asyncio.shield(self._writing)
        except OSError as e:
            raise _fault(e, self.path.parent) from e

    async def close(self) -> None:
        """Close and delete, after the last write. It is carried through even where the caller is cancelled meanwhile:
        a client may well hang up while its request is being cleared away."""
        closing = asyncio.create_task(self._close(), name=f"delete {self.path.name}")
        _closing.add(closing)
        closing.add_done_callback(_closing.discard)
        await asyncio.shield(closing)

    async def _close(self) -> None:
        if self._writing is not None:
            await asyncio.wait([self._writing])
        await asyncio.to_thread(_remove, self._fd, self.path)


@asynccontextmanager
async def incoming_file(
    folder: Path, limit: int, *, told_limit: int | None = None, floor: int | None = None
) -> AsyncIterator[IncomingFile]:
    """A new empty file in `folder` for at most `limit` bytes; deleted at the end, however it ends, unless it was moved.

    `told_limit` is the limit that TooLarge names, where that is another; `floor` is how many bytes the disk is to have
    left. Raises DiskFull when there is no room to begin with.
    """
    # Opening takes microseconds; in a thread it could be finished for a caller who has been cancelled meanwhile.
    floor = FREE_FLOOR_BYTES if floor is None else floor
    path, fd = _create(folder, floor)
    told_limit = limit if told_limit is None else told_limit
    incoming = IncomingFile(path, fd, limit=limit, told_limit=told_limit, floor=floor)
    try:
        yield incoming
    finally:
        await incoming.close()


def prepare_folder(folder: Path) -> None:
    """Make the folder and clear it of what servers that were killed left in it. Raises OSError if it takes no file."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path, fd = _new_file(folder)
    _remove(fd, path)
    left = [path for path in folder.iterdir() if path.name.startswith(_PREFIX) and _remove_if_left(path)]
    if left:
        log.info("%d uploads that a server left behind were deleted from %s", len(left), folder)


def too_large(limit: int) -> TooLarge:
    """The error for an upload over `limit` bytes."""
    return TooLarge(
        f"The file is larger than the {limit / 1e6:g} MB this server takes.",
        limit=limit,
        param="file",
        code="file_too_large",
    )


def _create(folder: Path, floor: int) -> tuple[Path, int]:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_room(folder, floor)
        return _new_file(folder)
    except OSError as e:
        raise _fault(e, folder) from e


def _new_file(folder: Path) -> tuple[Path, int]:
    """An empty file that is locked."""
    while True:
        path = folder / f"{_PREFIX}{secrets.token_hex(16)}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        # A server that starts at this moment may have taken the file for a leftover before it was locked.
        if _lock(fd) is not False and os.fstat(fd).st_nlink:
            return path, fd
        _remove(fd, path)


def _remove_if_left(path: Path) -> bool:
    """Delete a file that no process holds; whether it was deleted."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False  # gone already, or not ours
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode) or not _lock(fd):
            return False
        path.unlink()
        return True
    except OSError:
        return False
    finally:
        os.close(fd)


def _lock(fd: int) -> bool | None:
    """Whether the file is ours now; None where the file system knows no locks."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _fault(error: OSError, folder: Path) -> Unavailable:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DiskFull("The server's disk is full.")
    log.error("uploads cannot be stored in %s: %s", folder, error)
    return Unavailable("The server cannot store uploads; its log says why.", code="storage_failed")


def _check_room(where: Path | int, floor: int) -> None:
    disk = os.statvfs(where)
    if disk.f_bavail * disk.f_frsize < floor:
        raise DiskFull("The server's disk is nearly full.")


def _write_all(fd: int, block: bytearray, floor: int) -> None:
    _check_room(fd, floor)
    with memoryview(block) as rest:
        while rest:
            rest = rest[os.write(fd, rest) :]


def _remove(fd: int, path: Path) -> None:
    os.close(fd)
    with suppress(FileNotFoundError):
        path.unlink()
