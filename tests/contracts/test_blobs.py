"""The bytes of clips in a local folder and in S3 (moto's server)."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.moto_server import ENVIRONMENT, moto_server
from whisperlive_hybrid.errors import DiskFull
from whisperlive_hybrid.storage import blobs as room
from whisperlive_hybrid.storage.blobs import Blobs, open_blobs
from whisperlive_hybrid.storage.faults import BlobMissing, StoreFailed
from whisperlive_hybrid.storage.ids import new_id

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture(params=["local", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Blobs:
    if request.param == "local":
        return open_blobs(None, tmp_path / "clips")
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": request.getfixturevalue("s3")}.items():
        monkeypatch.setenv(name, value)
    return open_blobs(f"s3://clips/{secrets.token_hex(4)}", tmp_path / "clips")


def received(blobs: Blobs, data: bytes) -> Path:
    path = blobs.staging / "received"
    path.write_bytes(data)
    return path


async def read(blobs: Blobs, id: str, start: int, end: int) -> bytes:
    return b"".join([piece async for piece in blobs.read(id, start, end)])


@pytest.mark.parametrize("size", [1, 300_000, 6_000_000])
async def test_what_was_kept_is_read_again(blobs: Blobs, size: int) -> None:
    id, data = new_id("clip"), os.urandom(size)
    await blobs.keep(id, received(blobs, data))
    assert await read(blobs, id, 0, size) == data
    assert await read(blobs, id, size // 3, size // 2 + 1) == data[size // 3 : size // 2 + 1]
    async with blobs.local_file(id, size) as path:
        assert path.read_bytes() == data


async def test_all_are_listed_and_deleted(blobs: Blobs) -> None:
    assert [blob async for blob in blobs.all()] == []
    ids = {new_id("clip") for _ in range(5)}
    for id in ids:
        await blobs.keep(id, received(blobs, b"x"))
    found = [blob async for blob in blobs.all()]
    assert {blob.id for blob in found} == ids
    assert all(blob.modified_at > 1_600_000_000 for blob in found)
    for id in ids:
        await blobs.delete(id)
        await blobs.delete(id)
    assert [blob async for blob in blobs.all()] == []


async def test_what_is_not_there(blobs: Blobs) -> None:
    with pytest.raises(BlobMissing):
        await read(blobs, new_id("clip"), 0, 1)
    with pytest.raises(BlobMissing):
        async with blobs.local_file(new_id("clip"), 1):
            pass


async def test_a_local_file_is_synced_and_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(room.os, "fsync", lambda fd: synced.append(os.fstat(fd).st_ino))
    blobs = open_blobs(None, tmp_path)
    file = received(blobs, b"x")
    inode = file.stat().st_ino
    os.utime(file, (1.0, 1.0))  # it was long in coming
    await blobs.keep("clip_AB", file)
    assert not file.exists()
    place = tmp_path / "clips" / "AB" / "clip_AB"
    assert place.stat().st_mtime > 1_600_000_000, "whoever clears away old bytes leaves it to be recorded"
    assert synced == [path.stat().st_ino for path in (place, place.parent, place.parent.parent, tmp_path)]
    assert synced[0] == inode


async def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = open_blobs(None, tmp_path)

    def full(_: Path, __: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(room, "_move", full)
    with pytest.raises(DiskFull):
        await blobs.keep("clip_AB", received(blobs, b"x"))


async def test_a_store_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}.items():
        monkeypatch.setenv(name, value)
    blobs = open_blobs("s3://clips", tmp_path)
    with pytest.raises(StoreFailed):
        await blobs.keep("clip_AB", received(blobs, b"x"))


@pytest.mark.parametrize("wrong", ["ftp://a/b", "clips", "s3://"])
def test_wrong_urls(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        open_blobs(wrong, tmp_path)


def test_a_folder_may_be_named(tmp_path: Path) -> None:
    assert open_blobs(f"file://{tmp_path}/a%20b", tmp_path / "other").staging == tmp_path / "a b" / "incoming"
