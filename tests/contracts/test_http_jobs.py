"""Jobs under /api/jobs on a real server: filed, followed, cancelled, tried again, in batches, over a WebSocket.
SQLite with a folder, and PostgreSQL with S3."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import aiohttp
import httpx
import pytest

from tests.contracts.test_http_description import check
from tests.support.api_server import STORAGES, api_server, clip_id
from tests.support.clips import DATA, clips, words
from tests.support.http_server import HttpServer, wait_until
from tests.support.stored import make_job
from whisperlive_hybrid.errors import BadInput, WorkerLost
from whisperlive_hybrid.jobs import retry
from whisperlive_hybrid.jobs.stored import encode_options
from whisperlive_hybrid.jobs.transcript import FileOptions
from whisperlive_hybrid.storage.ids import new_id
from whisperlive_hybrid.storage.jobs import insert_jobs

pytestmark = pytest.mark.timeout(300)

CLIP = next(c for c in clips("en") if c.path.stem == "en-05")
OTHER = next(c for c in clips("en") if c.path.stem == "en-03")
TALK = max(clips("en", conversations=True), key=lambda c: c.duration_s)


@pytest.fixture(scope="module", params=STORAGES)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    folder = tmp_path_factory.mktemp("jobs")
    with (
        files_on_the_web() as port,
        api_server(
            request.param, folder, max_file_jobs=2, max_queued_jobs=20, url_allow_hosts=f"127.0.0.1:{port}"
        ) as running,
    ):
        running.services.__class__.web_port = port  # type: ignore[attr-defined]
        yield running


@contextmanager
def files_on_the_web() -> Iterator[int]:
    """The tests' clips on a port of this machine."""
    handler = partial(_Quiet, directory=str(DATA))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield web.server_address[1]
        web.shutdown()
        thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None: ...


@contextmanager
def standing_still(server: HttpServer, error: Exception | None = None) -> Iterator[threading.Event]:
    """Files are not worked on inside the block until the event is set; then they fail with `error` if there is one."""
    go = threading.Event()
    transcribe = server.services.pipeline.transcribe

    async def held(*args: Any, **options: Any) -> Any:
        while not go.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        if error is not None:
            raise error
        return await transcribe(*args, **options)

    server.services.pipeline.transcribe = held  # type: ignore[method-assign]
    try:
        yield go
    finally:
        go.set()
        server.services.pipeline.transcribe = transcribe  # type: ignore[method-assign]


def file(client: httpx.Client, *ids: str, **more: Any) -> str:
    answer = client.post("/api/jobs", json={"clip_id": list(ids), **more})
    check(answer, "/api/jobs")
    assert answer.status_code == 202, answer.text
    id: str = answer.json()["job_id"]
    assert answer.headers["location"] == f"/api/jobs/{id}"
    return id


def job(client: httpx.Client, id: str) -> dict[str, Any]:
    answer = client.get(f"/api/jobs/{id}")
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def until(client: httpx.Client, id: str, *states: str) -> dict[str, Any]:
    wait_until(lambda: job(client, id)["state"] in states)
    return job(client, id)


def error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_job_from_filing_to_its_result(client: httpx.Client) -> None:
    id = file(client, clip_id(client, CLIP), options={"language": "en"}, priority="low")
    done = until(client, id, "done", "failed")
    check(client.get(f"/api/jobs/{id}"), "/api/jobs/{id}", "get")
    assert (done["state"], done["progress"], done["attempts"], done["error"]) == ("done", 1.0, 1, None)
    assert done["priority"] == -10
    assert done["created"] <= done["started"] <= done["finished"]
    result = client.get(f"/api/jobs/{id}/result")
    check(result, "/api/jobs/{id}/result", "get")
    assert words(result.json()["text"]) == words(CLIP.text)
    assert words(client.get(f"/api/jobs/{id}/result", params={"format": "txt"}).text) == words(CLIP.text)
    assert client.delete(f"/api/jobs/{id}").status_code == 204
    assert error(client.get(f"/api/jobs/{id}")) == (404, "no_such_job")


