"""What one client may have of storage and queue: counted in SQLite and in a real PostgreSQL, and refused over HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import openai
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.contracts.test_http_description import check
from tests.contracts.test_http_jobs import files_on_the_web
from tests.support.api_server import STORAGES, api_server, upload
from tests.support.clips import clips as recordings
from tests.support.http_server import HttpServer, http_server, wait_until
from tests.support.postgres import new_database, postgres_server
from tests.support.stored import make_clip, make_job
from whisperlive_hybrid.errors import OverLimit
from whisperlive_hybrid.jobs.quotas import Quotas
from whisperlive_hybrid.ops.clients import client_of_address
from whisperlive_hybrid.storage import clips, jobs
from whisperlive_hybrid.storage.database import Database
from whisperlive_hybrid.storage.ids import new_id
from whisperlive_hybrid.storage.rows import BatchRow
from whisperlive_hybrid.storage.tables import METADATA
from whisperlive_hybrid.storage.usage import DAY_S, charge, forget_usage, used_by

pytestmark = pytest.mark.timeout(180)
NOW = 20_000 * DAY_S + 3600
CLIP = next(c for c in recordings("en") if c.path.stem == "en-04")
SIZE = CLIP.path.stat().st_size
DAILY_S = CLIP.duration_s * 2.5
OWNERS = {"X-Forwarded-For": "198.51.100.1"}, {"X-Forwarded-For": "198.51.100.2"}


# --- counted in the database ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_server() as server:
        yield new_database(server, "quotas")


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    sqlite = request.param == "sqlite"
    async with Database(f"sqlite:///{tmp_path}/a.sqlite" if sqlite else request.getfixturevalue("postgres")) as opened:
        yield opened
        if not sqlite:
            names = ", ".join(table.name for table in METADATA.sorted_tables)
            await opened.write(lambda c: c.execute(text(f"TRUNCATE {names}")))


async def test_what_a_client_has(database: Database) -> None:
    async def fill(c: AsyncConnection) -> None:
        for owner, size in (("a", 10), ("a", 20), ("b", 40), (None, 80)):
            clip = make_clip(owner=owner, size_bytes=size, created_at=NOW - size)
            await clips.insert_clip(c, clip)
            states = [("queued", 1.0), ("queued", None), ("running", 2.0), ("done", 4.0), ("failed", 8.0)]
            await jobs.insert_jobs(c, [make_job(clip.id, owner=owner, state=s, total_s=t) for s, t in states])

    await database.write(fill)
    used = await database.read(lambda c: used_by(c, "a", NOW))
    assert (used.stored_bytes, used.queued_jobs, used.audio_s, used.oldest_at) == (30, 4, 6.0, NOW - 20)
    nobody = await database.read(lambda c: used_by(c, "c", NOW))
    assert (nobody.stored_bytes, nobody.queued_jobs, nobody.audio_s, nobody.oldest_at) == (0, 0, 0.0, None)


async def test_audio_is_counted_by_day(database: Database) -> None:
    async def fill(c: AsyncConnection) -> None:
        await charge(c, "a", 3.0, NOW)
        await charge(c, "a", 4.5, NOW + 60)
        await charge(c, "a", 100.0, NOW + DAY_S)
        await charge(c, "b", 1000.0, NOW)
        await charge(c, None, 1000.0, NOW)
        await charge(c, "a", 0.0, NOW)

    await database.write(fill)
    assert (await database.read(lambda c: used_by(c, "a", NOW))).audio_s == 7.5
    assert (await database.read(lambda c: used_by(c, "a", NOW + DAY_S))).audio_s == 100.0

    await database.write(lambda c: forget_usage(c, NOW + DAY_S))
    assert (await database.read(lambda c: used_by(c, "a", NOW))).audio_s == 0.0
    assert (await database.read(lambda c: used_by(c, "a", NOW + DAY_S))).audio_s == 100.0


async def test_a_quota_holds_where_many_add_at_once(database: Database) -> None:
    """As several requests, or several servers, do: each sees what those before it have added."""
    quotas = Quotas(stored_bytes=30)

    async def add(c: AsyncConnection) -> None:
        await quotas.check(c, "a", NOW, new_bytes=10)
        await clips.insert_clip(c, make_clip(owner="a", size_bytes=10))

    results = await asyncio.gather(*(database.write(add) for _ in range(8)), return_exceptions=True)
    assert sorted(type(r).__name__ for r in results) == ["NoneType"] * 3 + ["OverLimit"] * 5
    assert all(isinstance(r, OverLimit) for r in results if r is not None)
    assert (await database.read(lambda c: used_by(c, "a", NOW))).stored_bytes == 30


# --- refused over HTTP ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=STORAGES)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    """Room for two of the clips, two waiting jobs, and the audio of two clips in a day."""
    room = {"client_storage_mb": SIZE * 2.5 / 1e6, "client_queued_jobs": 2, "client_audio_s_per_day": DAILY_S}
    with api_server(request.param, tmp_path_factory.mktemp("quotas"), **room) as running:
        yield running


@pytest.fixture
def client(server: HttpServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers=OWNERS[0], timeout=60) as http:
        yield http
        for clip in http.get("/api/audio").json()["clips"]:
            http.delete(f"/api/audio/{clip['clip_id']}")


def test_stored_bytes_end_somewhere_and_deletion_frees_them_at_once(client: httpx.Client) -> None:
    first, second = upload(client, CLIP), upload(client, CLIP)
    assert (first.status_code, second.status_code) == (201, 201)
    refused = upload(client, CLIP)
    check(refused, "/api/audio")
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert (error["code"], error["used"]) == ("too_much_stored", SIZE * 2)
    assert "delete clips to make room" in error["message"]
    assert int(refused.headers["Retry-After"]) > 0
    assert refused.headers["x-should-retry"] == "false"
    assert upload(client, CLIP, headers=OWNERS[1]).status_code == 201, "another client has room of its own"

    assert client.delete(f"/api/audio/{first.json()['clip_id']}").status_code == 204
    assert upload(client, CLIP).status_code == 201


def test_what_is_too_much_is_not_even_read(client: httpx.Client, server: HttpServer) -> None:
    """The answer comes though nothing but a length was sent."""
    address = urlsplit(server.url)
    head = f"POST /api/audio HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {OWNERS[0]['X-Forwarded-For']}\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(f"{head}Content-Type: audio/flac\r\nContent-Length: {SIZE * 3 + 100_000}\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.1 429"


def test_a_batch_of_too_many_jobs(client: httpx.Client, server: HttpServer) -> None:
    id = upload(client, CLIP).json()["clip_id"]
    refused = client.post("/api/jobs", json={"clip_id": [id, id, id]})
    check(refused, "/api/jobs")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_jobs")
    assert "of 2 that it may have, and these are 3 more" in refused.json()["error"]["message"]
    assert client.get("/api/jobs").json()["jobs"] == []


def test_audio_of_a_day_is_used_up_though_its_jobs_are_deleted(client: httpx.Client) -> None:
    client.headers["Cache-Control"] = "no-cache"
    seconds = 0.0
    for _ in range(3):
        id = upload(client, CLIP).json()["clip_id"]
        answer = client.post(f"/api/transcribe?clip_id={id}")
        if answer.status_code == 429:
            break
        check(answer, "/api/transcribe")
        seconds += client.get(f"/api/audio/{id}").json()["duration"]
        client.delete(f"/api/audio/{id}")
    assert seconds == pytest.approx(CLIP.duration_s * 2, abs=0.1)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (429, "too_much_audio")
    assert error["used"] == pytest.approx(seconds, abs=0.1)
    assert "at 00:00 UTC" in error["message"]
    assert upload(client, CLIP).status_code == 201, "it may still be kept"


def test_jobs_that_are_tried_again_are_counted_like_new_ones(client: httpx.Client, server: HttpServer) -> None:
    """Else a client could have any number of jobs wait: file, cancel, and so on; then try all of them again."""
    clip, owner = make_clip(), client_of_address(OWNERS[0]["X-Forwarded-For"])
    much = DAILY_S * 2  # more audio than is left, in any case
    batch = BatchRow(new_id("batch"), "over", NOW)
    over = [make_job(clip.id, owner=owner, state="cancelled", batch_id=batch.id) for _ in range(2)]
    long = make_job(clip.id, owner=owner, state="failed", total_s=much)
    waiting = [make_job(clip.id, owner=owner, not_before=1e12) for _ in range(2)]

    async def fill(c: AsyncConnection) -> None:
        await clips.insert_clip(c, clip)
        await jobs.insert_jobs(c, [*over, long], batch)

    assert server.services.jobs is not None
    database = server.services.jobs.database
    server.call(database.write(fill))
    refused = client.post(f"/api/jobs/{long.id}/retry")
    check(refused, "/api/jobs/{id}/retry")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_much_audio")

    server.call(database.write(lambda c: jobs.insert_jobs(c, waiting)))
    for id in (over[0].id, batch.id):
        refused = client.post(f"/api/jobs/{id}/retry")
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_jobs"), id
    assert {client.get(f"/api/jobs/{row.id}").json()["state"] for row in over} == {"cancelled"}


def test_requests_sent_at_once_share_the_audio_of_a_day(tmp_path: Path) -> None:
    """None of them was heard yet when the others came."""
    room = {"client_audio_s_per_day": DAILY_S, "max_file_jobs": 1}

    def ask(url: str) -> int:
        return httpx.post(f"{url}/transcribe", files={"file": CLIP.path.read_bytes()}, timeout=60).status_code

    with (
        http_server(tmp_path / "uploads", data_dir=tmp_path / "data", **room) as server,
        ThreadPoolExecutor(8) as threads,
    ):
        answers = sorted(threads.map(ask, [server.url] * 8))
    assert answers == [200] * 3 + [429] * 5, "two and a half are allowed, and the third may cross the line"


def test_audio_behind_urls_is_counted_when_it_has_come(tmp_path: Path) -> None:
    """Nobody knew how long it is when the jobs were filed, of any number of them."""
    with files_on_the_web() as port:
        room = {"client_audio_s_per_day": DAILY_S, "url_allow_hosts": f"127.0.0.1:{port}", "max_file_jobs": 1}
        url = f"http://127.0.0.1:{port}/{CLIP.path.name}"
        with (
            http_server(tmp_path / "uploads", data_dir=tmp_path / "data", **room) as server,
            httpx.Client(base_url=server.url, headers={"Cache-Control": "no-cache"}, timeout=60) as client,
        ):
            batch = client.post("/api/jobs", json={"url": [url] * 4}).json()["job_id"]
            wait_until(lambda: client.get(f"/api/jobs/{batch}").json()["state"] not in ("queued", "running"))
            found = client.get("/api/jobs", params={"batch_id": batch}).json()["jobs"]
            stored = client.get("/api/audio").json()["clips"]
    failed = [job for job in found if job["state"] == "failed"]
    assert [job["error"]["code"] for job in failed] == ["too_much_audio"] * 2
    assert [job["clip_id"] for job in failed] == [None] * 2
    assert len(stored) == 2


@pytest.mark.parametrize("keep_hours", [0.0, 24.0])
def test_audio_of_requests_that_wait_for_their_answer_counts_too(tmp_path: Path, keep_hours: float) -> None:
    settings = {"data_dir": tmp_path / "data", "client_audio_s_per_day": DAILY_S, "direct_job_hours": keep_hours}
    with http_server(tmp_path / "uploads", **settings) as server:
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="any")  # which tries again, as it comes

        def transcribe() -> str:
            file = (CLIP.path.name, CLIP.path.read_bytes())
            return client.audio.transcriptions.create(model="whisper-1", file=file).text

        texts = [transcribe() for _ in range(3)]  # the third crosses the line, and is done
        assert all(texts)
        with pytest.raises(openai.RateLimitError) as refused:
            transcribe()
        assert refused.value.response.headers["x-should-retry"] == "false"
        assert (refused.value.code, refused.value.type) == ("insufficient_quota", "insufficient_quota")
        assert f"of {DAILY_S:.0f} s that it may have in a day" in refused.value.message
        assert httpx.get(f"{server.url}/v1/models").status_code == 200


def test_nothing_is_kept_of_clients_where_nothing_is_limited(tmp_path: Path) -> None:
    with http_server(tmp_path / "uploads", data_dir=tmp_path / "data") as server:
        with httpx.Client(base_url=server.url) as client:
            id = upload(client, CLIP).json()["clip_id"]
            assert client.post(f"/api/transcribe?clip_id={id}").status_code == 200
        assert server.services.jobs is not None
        database = server.services.jobs.database

        async def owners(c: AsyncConnection) -> list[str | None]:
            found = await c.execute(text("SELECT owner FROM clip UNION ALL SELECT owner FROM job"))
            assert (await c.execute(text("SELECT count(*) FROM usage"))).scalar_one() == 0
            return list(found.scalars())

        assert server.call(database.read(owners)) == [None, None]


def test_a_client_is_told_what_it_may_have_and_has(client: httpx.Client) -> None:
    upload(client, CLIP)
    answer = client.get("/api/usage")
    check(answer, "/api/usage", "get")
    told = answer.json()
    assert told["client"] == "address"
    assert told["stored_bytes"] == {"limit": round(SIZE * 2.5), "used": SIZE}
    assert told["queued_jobs"] == {"limit": 2, "used": 0}
    assert told["audio_s_today"]["limit"] == DAILY_S
    assert told["requests_at_once"] == {"limit": 56, "used": 0}
    assert told["requests_per_minute"] is told["live_sessions"] is None
    assert client.get("/api/usage", headers=OWNERS[1]).json()["audio_s_today"]["used"] == 0


def test_quotas_hold_across_restarts(tmp_path: Path) -> None:
    room = {"client_storage_mb": SIZE * 1.5 / 1e6, "data_dir": tmp_path / "data"}
    statuses = []
    for _ in range(2):
        with http_server(tmp_path / "uploads", **room) as server, httpx.Client(base_url=server.url) as client:
            statuses.append(upload(client, CLIP).status_code)
    assert statuses == [201, 429]
