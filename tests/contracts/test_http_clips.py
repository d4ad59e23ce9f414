"""Clips under /api on a real server: stored, transcribed, read in every form, deleted. SQLite with a folder, and
PostgreSQL with S3."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contracts.test_http_description import check
from tests.support.api_server import STORAGES, api_server, clip_id, upload
from tests.support.clips import clips, words
from tests.support.http_server import HttpServer, wait_until
from whisperlive_hybrid.storage.ids import new_id

pytestmark = pytest.mark.timeout(300)

CLIP = next(c for c in clips("en") if c.path.stem == "en-05")
OTHER = next(c for c in clips("en") if c.path.stem == "en-03")
TALK = max(clips("en", conversations=True), key=lambda c: c.duration_s)


@pytest.fixture(scope="module", params=STORAGES)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    with api_server(request.param, tmp_path_factory.mktemp("clips"), max_upload_mb=5) as running:
        yield running


@pytest.fixture
def stored(client: httpx.Client) -> Iterator[str]:
    """A clip of the test's own."""
    id = clip_id(client, CLIP)
    yield id
    client.delete(f"/api/audio/{id}")


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.text.splitlines()]


def error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_an_upload_is_recorded_with_what_it_is(client: httpx.Client) -> None:
    answer = upload(client, CLIP)
    check(answer, "/api/audio")
    assert set(answer.json()) == {"clip_id", "message"}
    assert answer.headers["location"] == f"/api/audio/{answer.json()['clip_id']}"
    shown = client.get(answer.headers["location"])
    check(shown, "/api/audio/{id}", "get")
    clip = shown.json()
    data = CLIP.path.read_bytes()
    assert (clip["name"], clip["type"], clip["bytes"]) == (CLIP.path.name, "audio/flac", len(data))
    assert clip["sha256"] == hashlib.sha256(data).hexdigest()
    assert clip["duration"] == pytest.approx(CLIP.duration_s, abs=0.01)
    assert clip["transcription"] == {"status": "none", "job_id": None}


def test_a_raw_body_is_taken(client: httpx.Client) -> None:
    answer = client.post("/api/audio", content=CLIP.path.read_bytes(), headers={"Content-Type": "audio/flac"})
    assert answer.status_code == 201
    assert client.get(answer.headers["location"]).json()["name"] == "audio"


def test_the_content_whole_and_in_ranges(client: httpx.Client, stored: str) -> None:
    data, path = CLIP.path.read_bytes(), f"/api/audio/{stored}/content"
    whole = client.get(path)
    assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, data, "audio/flac")
    assert whole.headers["accept-ranges"] == "bytes"
    for header, start, end in (
        ("bytes=0-9", 0, 10),
        ("bytes=100-", 100, len(data)),
        ("bytes=-7", len(data) - 7, len(data)),
        (f"bytes=5-{len(data) * 2}", 5, len(data)),
    ):
        part = client.get(path, headers={"Range": header})
        assert (part.status_code, part.content) == (206, data[start:end]), header
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{len(data)}"
    for header in ("bytes=0-1,4-5", "seconds=1-2", "bytes=9-3", "bytes=-", "bytes=\u0661-\u0662"):
        assert client.get(path, headers={"Range": header.encode()}).content == data, header
    behind = client.get(path, headers={"Range": f"bytes={len(data)}-"})
    assert error(behind) == (416, "range_not_satisfiable")
    assert behind.headers["content-range"] == f"bytes */{len(data)}"
    etag = whole.headers["etag"]
    for known in (etag, f'"other", {etag}', "*"):
        assert client.get(path, headers={"If-None-Match": known}).status_code == 304, known
    assert client.get(path, headers={"Range": "bytes=0-1", "If-Range": etag}).status_code == 206
    assert client.get(path, headers={"Range": "bytes=0-1", "If-Range": '"other"'}).status_code == 200
    head = client.head(path)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(data)), b"")