def test_the_queue_and_its_order(server: HttpServer, client: httpx.Client) -> None:
    id = clip_id(client, CLIP)
    fresh = {"Cache-Control": "no-cache"}

    def queued(**more: Any) -> str:
        return client.post("/api/jobs", json={"clip_id": id, **more}, headers=fresh).json()["job_id"]

    with standing_still(server):
        running = [queued() for _ in range(2)]
        for each in running:
            until(client, each, "running")
        later, sooner = queued(priority="low"), queued(priority=-2)
        assert (job(client, later)["queue_place"], job(client, sooner)["queue_place"]) == (1, 0)
        listed = client.get("/api/jobs", params={"state": "queued,running"})
        check(listed, "/api/jobs", "get")
        assert [each["job_id"] for each in listed.json()["jobs"]] == [sooner, later, *reversed(running)]
        assert [each["queue_place"] for each in listed.json()["jobs"]] == [0, 1, None, None]
        assert {each["name"] for each in listed.json()["jobs"]} == {CLIP.path.name}
        assert listed.json()["batches"] == []
        assert listed.json()["counts"]["queued"] == 2
        assert error(client.get(f"/api/jobs/{later}/result")) == (409, "job_queued")
        assert error(client.delete(f"/api/jobs/{running[0]}")) == (409, "job_running")
        assert error(client.post(f"/api/jobs/{running[0]}/retry")) == (409, "job_running")
        assert error(client.delete(f"/api/transcription/{id}")) == (409, "job_queued")
        answer = client.post("/api/jobs", json={"clip_id": [id] * 19})
        assert error(answer) == (429, "full")
        assert int(answer.headers["retry-after"]) > 0
        over = queued(priority="low")
        client.post(f"/api/jobs/{over}/cancel")
        batch = file(client, *[id] * 18, options={"beam_size": 2})
        full = client.post(f"/api/jobs/{over}/retry")
        check(full, "/api/jobs/{id}/retry")
        assert error(full) == (429, "full")
        client.post(f"/api/jobs/{batch}/cancel")
        client.delete(f"/api/jobs/{batch}")
    for each in (*running, later, sooner):
        until(client, each, "done")


def test_who_waits_need_not_wait_for_the_jobs_of_others(server: HttpServer, client: httpx.Client) -> None:
    """Jobs have all of their turns; what is asked for with an answer, or as urgent, is done all the same."""
    clip = clip_id(client, CLIP)
    transcribe = server.services.pipeline.transcribe

    async def no_job_ends(*args: Any, **options: Any) -> Any:
        while options.get("turn") == "job":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return await transcribe(*args, **options)

    server.services.pipeline.transcribe = no_job_ends  # type: ignore[method-assign]
    try:
        long = [file(client, clip, options={"beam_size": n}) for n in (8, 9, 10)]
        wait_until(lambda: [job(client, id)["state"] for id in long] == ["running", "running", "queued"])
        direct = client.post("/transcribe", files={"file": CLIP.path.read_bytes()})
        assert words(direct.json()["segments"][0]["text"]) == words(CLIP.text)
        waited = client.post("/api/transcribe", params={"clip_id": clip, "beam_size": 2})
        assert words(waited.json()["text"]) == words(CLIP.text)
        urgent = file(client, clip, options={"beam_size": 1}, priority=1)
        assert until(client, urgent, "done", "failed")["state"] == "done"
        assert [job(client, id)["state"] for id in long] == ["running", "running", "queued"]
    finally:
        server.services.pipeline.transcribe = transcribe  # type: ignore[method-assign]
        for id in long:
            client.post(f"/api/jobs/{id}/cancel")


