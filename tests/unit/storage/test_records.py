from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from whisperlive_hybrid.storage.records import SCHEMA_VERSION, Record, RecordStore, StoreFailed


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_what_is_written_is_there_for_the_next_process_that_knows_the_secret(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "live.sqlite"
    async with RecordStore(path, keep_s=60) as store:
        await store.create("a", "secret", b"1")
        assert await store.save("a", b"2", [(3, b"three"), (5, b"five")])
        assert await store.save("a", b"3", [(9, b"nine")], forget_upto=3)
        assert await store.owns("a")
    async with RecordStore(path, keep_s=60) as other:
        assert await other.take("a", "wrong") is None
        assert await other.take("b", "secret") is None
        assert not await other.owns("a")
        assert await other.take("a", "secret") == Record(b"3", ((5, b"five"), (9, b"nine")))
        assert await other.owns("a")
        await other.delete("a")
        assert await other.take("a", "secret") is None


async def test_the_process_whose_record_was_taken_over_learns_it_at_its_next_write(tmp_path: Path) -> None:
    path = tmp_path / "live.sqlite"
    async with RecordStore(path, keep_s=60) as first, RecordStore(path, keep_s=60) as second:
        await first.create("a", "secret", b"1")
        assert await second.take("a", "secret") == Record(b"1", ())
        assert not await first.save("a", b"stale", [(1, b"stale")])
        await first.delete("a")
        assert await second.save("a", b"2")
        assert await first.take("a", "secret") == Record(b"2", ())


async def test_only_one_of_many_takers_of_many_processes_owns_it_in_the_end(tmp_path: Path) -> None:
    path = tmp_path / "live.sqlite"
    async with RecordStore(path, keep_s=60) as first, RecordStore(path, keep_s=60) as second:
        await first.create("a", "secret", b"1")
        taken = await asyncio.gather(*(s.take("a", "secret") for s in (first, second) * 5))
        assert all(taken)
        assert [await first.owns("a"), await second.owns("a")].count(True) == 1


async def test_a_record_nobody_keeps_alive_is_gone_and_one_of_a_living_process_is_not(tmp_path: Path) -> None:
    path, clock = tmp_path / "live.sqlite", Clock()
    async with RecordStore(path, keep_s=0.4, clock=clock) as store:
        await store.create("a", "secret", b"1")
        clock.now += 0.3
        reader = sqlite3.connect(path)  # it says that it is alive
        async with asyncio.timeout(20):
            while reader.execute("SELECT touched FROM record").fetchone() != (clock.now,):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        reader.close()
        clock.now += 0.2
    clock.now += 0.1
    async with RecordStore(path, keep_s=0.4, clock=clock) as store:  # in time: the client has its time from now on
        clock.now += 0.39
        assert await store.take("a", "secret") == Record(b"1", ())
    clock.now += 0.5
    async with RecordStore(path, keep_s=0.4, clock=clock) as store:
        assert await store.take("a", "secret") is None
    assert sqlite3.connect(path).execute("SELECT count(*) FROM record").fetchone() == (0,)


async def test_a_record_that_was_let_go_may_be_taken_and_expires_though_its_process_lives(tmp_path: Path) -> None:
    clock = Clock()
    async with RecordStore(tmp_path / "live.sqlite", keep_s=0.4, clock=clock) as store:
        await store.create("a", "secret", b"1")
        await store.create("b", "secret", b"2")
        for id in ("a", "b"):
            await store.let_go(id)
            assert not await store.owns(id)
        assert await store.take("a", "secret") == Record(b"1", ())
        clock.now += 0.5
        reader = sqlite3.connect(tmp_path / "live.sqlite")
        async with asyncio.timeout(20):
            while reader.execute("SELECT id FROM record").fetchall() != [("a",)]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        reader.close()


async def test_jobs_that_come_together_are_one_transaction_and_a_bad_one_spoils_none(tmp_path: Path) -> None:
    async with RecordStore(tmp_path / "live.sqlite", keep_s=60) as store:
        results = await asyncio.gather(
            *(store.create(str(n % 7), "secret", b"x") for n in range(10)), return_exceptions=True
        )
        assert [isinstance(r, StoreFailed) for r in results] == [False] * 7 + [True] * 3
        assert all([await store.owns(str(n)) for n in range(7)])
    with pytest.raises(StoreFailed):
        await store.owns("1")


async def test_a_file_that_another_program_locks_holds_nobody_up_for_long(tmp_path: Path) -> None:
    path = tmp_path / "live.sqlite"
    async with RecordStore(path, keep_s=60) as store:
        for id in "abcdefgh":
            await store.create(id, "secret", b"1")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        loop = asyncio.get_running_loop()
        began = loop.time()
        results = await asyncio.gather(*(store.save(id, b"2") for id in "abcdefgh"), return_exceptions=True)
        assert loop.time() - began < 5  # one wait of a second or two, not one for each
        assert all(isinstance(result, StoreFailed) for result in results)
        other.execute("ROLLBACK")
        other.close()
        assert await store.save("a", b"3")


async def test_only_its_user_can_read_the_file_and_what_was_deleted_is_not_in_it(tmp_path: Path) -> None:
    path = tmp_path / "data" / "live.sqlite"
    async with RecordStore(path, keep_s=60) as store:
        await store.create("a", "the secret", b"x")
        await store.save("a", b"x", [(1, b"what was said" * 100)])
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
            assert b"the secret" not in file.read_bytes()
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        await store.delete("a")
    assert not [f for f in path.parent.iterdir() if b"what was said" in f.read_bytes()]


async def test_a_damaged_file_is_put_aside_and_a_file_of_another_version_emptied(tmp_path: Path) -> None:
    path = tmp_path / "live.sqlite"
    path.write_bytes(b"not a database" * 1000)
    async with RecordStore(path, keep_s=60) as store:
        await store.create("a", "secret", b"1")
    assert (tmp_path / "live.sqlite.damaged").exists()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    async with RecordStore(path, keep_s=60) as store:
        assert await store.take("a", "secret") is None
        await store.create("a", "secret", b"1")


def _scribble(path: Path) -> None:
    """Spoil every page behind the first: the header says that all is well."""
    data = bytearray(path.read_bytes())
    assert len(data) > 3 * 4096
    for at in range(4096, len(data), 4096):
        data[at : at + 64] = bytes(range(100, 164))
    path.write_bytes(data)


def _empty(path: Path) -> None:
    """A database that says it is ours and has no tables."""
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    other.close()


def _of_another_program(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE VIEW record AS SELECT 1")
    other.close()


@pytest.mark.parametrize("spoil", [_scribble, _empty, _of_another_program])
async def test_a_file_that_opens_and_cannot_be_used_is_put_aside(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = tmp_path / "live.sqlite"
    async with RecordStore(path, keep_s=60) as store:
        for id in "abcdefgh":
            await store.create(id, "secret", bytes(5000))
            assert await store.save(id, bytes(5000), [(1, bytes(500))])
    spoil(path)
    async with RecordStore(path, keep_s=60) as store:
        assert await store.take("a", "secret") is None
        await store.create("a", "secret", b"1")
        assert await store.save("a", b"2", [(1, b"one")])
    assert (tmp_path / "live.sqlite.damaged").exists()


async def test_a_place_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        async with RecordStore(tmp_path / "file" / "live.sqlite", keep_s=60):
            pass


async def test_all_that_was_confirmed_before_a_kill_is_there(tmp_path: Path) -> None:
    path = tmp_path / "live.sqlite"
    script = """
import asyncio, os, signal, sys
from pathlib import Path
from whisperlive_hybrid.storage.records import RecordStore

async def main():
    async with RecordStore(Path(sys.argv[1]), keep_s=60) as store:
        await store.create("a", "secret", b"0")
        n = 0
        while True:
            n += 1
            await store.save("a", str(n).encode(), [(n, b"entry")])
            print(n, flush=True)

asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE) as process:  # noqa: ASYNC220
        assert process.stdout is not None
        confirmed = 0
        for line in process.stdout:
            confirmed = int(line)
            if confirmed == 200:
                process.kill()
    async with RecordStore(path, keep_s=60) as store:
        record = await store.take("a", "secret")
    assert record is not None
    assert int(record.body) >= confirmed >= 200
    assert [n for n, _ in record.entries] == list(range(1, int(record.body) + 1))