def test_transcribe_and_wait(client: httpx.Client, stored: str) -> None:
    answer = client.post("/api/transcribe", params={"clip_id": stored, "language": "en", "word_timestamps": "true"})
    check(answer, "/api/transcribe")
    result = answer.json()
    assert words(result["text"]) == words(CLIP.text)
    for i, segment in enumerate(result["segments"]):
        assert {"id", "audio_clip_id", "start", "end", "speaker_label", "text"} <= set(segment)
        assert (segment["id"], segment["audio_clip_id"], segment["speaker_label"]) == (i, stored, None)
        assert [w["word"] for w in segment["words"]] == segment["text"].split()
    status = client.get(f"/api/audio/{stored}").json()["transcription"]
    assert status == {"status": "done", "job_id": result["job_id"]}
    assert client.get(f"/api/transcription/{stored}").json() == result


@pytest.mark.parametrize(
    ("format_", "kind", "begins"),
    [
        ("txt", "text/plain", ""),
        ("srt", "application/x-subrip", "1\n00:00:"),
        ("vtt", "text/vtt", "WEBVTT"),
        ("tsv", "text/tab-separated-values", "start\tend"),
        ("ndjson", "application/x-ndjson", '{"type":"segment"'),
        ("sse", "text/event-stream", "event: segment\nid: 1\n"),
        ("json", "application/json", "{"),
    ],
)
def test_a_transcription_in_every_form(client: httpx.Client, stored: str, format_: str, kind: str, begins: str) -> None:
    client.post("/api/transcribe", params={"clip_id": stored}).raise_for_status()
    by_name = client.get(f"/api/transcription/{stored}", params={"format": format_})
    by_accept = client.get(f"/api/transcription/{stored}", headers={"Accept": f"image/png, {kind};q=0.9"})
    for answer in (by_name, by_accept):
        assert answer.status_code == 200
        assert answer.headers["content-type"].partition(";")[0] == kind
        assert answer.text.startswith(begins)
        assert CLIP.text.split()[0].strip(".,").lower() in answer.text.lower()
    assert by_name.text == by_accept.text


def test_a_transcription_with_all_that_is_known(client: httpx.Client, stored: str) -> None:
    client.post("/api/transcribe", params={"clip_id": stored}).raise_for_status()
    full = client.get(f"/api/transcription/{stored}", params={"format": "full"})
    check(full, "/api/transcription/{id}", "get")
    direct = client.post("/transcribe", files={"file": CLIP.path.read_bytes()}).json()
    assert full.json()["segments"] == direct["segments"]
    assert full.json()["info"] == direct["info"]


def test_segments_come_as_they_are_made(client: httpx.Client) -> None:
    id = clip_id(client, TALK)
    with client.stream("POST", "/api/transcribe/stream", params={"clip_id": id, "language": "en"}) as answer:
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        events = [json.loads(line) for line in answer.iter_lines()]
    kinds = [event["type"] for event in events]
    assert kinds[-1] == "done"
    assert kinds.count("segment") == len(events[-1]["transcription"]["segments"]) > 5
    assert "progress" in kinds[kinds.index("segment") :]
    assert [e["segment"] for e in events if e["type"] == "segment"] == events[-1]["transcription"]["segments"]
    shares = [event["progress"] for event in events if event["type"] == "progress"]
    assert shares == sorted(shares)
    assert (shares[0] < 0.5, shares[-1]) == (True, 1.0)


def test_a_stream_is_joined_and_gone_on_with(client: httpx.Client) -> None:
    """A second reader of the newest job gets all of it; one who comes back gets what it has not."""
    id = clip_id(client, TALK)
    client.post("/api/transcribe", params={"clip_id": id}).raise_for_status()
    path = f"/api/transcription/stream/{id}"
    whole = lines(client.get(path))
    rest = lines(client.get(path, headers={"Last-Event-ID": "3"}))
    numbers = [e["segment"]["id"] for e in whole if e["type"] == "segment"]
    assert numbers == list(range(len(numbers)))
    assert [e["segment"]["id"] for e in rest if e["type"] == "segment"] == numbers[3:]
    assert whole[-1] == rest[-1]
    events = client.get(path, params={"format": "sse"}).text
    assert "event: done\ndata: {" in events