def test_a_short_request_is_answered_while_long_jobs_go_on(server: HttpServer, client: httpx.Client) -> None:
    """Nothing is held up here: windows of the jobs are heard by the real model, and those of requests before them."""
    clip = clip_id(client, TALK)
    slow = {"condition_on_previous_text": True, "beam_size": 20}
    fresh = {"Cache-Control": "no-cache"}
    filed = [client.post("/api/jobs", json={"clip_id": clip, **slow}, headers=fresh).json() for _ in range(3)]
    long = [each["job_id"] for each in filed]
    wait_until(lambda: all(job(client, id)["stage"] == "transcribing" for id in long[:2]))
    answer = client.post("/transcribe", files={"file": CLIP.path.read_bytes()}, data={"language": "en"})
    assert words(answer.json()["segments"][0]["text"]) == words(CLIP.text)
    assert job(client, long[2])["state"] == "queued", "the jobs before it have their turns still"
    for id in long:
        client.post(f"/api/jobs/{id}/cancel").raise_for_status()


def test_a_running_job_is_cancelled_at_once_and_tried_again(server: HttpServer, client: httpx.Client) -> None:
    id = file(client, clip_id(client, TALK), options={"condition_on_previous_text": True, "beam_size": 19})
    wait_until(lambda: job(client, id)["stage"] == "transcribing")
    began = time.monotonic()
    answer = client.post(f"/api/jobs/{id}/cancel")
    took_s = time.monotonic() - began
    check(answer, "/api/jobs/{id}/cancel")
    assert answer.json()["state"] == "cancelled"
    wait_until(lambda: server.windows() == 0)
    assert took_s < 5  # the limit is a benchmark's business; this only tells a cancel from waiting for the end
    assert error(client.post(f"/api/jobs/{id}/cancel")) == (409, "job_cancelled")
    assert error(client.get(f"/api/jobs/{id}/result")) == (409, "job_cancelled")
    assert client.post(f"/api/jobs/{id}/retry").json()["state"] in ("queued", "running")
    assert until(client, id, "done", "failed")["state"] == "done"
    assert error(client.post(f"/api/jobs/{id}/retry")) == (409, "job_done")


def test_a_queued_job_is_cancelled(server: HttpServer, client: httpx.Client) -> None:
    clip = clip_id(client, CLIP)
    with standing_still(server):
        busy = [client.post("/api/jobs", json={"clip_id": clip, "beam_size": n}).json()["job_id"] for n in (11, 12)]
        for each in busy:
            until(client, each, "running")
        id = file(client, clip, options={"beam_size": 13})
        assert client.post(f"/api/jobs/{id}/cancel").json()["state"] == "cancelled"
    assert job(client, id)["attempts"] == 0


def test_who_waits_for_a_cancelled_job_is_told(server: HttpServer, client: httpx.Client) -> None:
    clip = clip_id(client, CLIP)
    answers: list[httpx.Response] = []

    def wait() -> None:
        with httpx.Client(base_url=server.url, timeout=60) as other:
            answers.append(other.post("/api/transcribe", params={"clip_id": clip, "beam_size": 14}))

    with standing_still(server):
        waiting = threading.Thread(target=wait)
        waiting.start()
        wait_until(lambda: client.get(f"/api/audio/{clip}").json()["transcription"]["status"] == "running")
        id = client.get(f"/api/audio/{clip}").json()["transcription"]["job_id"]
        client.post(f"/api/jobs/{id}/cancel")
        waiting.join()
    assert error(answers[0]) == (409, "job_cancelled")


def test_a_deleted_clip_takes_its_running_job_along(server: HttpServer, client: httpx.Client) -> None:
    clip = clip_id(client, CLIP)
    with standing_still(server):
        id = file(client, clip, options={"beam_size": 15})
        until(client, id, "running")
        assert client.delete(f"/api/audio/{clip}").status_code == 204
        assert error(client.get(f"/api/jobs/{id}")) == (404, "no_such_job")
    jobs = server.services.jobs
    assert jobs is not None
    wait_until(lambda: jobs.workers.progress(id) is None)


