"""What is cleared away and what is not, with files in a real folder and rows in SQLite."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.stored import make_clip, make_delivery, make_job, make_transcript
from whisperlive_hybrid.audio.files import DecodeLimits
from whisperlive_hybrid.jobs.clips import Clips
from whisperlive_hybrid.jobs.once import KEPT_S
from whisperlive_hybrid.jobs.retention import ORPHAN_AGE_S, WEBHOOKS_KEPT_S, Cleared, Retention
from whisperlive_hybrid.storage import clips, deliveries, jobs, transcripts
from whisperlive_hybrid.storage.blobs import open_blobs
from whisperlive_hybrid.storage.database import Database
from whisperlive_hybrid.storage.idempotency import Remembered, remember, remembered
from whisperlive_hybrid.storage.rows import ClipRow

NOW = 1_800_000_000.0
DAY = 86400.0


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Clips]:
    async with Database(f"sqlite:///{tmp_path}/a.sqlite") as database:
        yield Clips(database, open_blobs(None, tmp_path / "clips"), DecodeLimits())


async def keep(room: Clips, row: ClipRow, *, recorded: bool = True) -> None:
    file = room.blobs.staging / row.id
    file.write_bytes(b"x")
    await room.blobs.keep(row.id, file)
    os.utime(room.blobs.staging.parent / "clips" / row.id[-2:] / row.id, (row.created_at, row.created_at))
    if recorded:
        await room.database.write(lambda c: clips.insert_clip(c, row))


async def stored(room: Clips) -> set[str]:
    return {blob.id async for blob in room.blobs.all()}


async def test_old_clips_go_with_what_was_made_of_them(room: Clips) -> None:
    old, busy, new = (make_clip(created_at=NOW - days * DAY) for days in (8, 8, 6))
    for row in (old, busy, new):
        await keep(room, row)
    done, queued = make_job(old.id, state="done"), make_job(busy.id)
    await room.database.write(lambda c: jobs.insert_jobs(c, [done, queued]))
    await room.database.write(lambda c: transcripts.insert_transcript(c, make_transcript(done)))
    retention = Retention(room, keep_s=7 * DAY, clock=lambda: NOW)
    assert await retention.clear(orphans=False) == Cleared(clips=1)
    assert await stored(room) == {busy.id, new.id}
    assert await room.database.read(lambda c: jobs.get_job(c, done.id)) is None
    assert await room.database.read(lambda c: jobs.get_job(c, queued.id)) == queued
    assert await retention.clear(orphans=False) == Cleared()


async def test_many_are_cleared_in_one_round(room: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whisperlive_hybrid.jobs.retention.AT_ONCE", 3)
    for _ in range(8):
        await keep(room, make_clip(created_at=NOW - 8 * DAY))
    assert await Retention(room, keep_s=7 * DAY, clock=lambda: NOW).clear(orphans=False) == Cleared(clips=8)
    assert await stored(room) == set()


async def test_nothing_is_deleted_unless_somebody_wants_that(room: Clips) -> None:
    row = make_clip(created_at=1.0)
    await keep(room, row)
    assert await Retention(room, keep_s=None, clock=lambda: NOW).clear(orphans=True) == Cleared()
    assert await stored(room) == {row.id}


async def test_bytes_that_nobody_knows_of_go_once_they_are_old_enough(room: Clips) -> None:
    known, orphan, young = (make_clip(created_at=NOW - age) for age in (2 * ORPHAN_AGE_S, 2 * ORPHAN_AGE_S, 1))
    await keep(room, known)
    await keep(room, orphan, recorded=False)
    await keep(room, young, recorded=False)
    retention = Retention(room, keep_s=None, clock=lambda: NOW)
    assert await retention.clear(orphans=False) == Cleared()
    assert await retention.clear(orphans=True) == Cleared(orphans=1)
    assert await stored(room) == {known.id, young.id}


async def test_jobs_without_a_clip_keys_and_webhooks_go_too(room: Clips) -> None:
    failed = make_job(None, state="failed", created_at=NOW - 8 * DAY, source_url="http://a/")
    waiting = make_job(None, created_at=NOW - 8 * DAY, source_url="http://a/")
    long_ago = NOW - WEBHOOKS_KEPT_S - 1
    sent, owed = make_delivery("job_1", state="delivered", created_at=long_ago), make_delivery("j", created_at=long_ago)
    request, asked = (make_job(None, state="done", kept=False, created_at=NOW - age) for age in (3601.0, 3599.0))
    await room.database.write(lambda c: jobs.insert_jobs(c, [failed, waiting, request, asked]))
    await room.database.write(lambda c: deliveries.insert_deliveries(c, [sent, owed]))
    await room.database.write(lambda c: remember(c, Remembered("k", "f", b"", NOW - KEPT_S - 1)))
    assert await Retention(room, keep_s=7 * DAY, clock=lambda: NOW).clear(orphans=True) == Cleared(jobs=1, requests=1)
    assert await room.database.read(lambda c: jobs.get_job(c, asked.id)) == asked
    assert await room.database.read(lambda c: jobs.get_job(c, waiting.id)) == waiting
    assert await room.database.read(lambda c: deliveries.get_delivery(c, sent.id)) is None
    assert await room.database.read(lambda c: deliveries.get_delivery(c, owed.id)) == owed
    assert await room.database.read(lambda c: remembered(c, "k")) is None


async def test_rounds_come_by_themselves_and_survive_a_fault(room: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    from whisperlive_hybrid.storage.faults import StoreFailed

    for name in ("FIRST_ROUND_S", "ROUND_S"):
        monkeypatch.setattr(f"whisperlive_hybrid.jobs.retention.{name}", 0.01)
    rounds: list[bool] = []
    twice = asyncio.Event()

    async def clear(self: Retention, *, orphans: bool) -> Cleared:
        rounds.append(orphans)
        if len(rounds) == 2:
            twice.set()
        raise StoreFailed("The disk is gone.")

    monkeypatch.setattr(Retention, "clear", clear)
    async with Retention(room, keep_s=None), asyncio.timeout(20):
        await twice.wait()
    assert rounds[:2] == [True, False]