def test_the_same_is_not_computed_twice(server: HttpServer, client: httpx.Client) -> None:
    first, second = clip_id(client, OTHER), clip_id(client, OTHER)
    asked: list[Any] = []
    transcribe = server.services.pipeline.transcribe

    async def counted(*args: Any, **options: Any) -> Any:
        asked.append(args)
        return await transcribe(*args, **options)

    server.services.pipeline.transcribe = counted  # type: ignore[method-assign]
    try:
        made = client.post("/api/transcribe", params={"clip_id": first, "beam_size": 3}).json()
        again = client.post("/api/transcribe", params={"clip_id": second, "beam_size": 3}).json()
        assert len(asked) == 1
        client.post("/api/transcribe", params={"clip_id": second, "beam_size": 4}).raise_for_status()
        assert len(asked) == 2
        fresh = {"Cache-Control": "no-cache"}
        client.post("/api/transcribe", params={"clip_id": second, "beam_size": 3}, headers=fresh).raise_for_status()
        assert len(asked) == 3
    finally:
        server.services.pipeline.transcribe = transcribe  # type: ignore[method-assign]
    assert again["text"] == made["text"]
    assert {s["audio_clip_id"] for s in again["segments"]} == {second}


def test_one_step(client: httpx.Client) -> None:
    for path in ("/upload+transcribe", "/api/upload-transcribe"):
        answer = upload(client, CLIP, path, data={"language": "en", "temperature": "0"})
        check(answer, path)
        made = answer.json()
        assert answer.headers["location"] == f"/api/jobs/{made['job_id']}" == made["links"]["self"]
        wait_until(lambda m=made: client.get(f"/api/jobs/{m['job_id']}").json()["state"] == "done")  # type: ignore[misc]
        assert words(client.get(made["links"]["transcription"]).json()["text"]) == words(CLIP.text)


def test_a_request_with_a_key_is_carried_out_once(client: httpx.Client) -> None:
    key = {"Idempotency-Key": new_id("msg")}
    for path, more in (("/api/audio", {}), ("/upload+transcribe", {"data": {"language": "en"}})):
        first = upload(client, CLIP, path, headers=key, **more)
        again = upload(client, CLIP, path, headers=key, **more)
        assert (again.status_code, again.json()) == (first.status_code, first.json())
        assert "idempotency-replayed" not in first.headers
        assert again.headers["idempotency-replayed"] == "true"
        other = upload(client, OTHER, path, headers=key, **more)
        assert error(other) == (409, "idempotency_key_reused")
    same = {"clip_id": first.json()["clip_id"]}
    results = [client.post("/api/transcribe", params=same, headers=key).json()["job_id"] for _ in range(2)]
    assert len(set(results)) == 1
    assert error(upload(client, CLIP, headers={"Idempotency-Key": "a b"})) == (400, "bad_idempotency_key")


def test_idempotency_keys_are_a_callers_own_however_it_sends_its_api_key(tmp_path: Path) -> None:
    again = {"Idempotency-Key": new_id("msg")}
    with (
        api_server(STORAGES[0], tmp_path, api_key="one,two") as server,
        httpx.Client(base_url=server.url, headers=again) as http,
    ):
        sent: dict[str, list[httpx.Response]] = {
            key: [
                upload(http, CLIP, headers={"api-key": key}),
                upload(http, CLIP, f"/api/audio?token={key}"),
                upload(http, CLIP, headers={"X-API-Key": key}),
                upload(http, CLIP, headers={"Authorization": f"Bearer {key}"}),
            ]
            for key in ("one", "two")
        }
    ids = {key: {answer.json()["clip_id"] for answer in answers} for key, answers in sent.items()}
    assert [len(of_one) for of_one in ids.values()] == [1, 1]
    assert ids["one"] != ids["two"]