def test_faults_of_ours_are_tried_again_and_callers_mistakes_are_not(
    server: HttpServer, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY_S", 0.01)
    clip = clip_id(client, CLIP)
    for fault, attempts, code in (
        (WorkerLost("It died."), retry.MAX_ATTEMPTS, "worker_lost"),
        (BadInput("Not like this.", code="wrong"), 1, "wrong"),
        (RuntimeError("secret"), retry.MAX_ATTEMPTS, "internal_error"),
    ):
        with standing_still(server, fault) as go:
            go.set()
            id = file(client, clip, options={"beam_size": 16})
            failed = until(client, id, "failed")
        assert (failed["attempts"], failed["error"]["code"]) == (attempts, code)
        assert "secret" not in json.dumps(failed)
        waits = client.get(f"/api/transcription/{clip}")
        assert error(waits) == (409, "job_failed")
        client.delete(f"/api/jobs/{id}")


def test_events_over_sse_and_lines(client: httpx.Client) -> None:
    id = file(client, clip_id(client, TALK), options={"beam_size": 6})
    with client.stream("GET", f"/api/jobs/{id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        text = "".join(answer.iter_text())
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.strip().split("\n\n")]
    assert [block["event"] for block in blocks][-1] == "done"
    told = [json.loads(block["data"]) for block in blocks]
    assert [event["type"] for event in told] == [block["event"] for block in blocks]
    ids = [int(block["id"]) for block in blocks if block["event"] == "segment"]
    assert ids == list(range(1, len(ids) + 1))
    lines = client.get(f"/api/jobs/{id}/events", params={"format": "ndjson"}).text.splitlines()
    assert json.loads(lines[-1]) == told[-1]


def test_nothing_new_is_told_by_heartbeats(server: HttpServer, client: httpx.Client, monkeypatch: Any) -> None:
    from whisperlive_hybrid.transports.http import jobs as door

    monkeypatch.setattr("whisperlive_hybrid.transports.http.clips.HEARTBEAT_S", 0.3)
    monkeypatch.setattr(door, "HEARTBEAT_S", 0.3)
    with standing_still(server) as go:
        id = file(client, clip_id(client, CLIP), options={"beam_size": 17})
        with client.stream("GET", f"/api/jobs/{id}/events", params={"format": "ndjson"}) as answer:
            kinds = []
            for line in answer.iter_lines():
                kinds.append(json.loads(line)["type"])
                if kinds.count("heartbeat") == 2:
                    go.set()
    assert kinds.count("heartbeat") >= 2
    assert kinds[-1] == "done"


def test_a_job_whose_model_is_gone_fails_at_once_and_says_so(server: HttpServer, client: httpx.Client) -> None:
    """It was filed when there was one."""
    clip, jobs = clip_id(client, CLIP), server.services.jobs
    assert jobs is not None
    options = encode_options(FileOptions(model="/nowhere/model"))
    row = make_job(clip, model="/nowhere/model", options=options, created_at=time.time())
    server.call(jobs.database.write(lambda c: insert_jobs(c, [row])))
    failed = until(client, row.id, "failed")
    assert (failed["attempts"], failed["error"]["code"]) == (1, "model_not_found")
    assert "/nowhere/model" in failed["error"]["message"]
    assert error(client.get(f"/api/jobs/{row.id}/result")) == (409, "job_failed")


def test_a_stream_of_what_fails_ends_with_the_error(server: HttpServer, client: httpx.Client) -> None:
    clip = clip_id(client, CLIP)
    with standing_still(server, BadInput("Not like this.", code="wrong")) as go:
        go.set()
        params = {"clip_id": clip, "beam_size": 20}
        for path, query in (("/api/transcribe/stream", {}), ("/api/transcribe", {"format": "ndjson"})):
            answer = client.post(path, params=params | query)
            events = [json.loads(line) for line in answer.text.splitlines()]
            assert answer.status_code == 200
            assert (events[-1]["type"], events[-1]["error"]["code"]) == ("error", "wrong")
            assert not {"done", "error"} & {event["type"] for event in events[:-1]}
        events = client.post("/api/transcribe/stream", params=params | {"format": "sse"}).text
        assert events.rstrip().rsplit("\n\n", 1)[-1].startswith("event: error\n")
        assert error(client.post("/api/transcribe", params=params)) == (400, "wrong")


async def socket_events(
    server: HttpServer, id: str, slash: str = "", **more: Any
) -> tuple[list[dict[str, Any]], int | None]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{server.url}/ws/jobs/{id}{slash}", **more) as socket,
    ):
        events = [json.loads(message.data) async for message in socket]
        return events, socket.close_code


