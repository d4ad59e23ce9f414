"""Requests that wait for their answer are jobs: on every door of files, with SQLite and a folder, and with PostgreSQL
and S3."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.contracts.test_http_description import check
from tests.support.api_server import STORAGES, api_server
from tests.support.clips import clips, words
from tests.support.http_server import HttpServer, wait_until
from tests.support.packages import give_up
from whisperlive_hybrid.errors import DiskFull
from whisperlive_hybrid.storage.faults import StoreFailed
from whisperlive_hybrid.storage.ids import is_id

pytestmark = pytest.mark.timeout(300)

CLIP = next(c for c in clips("en") if c.path.stem == "en-05")
TALK = max(clips("en", conversations=True), key=lambda c: c.duration_s)

Send = Callable[[httpx.Client, bytes], httpx.Response]
DOORS: dict[str, Send] = {
    "/transcribe": lambda http, data: http.post("/transcribe", files={"file": data}),
    "/transcribe/stream": lambda http, data: http.post("/transcribe/stream", files={"file": data}),
    "/v1/audio/transcriptions": lambda http, data: http.post(
        "/v1/audio/transcriptions", files={"file": ("a.flac", data)}, data={"model": "whisper-1"}
    ),
    "/openai/deployments/{deployment}/audio/transcriptions": lambda http, data: http.post(
        "/openai/deployments/whisper-1/audio/transcriptions",
        files={"file": ("a.flac", data)},
        data={"stream": "true", "response_format": "text"},
    ),
    "/inference": lambda http, data: http.post("/inference", files={"file": ("a.flac", data)}),
    "/asr": lambda http, data: http.post("/asr", files={"audio_file": data}),
    "/detect-language": lambda http, data: http.post("/detect-language", files={"audio_file": data}),
    "/v1/listen": lambda http, data: http.post("/v1/listen", content=data, headers={"Content-Type": "audio/flac"}),
}


@pytest.fixture(scope="module", params=STORAGES)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    with api_server(request.param, tmp_path_factory.mktemp("direct"), max_file_jobs=1, max_queued_files=1) as running:
        yield running


@pytest.fixture(scope="module")
def flac() -> bytes:
    return CLIP.path.read_bytes()


@contextmanager
def at_once(server: HttpServer, send: Send, data: bytes) -> Iterator[list[httpx.Response]]:
    """Send it in a thread while the block runs; its answer is in the list then."""
    answers: list[httpx.Response] = []

    def run() -> None:
        with httpx.Client(base_url=server.url, timeout=60) as http:
            answers.append(send(http, data))

    thread = threading.Thread(target=run)
    thread.start()
    yield answers
    thread.join()


@contextmanager
def standing_still(server: HttpServer) -> Iterator[None]:
    """Windows are not heard inside the block: what has its turn stays in the middle of its work."""
    go = asyncio.Event()
    engine = server.services.engine
    originals = engine.transcribe, engine.detect_language

    async def held(*args: Any, **options: Any) -> Any:
        await go.wait()
        return await originals[0](*args, **options)

    async def held_too(*args: Any, **options: Any) -> Any:
        await go.wait()
        return await originals[1](*args, **options)

    engine.transcribe, engine.detect_language = held, held_too  # type: ignore[method-assign]
    try:
        yield
    finally:
        engine.transcribe, engine.detect_language = originals  # type: ignore[method-assign]
        server.loop.call_soon_threadsafe(go.set)


def jobs(client: httpx.Client, **which: Any) -> list[dict[str, Any]]:
    answer = client.get("/api/jobs", params=which)
    check(answer, "/api/jobs", "get")
    found: list[dict[str, Any]] = answer.json()["jobs"]
    return found


def open_jobs(client: httpx.Client) -> list[dict[str, Any]]:
    return jobs(client, state="queued,running", kept="false")


def error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize("route", DOORS)
def test_the_answer_names_its_job(server: HttpServer, client: httpx.Client, flac: bytes, route: str) -> None:
    answer = DOORS[route](client, flac)
    assert answer.status_code == 200, answer.text
    id = answer.headers["x-job-id"]
    assert is_id(id, "job")
    shown = client.get(f"/api/jobs/{id}")
    check(shown, "/api/jobs/{id}", "get")
    job = shown.json()
    assert (job["state"], job["route"], job["kept"], job["progress"]) == ("done", route, False, 1.0)
    assert (job["clip_id"], job["attempts"], job["priority"], "result" in job["links"]) == (None, 1, 10, False)
    assert job["created"] <= job["started"] <= job["finished"]
    if route != "/detect-language":
        assert job["total_s"] == pytest.approx(CLIP.duration_s, abs=0.1)
        assert job["segments"] >= 1
    assert jobs(client, route=route)[0]["job_id"] == id
    assert id not in [each["job_id"] for each in jobs(client, kept="true")]


def test_the_first_line_of_a_stream_names_its_job(client: httpx.Client, flac: bytes) -> None:
    answer = client.post("/transcribe/stream", files={"file": flac})
    check(answer, "/transcribe/stream")
    first, *rest = [json.loads(line) for line in answer.text.splitlines()]
    assert first["job_id"] == answer.headers["x-job-id"]
    assert not any("job_id" in line for line in rest)


def test_nothing_of_what_was_sent_or_said_is_kept(server: HttpServer, client: httpx.Client, flac: bytes) -> None:
    answer = client.post("/transcribe", files={"file": ("secret.flac", flac)}, data={"prompt": "a secret prompt"})
    id = answer.headers["x-job-id"]
    assert client.get(f"/api/jobs/{id}").json()["state"] == "done"
    jobs(client)  # by which it is recorded
    service = server.services.jobs
    assert service is not None

    async def everything(c: AsyncConnection) -> str:
        tables = [(await c.execute(text(f"SELECT * FROM {name}"))).all() for name in ("job", "transcript", "chunk")]
        return repr(tables)

    kept = server.call(service.database.read(everything))
    assert id in kept
    assert "secret" not in kept
    assert words(CLIP.text)[0] not in kept
    assert client.get("/api/audio").json()["clips"] == []
    assert error(client.get(f"/api/jobs/{id}/result")) == (404, "no_transcription")
    assert error(client.post(f"/api/jobs/{id}/retry")) == (409, "not_kept")
    assert error(client.post(f"/api/jobs/{id}/cancel")) == (409, "job_done")
    lines = client.get(f"/api/jobs/{id}/events", params={"format": "ndjson"})
    check(lines, "/api/jobs/{id}/events", "get")
    assert json.loads(lines.text.splitlines()[-1]) == {"type": "done", "transcription": None}
    assert client.delete(f"/api/jobs/{id}").status_code == 204
    assert error(client.get(f"/api/jobs/{id}")) == (404, "no_such_job")


@pytest.mark.parametrize("route", [route for route in DOORS if "deployments" not in route])
def test_it_is_cancelled_by_its_id(server: HttpServer, client: httpx.Client, flac: bytes, route: str) -> None:
    with standing_still(server), at_once(server, DOORS[route], flac) as answers:
        wait_until(lambda: [job["state"] for job in open_jobs(client)] == ["running"])
        (job,) = open_jobs(client)
        assert job["route"] == route
        assert error(client.delete(f"/api/jobs/{job['job_id']}")) == (409, "job_running")
        assert error(client.get(f"/api/jobs/{job['job_id']}/result")) == (409, "job_running")
        answer = client.post(f"/api/jobs/{job['job_id']}/cancel")
        check(answer, "/api/jobs/{id}/cancel")
        assert answer.json()["state"] == "cancelled"
    if route == "/transcribe/stream":  # it had begun to answer
        assert json.loads(answers[0].text.splitlines()[-1])["error"]["code"] == "job_cancelled"
    else:
        assert answers[0].status_code == 409, answers[0].text
        assert f"{job['job_id']} was cancelled." in answers[0].text
        check(answers[0], route)
    assert answers[0].headers["x-job-id"] == job["job_id"]
    assert client.get(f"/api/jobs/{job['job_id']}").json()["state"] == "cancelled"
    wait_until(lambda: server.windows() == 0)
    assert server.uploads() == []


def test_who_hangs_up_has_cancelled(server: HttpServer, client: httpx.Client, flac: bytes) -> None:
    for route in ("/transcribe", "/transcribe/stream"):
        with standing_still(server):
            impatient = httpx.Client(base_url=server.url, timeout=1.0)
            with impatient, pytest.raises(httpx.ReadTimeout):
                DOORS[route](impatient, flac)
            wait_until(lambda: open_jobs(client) == [])
        newest = jobs(client, route=route)[0]
        assert (newest["state"], newest["error"]) == ("cancelled", None)


def test_it_waits_in_the_queue_and_more_leave_no_trace(server: HttpServer, client: httpx.Client, flac: bytes) -> None:
    send = DOORS["/transcribe"]
    with standing_still(server), at_once(server, send, flac) as first:
        wait_until(lambda: [job["state"] for job in open_jobs(client)] == ["running"])
        with at_once(server, send, flac) as second:
            wait_until(lambda: [job["state"] for job in open_jobs(client)] == ["queued", "running"])
            waiting = client.get(f"/api/jobs/{open_jobs(client)[0]['job_id']}").json()
            assert (waiting["queue_place"], waiting["stage"], waiting["attempts"]) == (0, "queued", 0)
            refused = send(client, flac)
            assert error(refused) == (503, "full")
            assert "x-job-id" not in refused.headers
            assert len(open_jobs(client)) == 2
            counts = client.get("/api/jobs").json()["counts"]
            assert (counts["queued"], counts["running"]) == (1, 1)
            client.post(f"/api/jobs/{waiting['job_id']}/cancel").raise_for_status()
            wait_until(lambda: len(second) == 1)
            assert error(second[0]) == (409, "job_cancelled")
            running = open_jobs(client)
            assert [job["state"] for job in running] == ["running"]
            client.post(f"/api/jobs/{running[0]['job_id']}/cancel").raise_for_status()
    assert error(first[0]) == (409, "job_cancelled")
    assert DOORS["/transcribe"](client, flac).status_code == 200


def test_what_fails_says_why(client: httpx.Client) -> None:
    answer = client.post("/transcribe", files={"file": b"no audio " * 1000})
    assert error(answer) == (400, "not_audio")
    job = client.get(f"/api/jobs/{answer.headers['x-job-id']}").json()
    assert (job["state"], job["error"]["code"]) == ("failed", "not_audio")
    lines = client.get(f"/api/jobs/{job['job_id']}/events", params={"format": "ndjson"}).text.splitlines()
    assert json.loads(lines[-1])["error"]["code"] == "not_audio"


async def test_progress_over_the_socket(server: HttpServer, client: httpx.Client, flac: bytes) -> None:
    import aiohttp

    def begin() -> tuple[Any, list[httpx.Response], str]:
        block = at_once(server, DOORS["/transcribe"], flac)
        answers = block.__enter__()
        wait_until(lambda: len(open_jobs(client)) == 1)
        return block, answers, open_jobs(client)[0]["job_id"]

    with standing_still(server):
        block, answers, id = await asyncio.to_thread(begin)
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{server.url}/ws/jobs/{id}") as socket:
            first = json.loads((await socket.receive()).data)
            assert (first["type"], first["state"]) == ("progress", "running")
            await asyncio.to_thread(client.post, f"/api/jobs/{id}/cancel")
            events = [json.loads(message.data) async for message in socket]
    await asyncio.to_thread(block.__exit__, None, None, None)
    assert events[-1]["error"]["code"] == "job_cancelled"
    assert answers[0].status_code == 409


def test_a_request_is_answered_while_nothing_can_be_recorded(
    server: HttpServer, client: httpx.Client, flac: bytes, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    service = server.services.jobs
    assert service is not None

    async def full(*_: Any) -> None:
        raise DiskFull("The disk of the server's storage is full.")

    monkeypatch.setattr(service.database, "write", full)
    ids = []
    for _ in range(2):
        answer = DOORS["/transcribe"](client, flac)
        assert answer.status_code == 200
        ids.append(answer.headers["x-job-id"])
        assert client.get(f"/api/jobs/{ids[-1]}").json()["state"] == "done", "this process knows it all the same"
        client.get("/api/jobs").raise_for_status()
    logged = [r for r in caplog.records if "cannot be recorded" in r.message]
    assert len(logged) == 1
    monkeypatch.undo()
    assert {job["job_id"] for job in jobs(client)} >= set(ids)


def test_what_was_recorded_after_all_is_no_obstacle(
    server: HttpServer, client: httpx.Client, flac: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection to the database breaks, but only after it has done what was asked."""
    service = server.services.jobs
    assert service is not None
    write = service.database.write

    async def broken(work: Any) -> None:
        await write(work)
        raise StoreFailed("The storage failed.")

    monkeypatch.setattr(service.database, "write", broken)
    id = DOORS["/transcribe"](client, flac).headers["x-job-id"]
    assert not server.call(service.direct.record())
    monkeypatch.undo()
    assert server.call(service.direct.record())
    assert not service.direct.knows(id)
    assert client.get(f"/api/jobs/{id}").json()["state"] == "done"


