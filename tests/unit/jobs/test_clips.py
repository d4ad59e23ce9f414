"""What becomes of a clip's bytes when its record cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from whisperlive_hybrid.audio.files import DecodeLimits
from whisperlive_hybrid.errors import Conflict
from whisperlive_hybrid.jobs import clips as room
from whisperlive_hybrid.jobs.clips import Arrival, Checked, Clips
from whisperlive_hybrid.storage.blobs import Blobs, open_blobs
from whisperlive_hybrid.storage.database import Database
from whisperlive_hybrid.storage.faults import StoreFailed


async def kept(blobs: Blobs) -> int:
    return len([blob async for blob in blobs.all()])


@pytest.mark.parametrize(
    ("error", "left"),
    [
        (Conflict("This key was used."), 0),
        # It may be recorded all the same: a connection that breaks takes the answer to a commit with it.
        (StoreFailed("The connection was closed."), 1),
    ],
)
async def test_bytes_are_only_deleted_where_they_are_surely_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, left: int
) -> None:
    async def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(room, "once", failing)
    blobs = open_blobs(None, tmp_path)
    file = blobs.staging / "received"
    file.write_bytes(b"x")

    async def answer(*_: object) -> bytes:
        return b""

    async with Database(f"sqlite:///{tmp_path}/a.sqlite") as database:
        clips = Clips(database, blobs, DecodeLimits())
        with pytest.raises(type(error)):
            await clips.keep(Checked(Arrival(file, 1, "a.wav"), "0" * 64, "audio/wav", 1.0), answer)
    assert await kept(blobs) == left