async def test_events_over_a_websocket(server: HttpServer, client: httpx.Client) -> None:
    id = await asyncio.to_thread(file, client, await asyncio.to_thread(clip_id, client, TALK))
    events, code = await socket_events(server, id)
    assert (events[-1]["type"], code) == ("done", 1000)
    assert [e["segment"]["id"] for e in events if e["type"] == "segment"] == list(
        range(len(events[-1]["transcription"]["segments"]))
    )
    assert (await socket_events(server, id, slash="/"))[1] == 1000
    missing, code = await socket_events(server, new_id("job"))
    assert (missing[0]["error"]["code"], code) == ("no_such_job", 4404)
    foreign, code = await socket_events(server, id, headers={"Origin": "https://evil.example"})
    assert (foreign[0]["error"]["code"], code) == ("origin_refused", 1008)
    plain = await asyncio.to_thread(client.get, f"/ws/jobs/{id}")
    assert (plain.status_code, plain.headers["Upgrade"]) == (426, "websocket")


async def test_a_socket_that_is_left_is_let_go(server: HttpServer, client: httpx.Client) -> None:
    with standing_still(server):
        clip = await asyncio.to_thread(clip_id, client, CLIP)
        id = await asyncio.to_thread(file, client, clip, options={"beam_size": 18})
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{server.url}/ws/jobs/{id}") as socket:
            await socket.receive()
        jobs = server.services.jobs
        assert jobs is not None

        async def listeners() -> int:
            return len(jobs.bell._listeners.get(id, ()))

        until_s = time.monotonic() + 20
        while server.call(listeners()):
            assert time.monotonic() < until_s
            await asyncio.sleep(0.02)


def test_a_batch_of_clips(client: httpx.Client) -> None:
    ids = [clip_id(client, CLIP), clip_id(client, OTHER)]
    batch = file(client, *ids, options={"language": "en"}, name="two")
    assert batch.startswith("batch_")
    until(client, batch, "done")
    shown = client.get(f"/api/jobs/{batch}")
    check(shown, "/api/jobs/{id}", "get")
    assert (shown.json()["name"], shown.json()["progress"], shown.json()["counts"]) == ("two", 1.0, {"done": 2})
    assert [each["clip_id"] for each in shown.json()["jobs"]] == ids
    assert [each["name"] for each in shown.json()["jobs"]] == [CLIP.path.name, OTHER.path.name]
    listed = client.get("/api/jobs", params={"batch_id": batch, "limit": 1})
    check(listed, "/api/jobs", "get")
    (summary,) = listed.json()["batches"]
    assert summary == {name: value for name, value in shown.json().items() if name not in ("jobs", "seconds_left")}
    result = client.get(f"/api/jobs/{batch}/result")
    rows = [json.loads(line) for line in result.text.splitlines()]
    assert [words(row["transcription"]["text"]) for row in rows] == [words(CLIP.text), words(OTHER.text)]
    packed = client.get(f"/api/jobs/{batch}/result", params={"format": "zip", "transcript": "srt"})
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["0001-en-05.srt", "0002-en-03.srt"]
        assert archive.read("0001-en-05.srt").decode().startswith("1\n00:00:")
    events = client.get(f"/api/jobs/{batch}/events", params={"format": "ndjson"}).text.splitlines()
    assert json.loads(events[-1])["type"] == "done"
    assert error(client.post(f"/api/jobs/{batch}/cancel")) == (409, "batch_over")
    wrong = client.get(f"/api/jobs/{batch}/result", params={"format": "zip", "transcript": "pdf"})
    assert error(wrong) == (400, "unknown_format")
    assert client.delete(f"/api/jobs/{batch}").status_code == 204
    assert error(client.get(f"/api/jobs/{batch}")) == (404, "no_such_job")