def test_lists_and_pages(client: httpx.Client) -> None:
    ids = [clip_id(client, OTHER) for _ in range(3)]
    seen: list[str] = []
    after: str | None = None
    while True:
        params = {"limit": 2, "name": "en-03", **({"after": after} if after else {})}
        answer = client.get("/api/audio", params=params)
        check(answer, "/api/audio", "get")
        page = answer.json()
        seen += [clip["clip_id"] for clip in page["clips"]]
        after = page["after"]
        if after is None:
            break
    assert seen[:3] == sorted(ids, reverse=True)
    assert seen == sorted(set(seen), reverse=True)
    client.post("/api/transcribe", params={"clip_id": ids[0]}).raise_for_status()
    done = client.get("/api/audio", params={"status": "done", "limit": 200}).json()["clips"]
    assert ids[0] in [clip["clip_id"] for clip in done]
    assert not {ids[1], ids[2]} & {clip["clip_id"] for clip in done}
    word = words(OTHER.text)[0]
    answer = client.get("/api/transcription", params={"q": word, "clip_id": ids[0]})
    check(answer, "/api/transcription", "get")
    assert [row["clip_id"] for row in answer.json()["transcriptions"]] == [ids[0]]
    assert answer.json()["transcriptions"][0]["name"] == OTHER.path.name
    assert client.get("/api/transcription", params={"q": "xylophone"}).json()["transcriptions"] == []
    assert client.get("/api/audio", params={"until": "2001-01-01T00:00:00Z"}).json()["clips"] == []


def test_a_link_opens_one_clip_without_the_key(tmp_path: Path) -> None:
    with (
        api_server(STORAGES[0], tmp_path, api_key="one,two") as server,
        httpx.Client(base_url=server.url, headers={"Authorization": "Bearer two"}) as owner,
        httpx.Client(base_url=server.url) as player,
    ):
        mine, other = clip_id(owner, CLIP), clip_id(owner, OTHER)
        answer = owner.get(f"/api/audio/{mine}/link")
        check(answer, "/api/audio/{id}/link", "get")
        url = answer.json()["url"]
        assert "two" not in url and "one" not in url
        assert player.get(url).content == CLIP.path.read_bytes()
        assert player.head(url).status_code == 200
        part = player.get(url, headers={"Range": "bytes=4-9"})
        assert (part.status_code, part.content) == (206, CLIP.path.read_bytes()[4:10])
        assert error(player.get(url.replace(mine, other))) == (401, "key_missing")
        assert error(player.get(url.replace("/content?", "?"))) == (401, "key_missing")
        assert error(player.get(url.replace("expires=1", "expires=2"))) == (401, "key_missing")
        assert error(player.delete(url)) == (401, "key_missing")
        assert error(player.get(f"/api/audio/{mine}/content")) == (401, "key_missing")
        assert error(player.get(f"/api/audio/{mine}/link")) == (401, "key_missing")
        assert owner.get(f"/api/audio/{mine}/content").status_code == 200
        assert error(owner.get(f"/api/audio/{new_id('clip')}/link")) == (404, "no_such_clip")


