"""The bytes of clips: in a local folder, or in an object store (S3, Google, Azure) by its URL, through obstore.

A local file is moved into its place, synced to the disk with its folder, and read where it lies. In an object store it
is uploaded from where it was received, and fetched again for as long as it is decoded.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from whisperlive_hybrid.errors import DiskFull
from whisperlive_hybrid.storage.faults import BlobMissing, StoreFailed
from whisperlive_hybrid.storage.incoming import incoming_file, prepare_folder

if TYPE_CHECKING:
    from obstore.store import ObjectStore

log = logging.getLogger(__name__)

PIECE_BYTES: Final = 256 << 10
"""Read at once."""
_CLIPS: Final = "clips"


@dataclass(frozen=True, slots=True)
class Blob:
    """One of what is stored."""

    id: str
    modified_at: float
    """Unix seconds."""


class Blobs:
    """Bytes by id. All methods raise StoreFailed or DiskFull."""

    def __init__(self, store: ObjectStore, staging: Path, folder: Path | None = None, floor: int | None = None) -> None:
        self._store = store
        self._folder = folder
        self.floor = floor
        """Bytes that the disk with `staging` is to have left; None is the usual."""
        self.staging = staging
        """Where files are received that are to be kept."""

    async def keep(self, id: str, file: Path) -> None:
        """Keep the bytes of `file` for good; a local one is moved away. They are safe when this returns."""
        with _faults():
            if self._folder is not None:
                await asyncio.to_thread(_move, file, self._folder / _key(id))
                return
            import obstore

            await obstore.put_async(self._store, _key(id), file)

    async def read(self, id: str, start: int, end: int) -> AsyncGenerator[bytes]:
        """Bytes `start` to `end` in pieces; `end` is exclusive and above `start`. Raises BlobMissing too."""
        import obstore

        with _faults():
            found = await obstore.get_async(self._store, _key(id), options={"range": (start, end)})
            async for piece in found.stream(min_chunk_size=PIECE_BYTES):
                yield bytes(piece)

    @asynccontextmanager
    async def local_file(self, id: str, size: int) -> AsyncIterator[Path]:
        """A file with the bytes, of which there are `size`, for the length of the block. Raises BlobMissing too."""
        if self._folder is not None:
            path = self._folder / _key(id)
            if not path.exists():
                raise BlobMissing("The clip's audio is not where it was stored.")
            yield path
            return
        async with incoming_file(self.staging, size, floor=self.floor) as copy:
            async for piece in self.read(id, 0, size):
                await copy.write(piece)
            await copy.flush()
            yield copy.path

    async def delete(self, id: str) -> None:
        """Forget the bytes; nothing happens where there are none."""
        import obstore

        with _faults():
            try:
                await obstore.delete_async(self._store, _key(id))
            except FileNotFoundError:
                return

    async def all(self) -> AsyncIterator[Blob]:
        """Everything that is stored."""
        import obstore

        with _faults():
            async for some in obstore.list(self._store, _CLIPS):
                for meta in some:
                    yield Blob(meta["path"].rsplit("/", 1)[-1], meta["last_modified"].timestamp())


def open_blobs(url: str | None, folder: Path, floor: int | None = None) -> Blobs:
    """The store behind `url`; without one, or with file://, a folder: `folder` or the URL's.

    Raises ValueError for a URL that is none of a store, OSError where a folder takes no file.
    """
    from obstore.exceptions import BaseError
    from obstore.store import LocalStore, from_url

    scheme = urlsplit(url).scheme if url else "file"
    if scheme == "file":
        path = Path(unquote(urlsplit(url).path)) if url else folder
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        staging = path / "incoming"
        prepare_folder(staging)
        return Blobs(LocalStore(path), staging, path, floor)
    if scheme not in ("s3", "s3a", "gs", "az", "abfs", "abfss", "azure", "adl"):
        raise ValueError("it is not the URL of a store: file:///path, s3://bucket/path, gs://… or az://…")
    staging = folder / "incoming"
    prepare_folder(staging)
    local_http = {"allow_http": True} if os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://") else {}
    try:
        return Blobs(from_url(url or "", client_options=local_http), staging, floor=floor)  # type: ignore[call-overload]
    except BaseError as error:
        raise ValueError(_one_line(error)) from error


def _key(id: str) -> str:
    # By the last characters, which are random: ids of one day begin alike.
    return f"{_CLIPS}/{id[-2:]}/{id}"


def _move(file: Path, place: Path) -> None:
    """Sync the file's bytes, move it, and sync the folders that now name it."""
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if file.stat().st_dev != place.parent.stat().st_dev:
        # Received elsewhere: what is in its place is whole, there as well.
        copy = place.with_name(f"{place.name}.copy")
        shutil.copyfile(file, copy)
        file = copy
    # Its age counts from now, however long it took to come: old bytes without a record are cleared away.
    os.utime(file)
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
    file.rename(place)
    for folder in (place.parent, place.parent.parent, place.parent.parent.parent):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


@contextmanager
def _faults() -> Iterator[None]:
    """What goes wrong below, in this room's words."""
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError as error:
        raise BlobMissing("The clip's audio is not where it was stored.") from error
    except (BaseError, OSError) as error:
        if "No space left" in str(error) or "os error 28" in str(error):
            raise DiskFull("The disk of the server's storage is full.") from error
        log.error("the clips' store failed: %s", _one_line(error))
        raise StoreFailed("The clips' store failed; the server's log says why.") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