def test_a_batch_of_files_and_urls(server: HttpServer, client: httpx.Client) -> None:
    base = f"http://127.0.0.1:{server.services.web_port}"  # type: ignore[attr-defined]
    parts = [("file", (c.path.name, c.path.read_bytes())) for c in (CLIP, OTHER)]
    fields = {"url": [f"{base}/en-05.flac", f"{base}/missing.flac"], "language": "en", "beam_size": "7"}
    answer = client.post("/api/jobs", files=parts, data=fields)
    check(answer, "/api/jobs")
    filed = answer.json()
    batch = filed["job_id"]
    wait_until(lambda: set(job(client, batch)["counts"]) <= {"done", "failed"})
    by_url, missing, *by_file = job(client, batch)["jobs"]
    assert [each["state"] for each in by_file] == ["done", "done"]
    assert (by_url["state"], missing["state"], missing["error"]["code"]) == ("done", "failed", "url_status")
    clip = client.get(f"/api/audio/{by_url['clip_id']}").json()
    assert (clip["name"], clip["source_url"]) == ("en-05.flac", f"{base}/en-05.flac")
    assert words(client.get(f"/api/jobs/{by_url['job_id']}/result").json()["text"]) == words(CLIP.text)
    packed = client.get(f"/api/jobs/{batch}/result", params={"format": "zip"})
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        assert len(archive.namelist()) == 4
        assert "missing.flac" in archive.read("errors.txt").decode()


def test_what_cannot_be_filed(client: httpx.Client) -> None:
    assert error(client.post("/api/jobs", json={})) == (400, "nothing_to_do")
    assert error(client.post("/api/jobs", json={"clip_id": "clip_x"})) == (404, "no_such_clip")
    assert error(client.post("/api/jobs", json={"url": "http://10.0.0.1/a.wav"})) == (400, "url_not_allowed")
    assert error(client.post("/api/jobs", content=b"[1", headers={"Content-Type": "application/json"})) == (
        400,
        "invalid_json",
    )
    assert error(client.post("/api/jobs", json={"clip_id": "x", "options": 3})) == (400, "bad_option")
    assert error(client.post("/api/jobs", content=b"x", headers={"Content-Type": "text/plain"})) == (
        415,
        "unsupported_media_type",
    )
    for id in (new_id("job"), new_id("batch"), "x"):
        for answer in (
            client.get(f"/api/jobs/{id}"),
            client.delete(f"/api/jobs/{id}"),
            client.post(f"/api/jobs/{id}/cancel"),
            client.post(f"/api/jobs/{id}/retry"),
            client.get(f"/api/jobs/{id}/events"),
            client.get(f"/api/jobs/{id}/result"),
        ):
            assert error(answer) == (404, "no_such_job")
            assert id in answer.text


def test_filing_with_a_key_is_done_once(client: httpx.Client) -> None:
    clip, key = clip_id(client, CLIP), {"Idempotency-Key": new_id("msg")}
    first = client.post("/api/jobs", json={"clip_id": clip}, headers=key)
    again = client.post("/api/jobs", json={"clip_id": clip}, headers=key)
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    other = client.post("/api/jobs", json={"clip_id": clip, "language": "de"}, headers=key)
    assert error(other) == (409, "idempotency_key_reused")