def test_a_search_says_where_in_the_audio_the_words_are(client: httpx.Client) -> None:
    id = clip_id(client, TALK)
    options = {"clip_id": id, "word_timestamps": "true"}
    segments = client.post("/api/transcribe", params=options).json()["segments"]
    spoken = [(word["word"].strip(",.").lower(), word["start"]) for s in segments for word in s["words"]]
    word = spoken[len(spoken) // 2][0]
    whole = {"clip_id": id, "q": word}
    answer = client.get("/api/transcription", params=whole)
    check(answer, "/api/transcription", "get")
    (found,) = answer.json()["transcriptions"]
    with_it = [s for s in segments if word in words(s["text"])]
    assert found["match_count"] == len(with_it) > 0
    assert found["text"]
    by_id = {s["id"]: s for s in segments}
    for match in found["matches"]:
        segment = by_id[match["segment_id"]]
        said_at = next(w["start"] for w in segment["words"] if w["word"].strip(",.").lower() == word)
        assert (match["start"], match["end"]) == (said_at, segment["end"])
        assert {piece["text"].lower() for piece in match["snippet"] if piece["match"]} == {word}
        assert "".join(piece["text"] for piece in match["snippet"]).strip("…") in segment["text"]
    part = {"clip_id": id, "q": word[:2]}
    assert client.get("/api/transcription", params=part).json()["transcriptions"] == []
    typed = client.get("/api/transcription", params={**part, "prefix": "true", "text": "false"})
    check(typed, "/api/transcription", "get")
    (found,) = typed.json()["transcriptions"]
    assert found["text"] is None
    assert any(piece["match"] for match in found["matches"] for piece in match["snippet"])
    for nothing in ("!", "'", '"', "\\", "a:* | b"):
        assert client.get("/api/transcription", params={"q": nothing, "prefix": "true"}).status_code == 200
    (listed,) = client.get("/api/transcription", params={"clip_id": id}).json()["transcriptions"]
    assert "matches" not in listed
    client.delete(f"/api/audio/{id}")


def test_a_clip_goes_with_its_transcription(server: HttpServer, client: httpx.Client) -> None:
    id = clip_id(client, CLIP)
    job = client.post("/api/transcribe", params={"clip_id": id}).json()["job_id"]
    assert client.delete(f"/api/audio/{id}").status_code == 204
    for path in (f"/api/audio/{id}", f"/api/audio/{id}/content", f"/api/transcription/{id}", f"/api/jobs/{job}"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert (id in answer.text) or (job in answer.text)
    assert error(client.delete(f"/api/audio/{id}")) == (404, "no_such_clip")
    jobs = server.services.jobs
    assert jobs is not None

    async def stored() -> set[str]:
        return {blob.id async for blob in jobs.clips.blobs.all()}

    assert id not in server.call(stored())


def test_a_clip_that_is_deleted_while_it_is_read_leaves_nobody_waiting(client: httpx.Client) -> None:
    data = CLIP.path.read_bytes() + bytes(4_000_000)  # what follows the audio is nobody's business
    id = client.post("/api/audio", files={"file": ("padded.flac", data)}).raise_for_status().json()["clip_id"]
    got = b""
    try:
        with client.stream("GET", f"/api/audio/{id}/content", timeout=20) as answer:
            pieces = answer.iter_bytes(10_000)
            got = next(pieces)
            assert client.delete(f"/api/audio/{id}").status_code == 204
            got += b"".join(pieces)
            assert got == data
    except httpx.RemoteProtocolError:  # broken off: nobody takes a part for the whole
        assert data.startswith(got)
    assert error(client.get(f"/api/audio/{id}/content")) == (404, "no_such_clip")


def test_a_transcription_is_deleted_alone(client: httpx.Client, stored: str) -> None:
    path = f"/api/transcription/{stored}"
    assert error(client.get(path)) == (404, "no_transcription")
    assert error(client.delete(path)) == (404, "no_transcription")
    client.post("/api/transcribe", params={"clip_id": stored}).raise_for_status()
    assert client.delete(path).status_code == 204
    assert error(client.get(path)) == (404, "no_transcription")
    assert client.get(f"/api/audio/{stored}").status_code == 200


def test_what_is_not_there(client: httpx.Client) -> None:
    for id in (new_id("clip"), "nonsense", "..%2f..%2fetc%2fpasswd", "clip_%00"):
        assert error(client.get(f"/api/audio/{id}")) == (404, "no_such_clip"), id
    assert error(client.post("/api/transcribe", params={"clip_id": "clip_x"})) == (404, "no_such_clip")
    assert "clip_x" in client.post("/api/transcribe", params={"clip_id": "clip_x"}).text


def test_wrong_options_are_told_all_at_once(client: httpx.Client, stored: str) -> None:
    params = {"clip_id": stored, "beam_size": "many", "task": "sing", "colour": "red", "priority": "urgent"}
    answer = client.post("/api/transcribe", params=params)
    assert answer.status_code == 400
    assert {e["param"] for e in answer.json()["error"]["errors"]} == {"beam_size", "task", "colour", "priority"}
    assert error(client.post("/api/transcribe")) == (400, "missing_clip")
    assert error(client.get(f"/api/transcription/{stored}", params={"format": "pdf"})) == (400, "unknown_format")
    assert error(client.get("/api/audio", params={"limit": "0"})) == (400, "bad_option")
    assert error(client.get("/api/audio", params={"name": "a\0b"})) == (400, "not_text")
    assert error(client.get("/api/audio", params={"since": "yesterday"})) == (400, "bad_option")


def test_bad_uploads(client: httpx.Client) -> None:
    before = client.get("/api/audio").json()["clips"]
    assert error(client.post("/api/audio", files={"file": b"not audio at all" * 100}))[0] == 400
    assert error(client.post("/api/audio", files={"file": b""})) == (400, "empty_file")
    assert error(client.post("/api/audio", files={"file": bytes(6_000_000)})) == (413, "file_too_large")
    assert error(client.post("/api/audio", content=b"{}", headers={"Content-Type": "application/json"})) == (
        415,
        "unsupported_media_type",
    )
    assert error(client.post("/api/audio", files={"other": b"x"})) == (400, "unknown_file_part")
    assert error(upload(client, CLIP, data={"colour": "red"})) == (400, "unknown_option")
    assert client.get("/api/audio").json()["clips"] == before


def test_a_nearly_full_disk_takes_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    with (
        api_server(STORAGES[0], tmp_path_factory.mktemp("full"), min_free_disk_mb=1e12) as full,
        httpx.Client(base_url=full.url, timeout=60) as client,
    ):
        for path in ("/api/audio", "/upload+transcribe", "/api/jobs", "/transcribe"):
            assert error(upload(client, CLIP, path)) == (507, "disk_full")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1/hook", "url_not_allowed"),
        ("http://localhost/hook", "url_not_allowed"),
        ("http://[::ffff:10.0.0.1]/", "url_not_allowed"),
        ("http://2130706433/", "url_not_allowed"),
        ("http://0x7f.1/", "url_not_allowed"),
        ("http://example.org:8080/", "url_not_allowed"),
        ("ftp://example.org/", "bad_url"),
        ("http://user:secret@example.org/", "bad_url"),
        ("nowhere", "bad_url"),
    ],
)
def test_callbacks_into_the_house_are_refused(client: httpx.Client, stored: str, url: str, code: str) -> None:
    assert error(client.post("/api/transcribe", params={"clip_id": stored, "callback_url": url})) == (400, code)


def test_a_server_without_a_place_for_clips_says_so(tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.support.http_server import http_server

    with (
        http_server(tmp_path_factory.mktemp("none") / "uploads") as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        for answer in (client.get("/api/audio"), client.get("/api/jobs"), upload(client, CLIP)):
            assert error(answer) == (503, "no_storage")


def test_clips_of_the_same_content_have_ids_of_their_own(client: httpx.Client) -> None:
    one, two = clip_id(client, CLIP), clip_id(client, CLIP)
    sha256 = client.get(f"/api/audio/{one}").json()["sha256"]
    client.delete(f"/api/audio/{one}")
    assert client.get(f"/api/audio/{two}/content").content == CLIP.path.read_bytes()
    found = client.get("/api/audio", params={"sha256": sha256, "limit": 200}).json()["clips"]
    assert two in [clip["clip_id"] for clip in found]
