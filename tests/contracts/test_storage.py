"""Clips, jobs, transcripts and webhooks in both databases: SQLite, and a real PostgreSQL where one is installed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.support.postgres import new_database, postgres_server
from tests.support.stored import make_clip, make_delivery, make_job, make_transcript
from whisperlive_hybrid.errors import DiskFull
from whisperlive_hybrid.storage import clips, deliveries, direct, jobs, queue, transcripts
from whisperlive_hybrid.storage.clips import ClipFilter
from whisperlive_hybrid.storage.database import BadDatabase, Database, fault
from whisperlive_hybrid.storage.faults import StoreFailed
from whisperlive_hybrid.storage.idempotency import Remembered, forget_keys, remember, remembered
from whisperlive_hybrid.storage.jobs import JobFilter
from whisperlive_hybrid.storage.rows import BatchRow, JobRow
from whisperlive_hybrid.storage.schema import HEAD
from whisperlive_hybrid.storage.tables import METADATA

pytestmark = pytest.mark.timeout(180)
NOW = 2000.0


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_server() as server:
        yield new_database(server, "contract")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/a.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres")


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async with Database(url) as opened:
        yield opened
        if not opened.is_sqlite:
            names = ", ".join(table.name for table in METADATA.sorted_tables)
            await opened.write(lambda c: c.execute(text(f"TRUNCATE {names}")))


async def add_jobs(database: Database, n: int = 1, **changes: Any) -> list[JobRow]:
    clip = make_clip()
    rows = sorted((make_job(clip.id, **changes) for _ in range(n)), key=lambda row: row.id)

    async def work(c: AsyncConnection) -> None:
        await clips.insert_clip(c, clip)
        await jobs.insert_jobs(c, rows)

    await database.write(work)
    return rows


async def take(database: Database, lease: str = "a", now: float = NOW) -> JobRow | None:
    return await database.write(lambda c: queue.take_job(c, lease=lease, now=now, until=now + 10))


async def test_the_migrations_make_what_the_tables_say(database: Database) -> None:
    def differences(connection: Connection) -> list[Any]:
        # The search is not part of the metadata, and Alembic does not tell which way an index is sorted.
        found = compare_metadata(MigrationContext.configure(connection), METADATA)
        return [d for d in found if "transcript_search" not in str(d) and "ix_job_queue" not in str(d)]

    assert await database.read(lambda c: c.run_sync(differences)) == []


async def test_a_database_is_made_once(url: str, database: Database) -> None:
    await add_jobs(database)
    async with Database(url) as again:
        assert len((await again.read(lambda c: jobs.page_of_jobs(c, JobFilter(), after=None, limit=9))).items) == 1


ADDED_SINCE = [("job", "route"), ("job", "kept"), ("job", "owner"), ("clip", "owner")]
"""The second step."""


async def test_jobs_of_before_are_kept_ones_of_nobody(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.sqlite"
    async with Database(url) as database:
        (row,) = await add_jobs(database)
    with sqlite3.connect(tmp_path / "a.sqlite") as connection:
        undo = ["DROP INDEX ix_clip_owner", "DROP INDEX ix_job_owner", "DROP TABLE usage"]
        undo += [f"ALTER TABLE {name} DROP COLUMN {column}" for name, column in ADDED_SINCE]
        for statement in undo:
            connection.execute(statement)
        connection.execute("UPDATE alembic_version SET version_num = '0002'")
    async with Database(url) as database:
        assert await database.read(lambda c: jobs.get_job(c, row.id)) == row


async def test_two_processes_may_make_it_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.sqlite"
    async with asyncio.timeout(30):
        opened = await asyncio.gather(*(Database(url).__aenter__() for _ in range(3)))
    for each in opened:
        await each.__aexit__(None, None, None)


async def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.sqlite"
    async with Database(url):
        pass
    with sqlite3.connect(tmp_path / "a.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(BadDatabase, match=f"9999.*{HEAD}"):
        async with Database(url):
            pass


@pytest.mark.parametrize("wrong", ["", "nonsense", "mysql://a/b", "sqlite://", "sqlite:///relative.sqlite"])
def test_wrong_urls(wrong: str) -> None:
    with pytest.raises(BadDatabase):
        Database(wrong)


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(BadDatabase, match="not a database"):
        async with Database(f"sqlite:///{tmp_path}/a.sqlite"):
            pass


async def test_the_file_is_private_and_written_through(tmp_path: Path) -> None:
    async with Database(f"sqlite:///{tmp_path}/new/a.sqlite") as database:
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "new/a.sqlite").stat().st_mode & 0o777 == 0o600
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            found = await database.read(lambda c, p=pragma: c.execute(text(f"PRAGMA {p}")))  # type: ignore[misc]
            assert found.scalar() == value


async def test_work_that_fails_leaves_nothing(database: Database) -> None:
    async def work(c: AsyncConnection) -> None:
        await clips.insert_clip(c, make_clip())
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await database.write(work)
    assert (await database.read(lambda c: clips.page_of_clips(c, ClipFilter(), after=None, limit=9))).items == ()


async def test_work_goes_on_when_its_caller_leaves(database: Database) -> None:
    begun = asyncio.Event()
    clip = make_clip()

    async def work(c: AsyncConnection) -> None:
        begun.set()
        await clips.insert_clip(c, clip)

    caller = asyncio.create_task(database.write(work))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    async with asyncio.timeout(10):
        while await database.read(lambda c: clips.get_clip(c, clip.id)) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_many_writers_and_readers_at_once(database: Database) -> None:
    (row,) = await add_jobs(database)

    async def count_up(c: AsyncConnection) -> None:
        found = await jobs.get_job(c, row.id, lock=True)
        assert found is not None
        await asyncio.sleep(0)
        await jobs.change_job(c, row.id, ["queued"], attempts=found.attempts + 1)

    reads = (database.read(lambda c: jobs.get_job(c, row.id)) for _ in range(20))
    await asyncio.gather(*(database.write(count_up) for _ in range(20)), *reads)
    found = await database.read(lambda c: jobs.get_job(c, row.id))
    assert found is not None
    assert found.attempts == 20


async def test_a_closed_database_says_so(url: str) -> None:
    async with Database(url) as database:
        pass
    with pytest.raises(StoreFailed):
        await database.read(jobs.count_jobs)


def test_a_full_disk_is_told_from_other_faults() -> None:
    assert isinstance(fault(OSError(28, "No space left on device")), DiskFull)
    assert isinstance(fault(OSError(5, "Input/output error")), StoreFailed)


async def test_a_database_that_another_program_writes_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whisperlive_hybrid.storage.database.BUSY_MS", 10)
    async with Database(f"sqlite:///{tmp_path}/a.sqlite") as database:
        with sqlite3.connect(tmp_path / "a.sqlite", isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreFailed) as busy:
                await database.write(jobs.count_jobs)
            assert await database.read(jobs.count_jobs) == {}, "readers go on"
            other.execute("ROLLBACK")
        assert await database.write(jobs.count_jobs) == {}
    assert busy.value.code == "storage_busy"


# --- clips ---


async def test_clips_are_found_by_what_they_are(database: Database) -> None:
    rows = [make_clip(name=f"take {i}.wav", created_at=1000.0 + i, sha256=str(i) * 64) for i in range(5)]
    rows[3] = make_clip(name="100%_done.flac", created_at=1003.0)

    async def work(c: AsyncConnection) -> None:
        for row in rows:
            await clips.insert_clip(c, row)
        await jobs.insert_jobs(c, [make_job(rows[0].id, state="done"), make_job(rows[1].id, state="queued")])

    await database.write(work)

    async def found(**which: Any) -> set[str]:
        page = await database.read(lambda c: clips.page_of_clips(c, ClipFilter(**which), after=None, limit=9))
        return {row.name for row in page.items}

    assert len(await found()) == 5
    assert await found(name="TAKE") == {"take 0.wav", "take 1.wav", "take 2.wav", "take 4.wav"}
    assert await found(name="%_") == {"100%_done.flac"}
    assert await found(sha256="2" * 64) == {"take 2.wav"}
    assert await found(job_state="done") == {"take 0.wav"}
    assert await found(job_state="none") == {"take 2.wav", "take 4.wav", "100%_done.flac"}
    assert await found(since=1001.0, until=1003.0) == {"take 1.wav", "take 2.wav"}
    assert await database.read(lambda c: clips.get_clip(c, rows[0].id)) == rows[0]
    assert await database.read(lambda c: clips.get_clip(c, "clip_none")) is None
    assert await database.read(lambda c: clips.known_clips(c, [rows[0].id, "clip_none"])) == {rows[0].id}


async def test_pages_follow_each_other_without_gap(database: Database) -> None:
    rows = await add_jobs(database, 7)
    seen: list[str] = []
    after: str | None = None
    for size in (3, 3, 1):
        page = await database.read(lambda c, a=after: jobs.page_of_jobs(c, JobFilter(), after=a, limit=3))  # type: ignore[misc]
        assert len(page.items) == size
        seen += [row.id for row in page.items]
        after = page.after
    assert after is None
    assert seen == sorted((row.id for row in rows), reverse=True)


async def test_requests_are_rows_that_nobody_takes(database: Database) -> None:
    """And whose process says that it lives."""
    held = [
        replace(make_job(None, state=state, kept=False, route="/transcribe"), lease="a", lease_until=NOW + 10)
        for state in ("queued", "running")
    ]
    old = make_job(None, state="done", kept=False, created_at=5.0)
    (kept,) = await add_jobs(database)
    queued, running = held
    await database.write(lambda c: direct.record_direct(c, "a", [*held, old], []))
    assert [row.id async for row in all_taken(database)] == [kept.id]
    assert await database.read(lambda c: queue.next_due(c, NOW)) == NOW + 10, "of the job that is kept"
    assert await database.read(lambda c: jobs.queue_place(c, queued)) == 0
    which = JobFilter(kept=False, route="/transcribe")
    page = await database.read(lambda c: jobs.page_of_jobs(c, which, after=None, limit=9))
    assert {row.id for row in page.items} == {queued.id, running.id}

    await database.write(lambda c: direct.ask_cancel(c, running.id))
    assert await database.read(lambda c: direct.cancels_of_direct(c, "a")) == [running.id]
    assert await database.read(lambda c: direct.cancels_of_direct(c, "b")) == []
    done = replace(queued, state="done", lease=None, lease_until=None, finished_at=NOW, n_segments=3)
    await database.write(lambda c: direct.record_direct(c, "a", [], [done]))
    assert await database.read(lambda c: jobs.get_job(c, queued.id)) == done

    await database.write(lambda c: direct.extend_direct(c, "a", NOW + 30))
    assert await database.write(lambda c: direct.fail_lost(c, NOW + 20)) == 0
    assert await database.write(lambda c: direct.fail_lost(c, NOW + 40)) == 1
    failed = await database.read(lambda c: jobs.get_job(c, running.id))
    assert failed is not None
    assert (failed.state, failed.error_code, failed.lease) == ("failed", "interrupted", None)
    late = replace(running, state="done")
    await database.write(lambda c: direct.record_direct(c, "a", [], [late]))
    assert await database.read(lambda c: jobs.get_job(c, running.id)) == failed, "it has lost its lease"

    assert await database.write(lambda c: direct.forget_direct(c, 10.0, 9)) == 1
    assert await database.write(lambda c: direct.forget_direct(c, 5000.0, 1)) == 1
    assert await database.write(lambda c: direct.forget_direct(c, 5000.0, 9)) == 1
    assert await database.read(jobs.count_jobs) == {"running": 1}


async def all_taken(database: Database) -> AsyncIterator[JobRow]:
    while (row := await take(database, "w")) is not None:
        yield row


async def test_who_held_requests_is_dead(database: Database) -> None:
    waiting = replace(make_job(None, kept=False), lease="a", lease_until=NOW + 10)
    await database.write(lambda c: direct.record_direct(c, "a", [waiting], []))
    await database.write(queue.void_leases)
    assert await database.write(lambda c: direct.fail_lost(c, NOW)) == 1


async def test_a_clip_goes_with_all_that_was_made_of_it(database: Database) -> None:
    done, running = await add_jobs(database, 2)
    assert done.clip_id is not None

    async def work(c: AsyncConnection) -> None:
        await transcripts.insert_transcript(c, make_transcript(done, "seven eight"))
        await queue.add_chunks(c, running.id, 0, [b"x"])

    await database.write(work)
    clip_id = done.clip_id
    assert await database.write(lambda c: clips.delete_clip(c, clip_id))
    assert not await database.write(lambda c: clips.delete_clip(c, clip_id))
    assert await database.read(jobs.count_jobs) == {}
    assert await database.read(lambda c: transcripts.transcript_of_clip(c, clip_id)) is None
    assert await database.read(lambda c: jobs.chunks_of(c, running.id)) == []
    found = await database.read(lambda c: transcripts.page_of_transcripts(c, words="seven", after=None, limit=9))
    assert found.items == ()


async def test_what_keeps_a_clip_from_growing_too_old(database: Database) -> None:
    (waiting,) = await add_jobs(database)
    old = make_clip(created_at=1.0)
    await database.write(lambda c: clips.insert_clip(c, old))
    assert await database.read(lambda c: clips.clips_before(c, 5000.0, 9)) == [old.id]
    await database.write(lambda c: jobs.change_job(c, waiting.id, ["queued"], state="done"))
    assert await database.read(lambda c: clips.clips_before(c, 5000.0, 9)) == [old.id, waiting.clip_id]
    assert await database.read(lambda c: clips.clips_before(c, 500.0, 9)) == [old.id]


# --- the queue ---


async def test_jobs_are_taken_by_priority_and_age(database: Database) -> None:
    rows = await add_jobs(database, 3)
    urgent, *_ = await add_jobs(database, 1, priority=5)
    later, *_ = await add_jobs(database, 1, not_before=NOW + 50)
    taken = [await take(database, str(i)) for i in range(5)]
    assert [row.id if row else None for row in taken] == [urgent.id, *(row.id for row in rows), None]
    first = taken[0]
    assert first is not None
    assert (first.state, first.lease, first.lease_until, first.attempts, first.losses) == (
        "running",
        "0",
        NOW + 10,
        1,
        0,
    )
    assert first.started_at == NOW
    assert await database.read(lambda c: queue.next_due(c, NOW)) == NOW + 10
    assert later.id not in [row.id for row in taken if row]


async def test_nothing_is_taken_twice(database: Database) -> None:
    rows = await add_jobs(database, 30)
    taken = await asyncio.gather(*(take(database, str(i)) for i in range(40)))
    assert sorted(row.id for row in taken if row is not None) == [row.id for row in rows]


async def test_what_was_begun_goes_first(database: Database) -> None:
    begun, *_ = await add_jobs(database, 1, priority=-5)
    assert await take(database, "dies") is not None
    await add_jobs(database, 1, priority=5)
    again = await take(database, "lives", NOW + 11)
    assert again is not None
    assert again.id == begun.id


async def test_what_was_left_twice_waits(database: Database) -> None:
    waits, *_ = await add_jobs(database)
    other, *_ = await add_jobs(database)

    async def take_one(now: float) -> JobRow | None:
        return await database.write(
            lambda c: queue.take_job(
                c, lease="a", now=now, until=now + 1, wait_after_loss=lambda n: 50.0 if n > 1 else 0.0
            )
        )

    first, second = await take_one(NOW), await take_one(NOW + 2)
    assert first is not None
    assert second is not None
    assert (first.id, second.id, second.losses) == (waits.id, waits.id, 1)
    third = await take_one(NOW + 4)
    assert third is not None
    assert third.id == other.id, "the others go on"
    shown = await database.read(lambda c: jobs.get_job(c, waits.id))
    assert shown is not None
    assert (shown.state, shown.losses, shown.attempts, shown.not_before) == ("queued", 2, 2, NOW + 54)
    again = await take_one(NOW + 55)
    assert again is not None
    assert again.id in (waits.id, other.id)


async def test_long_lists_are_read_from_their_heads(tmp_path: Path) -> None:
    """Nothing that is asked again and again sorts what it does not show."""
    async with Database(f"sqlite:///{tmp_path}/a.sqlite") as database:
        await add_jobs(database)
        for work in (
            lambda c: queue.take_job(c, lease="a", now=NOW, until=NOW + 10),
            lambda c: jobs.page_of_jobs(c, JobFilter(), after=None, limit=9),
            lambda c: clips.page_of_clips(c, ClipFilter(), after="x", limit=9),
            lambda c: transcripts.page_of_transcripts(c, after=None, limit=9),
            lambda c: deliveries.take_delivery(c, lease="a", now=NOW, until=NOW + 10),
            jobs.count_jobs,
        ):
            for plan in await plans(database, work):
                assert "TEMP B-TREE" not in plan, plan
                assert "SCAN job\n" not in plan, plan


async def plans(database: Database, work: Callable[[AsyncConnection], Awaitable[Any]]) -> list[str]:
    """How SQLite carries out each of the statements of `work`."""
    asked: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        asked.append((statement, parameters))

    async def noted(c: AsyncConnection) -> list[str]:
        event.listen(c.sync_connection, "before_cursor_execute", note)
        await work(c)
        event.remove(c.sync_connection, "before_cursor_execute", note)
        found = []
        for statement, parameters in asked:
            rows = await c.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            found.append("\n".join([*(row[3] for row in rows), statement]))
        return found

    return await database.write(noted)


async def test_places_in_the_queue(database: Database) -> None:
    rows = await add_jobs(database, 3)
    urgent, *_ = await add_jobs(database, 1, priority=5)
    for row, place in [(urgent, 0), *zip(rows, (1, 2, 3), strict=True)]:
        assert await database.read(lambda c, r=row: jobs.queue_place(c, r)) == place  # type: ignore[misc]
    taken = await take(database)
    assert taken is not None
    assert taken.id == urgent.id
    asked = [urgent.id, rows[2].id, rows[1].id, "job_none"]
    assert await database.read(lambda c: jobs.queue_places(c, asked)) == {rows[1].id: 1, rows[2].id: 2}


async def test_how_far_batches_are(database: Database) -> None:
    batch, empty = BatchRow("batch_1", "talks", NOW), BatchRow("batch_2", "", NOW)
    clip = make_clip()
    rows = [make_job(clip.id, batch_id=batch.id, total_s=s) for s in (4.0, 6.0, None)]

    async def work(c: AsyncConnection) -> None:
        await clips.insert_clip(c, clip)
        await jobs.insert_jobs(c, rows, batch)
        await jobs.insert_jobs(c, [], empty)
        await jobs.change_job(c, rows[0].id, ["queued"], state="done", done_s=4.0)
        await jobs.change_job(c, rows[1].id, ["queued"], done_s=1.5)

    await database.write(work)
    found = await database.read(lambda c: jobs.batch_totals(c, [batch.id, empty.id, "batch_none"]))
    assert {each.row: set(each.states) for each in found} == {
        batch: {jobs.StateTotals("done", 1, 4.0, 4.0), jobs.StateTotals("queued", 2, 1.5, 6.0)},
        empty: set(),
    }


async def test_a_job_whose_worker_died_is_taken_by_another(database: Database) -> None:
    await add_jobs(database)
    first = await take(database, "first")
    assert first is not None
    assert await take(database, "second", NOW + 9) is None
    second = await take(database, "second", NOW + 11)
    assert second is not None
    assert (second.id, second.attempts, second.losses, second.started_at) == (first.id, 2, 1, NOW)

    async def write(lease: str) -> bool:
        return await database.write(lambda c: queue.change_leased(c, first.id, lease, done_s=3.0))

    assert not await write("first")
    assert await write("second")


async def test_leases_are_kept_and_tell_of_cancels(database: Database) -> None:
    await add_jobs(database, 2)
    one, two = await take(database, "one"), await take(database, "two")
    assert one is not None
    assert two is not None
    await database.write(lambda c: jobs.change_job(c, two.id, ["running"], cancel_asked=True))
    expected = {"one": False, "two": True}
    names = ["one", "two", "three"]
    assert await database.write(lambda c: queue.extend_leases(c, names, NOW + 100)) == expected
    assert await database.read(lambda c: queue.cancels_asked(c, names)) == expected
    assert await take(database, "late", NOW + 50) is None
    await database.write(lambda c: jobs.change_job(c, one.id, ["running"], state="done"))
    assert await database.write(lambda c: queue.extend_leases(c, names, NOW + 200)) == {"two": True}


async def test_equal_jobs_wait_for_each_other(database: Database) -> None:
    one, _two = await add_jobs(database, 2, content_key="same")
    first = await take(database, "first")
    assert first is not None
    assert first.id == one.id
    assert await take(database, "second") is None
    fresh, *_ = await add_jobs(database, 1, content_key="same", fresh=True)
    forced = await take(database, "second")
    assert forced is not None
    assert forced.id == fresh.id

    async def finish(c: AsyncConnection) -> None:
        for lease, row in (("first", first), ("second", forced)):
            assert await queue.change_leased(c, row.id, lease, state="done", lease=None, lease_until=None)
            await transcripts.insert_transcript(c, make_transcript(row, f"of {lease}"))

    await database.write(finish)
    assert await take(database, "third") is not None
    found = await database.read(lambda c: transcripts.transcript_by_content(c, "same"))
    assert found is not None
    assert found.text == "of second"


async def test_chunks_come_back_in_order(database: Database) -> None:
    (row,) = await add_jobs(database)
    await database.write(lambda c: queue.add_chunks(c, row.id, 0, [b"0", b"1"]))
    await database.write(lambda c: queue.add_chunks(c, row.id, 2, [b"2"]))
    with pytest.raises(IntegrityError):
        await database.write(lambda c: queue.add_chunks(c, row.id, 2, [b"again"]))
    assert await database.read(lambda c: jobs.chunks_of(c, row.id)) == [b"0", b"1", b"2"]
    assert await database.read(lambda c: jobs.chunks_of(c, row.id, 2)) == [b"2"]
    await database.write(lambda c: jobs.forget_chunks(c, row.id))
    assert await database.read(lambda c: jobs.chunks_of(c, row.id)) == []


async def test_lists_of_jobs(database: Database) -> None:
    a, b = await add_jobs(database, 2)
    other, *_ = await add_jobs(database, 1, state="failed", created_at=5.0)
    of = BatchRow("batch_1", "all", 1000.0)
    member = make_job(a.clip_id, batch_id=of.id)
    await database.write(lambda c: jobs.insert_jobs(c, [member], of))

    async def found(**which: Any) -> set[str]:
        page = await database.read(lambda c: jobs.page_of_jobs(c, JobFilter(**which), after=None, limit=9))
        return {row.id for row in page.items}

    assert await found(states=("failed", "done")) == {other.id}
    assert await found(clip_id=a.clip_id) == {a.id, b.id, member.id}
    assert await found(batch_id=of.id) == {member.id}
    assert await found(until=1000.0) == {other.id}
    assert await database.read(lambda c: jobs.get_batch(c, of.id)) == of
    assert await database.read(lambda c: jobs.jobs_of_batch(c, of.id)) == [member]
    assert await database.read(jobs.count_jobs) == {"queued": 3, "failed": 1}
    assert await database.read(lambda c: jobs.count_jobs(c, kept=True)) == {"queued": 3, "failed": 1}
    assert await database.read(lambda c: jobs.count_jobs(c, kept=False)) == {}
    latest = await database.read(lambda c: jobs.latest_jobs(c, [str(a.clip_id), str(other.clip_id), "x"]))
    assert {k: v.id for k, v in latest.items()} == {a.clip_id: member.id, other.clip_id: other.id}
    assert await database.write(lambda c: jobs.delete_job(c, member.id))
    assert await database.write(lambda c: jobs.delete_empty_batches(c, 500.0)) == 0
    assert await database.write(lambda c: jobs.delete_empty_batches(c, 5000.0)) == 1


async def test_a_job_needs_its_clip(database: Database) -> None:
    with pytest.raises(IntegrityError):
        await database.write(lambda c: jobs.insert_jobs(c, [make_job("clip_none")]))


# --- transcripts ---


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("seven", {"one"}),
        ("SEVEN eight", {"one"}),
        ("seven nine", set()),
        ("zwölf", {"two"}),
        ('"seven', {"one"}),
        ("seven OR zwölf", set()),
        ("text:seven", set()),
        ("sev*", set()),
    ],
)
async def test_transcripts_are_found_by_their_words(database: Database, words: str, found: set[str]) -> None:
    one, two = await add_jobs(database, 2)

    async def work(c: AsyncConnection) -> None:
        await transcripts.insert_transcript(c, make_transcript(one, "six, seven; eight"))
        await transcripts.insert_transcript(c, make_transcript(two, "Elf, zwölf"))

    await database.write(work)
    page = await database.read(lambda c: transcripts.page_of_transcripts(c, words=words, after=None, limit=9))
    assert {"one" if row.job_id == one.id else "two" for row in page.items} == found


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("sev", {"one", "three"}),
        ("six SEV", {"one"}),
        ("sev six", set()),
        ("elf zwö", {"two"}),
        ("e", {"one", "two"}),
        ("seven's", {"three"}),
        ("it sevens", set()),
        ('sev"', {"one", "three"}),
        ("sev'", {"one", "three"}),
        ("sev\\", {"one", "three"}),
        ("sev:*", {"one", "three"}),
        ("six & sev", {"one"}),
        ("!", set()),
        (" ", set()),
    ],
)
async def test_the_last_word_may_be_a_beginning(database: Database, words: str, found: set[str]) -> None:
    one, two, three = await add_jobs(database, 3)
    names = {one.id: "one", two.id: "two", three.id: "three"}

    async def work(c: AsyncConnection) -> None:
        await transcripts.insert_transcript(c, make_transcript(one, "six, seven; eight"))
        await transcripts.insert_transcript(c, make_transcript(two, "Elf, zwölf"))
        await transcripts.insert_transcript(c, make_transcript(three, "it is seven's"))

    await database.write(work)
    page = await database.read(
        lambda c: transcripts.page_of_transcripts(c, words=words, prefix=True, after=None, limit=9)
    )
    assert {names[row.job_id] for row in page.items} == found


async def test_a_job_has_one_transcript(database: Database) -> None:
    (row,) = await add_jobs(database)
    await database.write(lambda c: transcripts.insert_transcript(c, make_transcript(row)))
    with pytest.raises(IntegrityError):
        await database.write(lambda c: transcripts.insert_transcript(c, make_transcript(row)))
    assert await database.read(lambda c: transcripts.transcript_of_job(c, row.id)) == make_transcript(row)
    clip_id = str(row.clip_id)
    assert await database.read(lambda c: transcripts.transcript_of_clip(c, clip_id)) == make_transcript(row)
    assert await database.write(lambda c: transcripts.delete_transcripts_of_clip(c, clip_id)) == 1
    assert await database.read(lambda c: transcripts.transcript_of_clip(c, clip_id)) is None


# --- webhooks ---


async def test_webhooks_are_taken_when_due_and_sent_again_under_their_id(database: Database) -> None:
    first, second = make_delivery("job_1"), make_delivery("job_2", next_at=NOW + 5)
    await database.write(lambda c: deliveries.insert_deliveries(c, [first, second]))

    async def take_one(lease: str, now: float) -> str | None:
        row = await database.write(lambda c: deliveries.take_delivery(c, lease=lease, now=now, until=now + 30))
        return None if row is None else row.id

    assert await take_one("a", NOW) == first.id
    assert await take_one("b", NOW) is None
    assert await database.read(deliveries.next_delivery_at) == NOW + 5
    assert not await database.write(lambda c: deliveries.send_again(c, first.id, NOW))
    assert not await database.write(lambda c: deliveries.settle_delivery(c, first.id, "b", state="delivered"))
    values: dict[str, Any] = {"state": "delivered", "delivered_at": NOW, "last_status": 204}
    assert await database.write(lambda c: deliveries.settle_delivery(c, first.id, "a", **values))
    assert await take_one("c", NOW + 6) == second.id
    assert await take_one("d", NOW + 37) == second.id  # "c" died
    assert await database.write(lambda c: deliveries.send_again(c, first.id, NOW))
    assert await take_one("e", NOW) == first.id
    page = await database.read(lambda c: deliveries.page_of_deliveries(c, state="waiting", after=None, limit=9))
    assert {row.id for row in page.items} == {first.id, second.id}
    of_job = await database.read(lambda c: deliveries.page_of_deliveries(c, job_id="job_2", after=None, limit=9))
    assert [(row.id, row.attempts) for row in of_job.items] == [(second.id, 2)]
    assert await database.write(lambda c: deliveries.forget_deliveries(c, 5000.0)) == 0


# --- idempotency ---


async def test_a_key_is_remembered_with_what_it_did_or_not_at_all(database: Database) -> None:
    what = Remembered("k" * 64, "f" * 64, b"{}", NOW)
    await database.write(lambda c: remember(c, what))
    clip = make_clip()

    async def again(c: AsyncConnection) -> None:
        await clips.insert_clip(c, clip)
        await remember(c, what)

    with pytest.raises(IntegrityError):
        await database.write(again)
    assert await database.read(lambda c: clips.get_clip(c, clip.id)) is None
    assert await database.read(lambda c: remembered(c, what.key)) == what
    assert await database.write(lambda c: forget_keys(c, NOW)) == 0
    assert await database.write(lambda c: forget_keys(c, NOW + 1)) == 1
    assert await database.read(lambda c: remembered(c, what.key)) is None