def test_a_file_that_is_to_be_kept_becomes_a_clip(server: HttpServer, client: httpx.Client, flac: bytes) -> None:
    answer = client.post("/transcribe", files={"file": ("five.flac", flac)}, data={"keep": "true", "language": "en"})
    check(answer, "/transcribe")
    body = answer.json()
    assert words(body["segments"][0]["text"]) == words(CLIP.text)
    assert answer.headers["x-job-id"] == body["job_id"]
    job = client.get(f"/api/jobs/{body['job_id']}").json()
    assert (job["state"], job["route"], job["kept"], job["clip_id"]) == ("done", "/transcribe", True, body["clip_id"])
    clip = client.get(f"/api/audio/{body['clip_id']}").json()
    assert (clip["name"], clip["transcription"]["status"]) == ("five.flac", "done")
    assert client.get(f"/api/audio/{body['clip_id']}/content").content == flac
    assert words(client.get(f"/api/transcription/{body['clip_id']}").json()["text"]) == words(CLIP.text)
    subtitles = client.post("/transcribe?keep=true&format=srt", files={"file": flac})
    assert subtitles.text.startswith("1\n00:00:")
    streamed = client.post("/transcribe/stream?keep=true&beam_size=4", files={"file": flac})
    check(streamed, "/transcribe/stream")
    lines = [json.loads(line) for line in streamed.text.splitlines()]
    assert lines[0]["job_id"] == streamed.headers["x-job-id"] == lines[-1]["job_id"]
    assert {line["type"] for line in lines} >= {"segment", "done"}
    assert client.get(f"/api/audio/{lines[-1]['clip_id']}").status_code == 200
    assert client.post("/transcribe", files={"file": b"no audio"}, data={"keep": "true"}).status_code == 400
    wrong = client.post("/transcribe", files={"file": flac}, data={"keep": "perhaps", "task": "sing"})
    assert {problem["param"] for problem in wrong.json()["error"]["errors"]} == {"keep", "task"}
    assert error(client.post("/api/jobs", json={"clip_id": body["clip_id"], "keep": "true"}))[0] == 400
    assert server.uploads() == []


def test_kept_elsewhere_than_received(tmp_path: Path, flac: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file cannot be moved to another disk: /dev/shm is one."""
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        give_up("there is no second file system here")
    from whisperlive_hybrid.storage.blobs import _move

    received = shm / f"whisperlive-hybrid-test-{tmp_path.name}"
    received.write_bytes(flac)
    try:
        _move(received, tmp_path / "clips" / "ab" / "clip")
        assert (tmp_path / "clips" / "ab" / "clip").read_bytes() == flac
        assert [p.name for p in (tmp_path / "clips" / "ab").iterdir()] == ["clip"]
    finally:
        received.unlink(missing_ok=True)


def test_a_list_does_not_wait_for_a_database_that_another_program_writes(tmp_path: Path, flac: bytes) -> None:
    with (
        api_server(STORAGES[0], tmp_path) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
        sqlite3.connect(tmp_path / "data" / "jobs.sqlite", isolation_level=None) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        assert client.post("/transcribe", files={"file": flac}).status_code == 200
        # The writer waits five seconds for its turn, and then begins anew.
        listed = client.get("/api/jobs", timeout=4)
        assert listed.json()["jobs"] == []
        other.execute("ROLLBACK")
        wait_until(lambda: [job["state"] for job in client.get("/api/jobs").json()["jobs"]] == ["done"])
