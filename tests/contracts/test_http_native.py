"""The native door on a real server: transcripts in every form, wrong input of every kind, callers who leave."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
import httpx
import numpy as np
import pytest

from tests.support.clips import Clip, clips, words
from tests.support.http_server import HttpServer, http_server, wait_until
from whisperlive_hybrid.errors import WorkerLost
from whisperlive_hybrid.jobs.transcript import Progress

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    with http_server(tmp_path_factory.mktemp("native") / "uploads", max_upload_mb=5, url_allow_hosts="") as running:
        yield running


def send(client: httpx.Client, clip: Clip, **options: Any) -> httpx.Response:
    return client.post("/transcribe", files={"file": (clip.path.name, clip.path.read_bytes())}, data=options)


def text_of(result: dict[str, Any]) -> list[str]:
    return words(" ".join(s["text"] for s in result["segments"]))


def test_the_result(client: httpx.Client, clip: Clip) -> None:
    answer = send(client, clip, language="en", word_timestamps="true")
    result = answer.json()

    assert answer.status_code == 200
    assert list(result) == ["success", "segments", "info", "filename"]
    assert result["success"] is True
    assert result["filename"] == clip.path.name
    assert text_of(result) == words(clip.text)
    info = result["info"]
    assert set(info) == {
        "language",
        "language_probability",
        "duration",
        "duration_after_vad",
        "transcription_options",
    }
    assert info["language"] == "en"
    assert info["duration"] == pytest.approx(clip.duration_s, abs=0.1)
    assert 0 < info["duration_after_vad"] <= info["duration"]
    assert info["transcription_options"]["word_timestamps"] is True
    for segment in result["segments"]:
        assert {"start", "end", "text", "no_speech_prob", "avg_logprob", "compression_ratio"} <= set(segment)
        assert 0 <= segment["start"] <= segment["end"] <= info["duration"] + 0.1
        assert [w["word"].strip() for w in segment["words"]] == segment["text"].split()


def test_the_language_is_found(client: httpx.Client) -> None:
    for language in ("es", "de"):
        found = send(client, clips(language)[0]).json()
        assert found["info"]["language"] == language


def test_translation(client: httpx.Client) -> None:
    clip = clips("es")[0]
    result = send(client, clip, task="translate").json()

    assert text_of(result) == words(clip.translation or "")


def test_subtitles_and_text(client: httpx.Client, clip: Clip) -> None:
    text = send(client, clip, format="text", language="en")
    srt = send(client, clip, format="srt", language="en")
    vtt = send(client, clip, format="vtt", language="en")

    assert words(text.text) == words(clip.text)
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    assert srt.text.startswith("1\n00:00:0")
    assert srt.headers["content-type"] == "application/x-subrip; charset=utf-8"
    assert vtt.text.startswith("WEBVTT\n\n")
    assert vtt.headers["content-type"] == "text/vtt; charset=utf-8"


def test_the_body_itself_as_the_file(client: httpx.Client, clip: Clip) -> None:
    answer = client.post(
        "/transcribe?language=English&format=text",
        content=clip.path.read_bytes(),
        headers={"Content-Type": "application/octet-stream"},
    )

    assert words(answer.text) == words(clip.text)


def test_news_while_it_is_transcribed(client: httpx.Client) -> None:
    talk = clips("en", conversations=True)[0]
    with client.stream(
        "POST",
        "/transcribe",
        files={"file": talk.path.read_bytes()},
        data={"language": "en"},
        headers={"Accept": "application/x-ndjson"},
    ) as answer:
        assert answer.headers["content-type"] == "application/x-ndjson"
        lines = [json.loads(line) for line in answer.iter_lines()]

    assert {line["type"] for line in lines} <= {"progress", "segment", "heartbeat", "done"}
    assert [line["type"] for line in lines].count("done") == 1
    done = lines[-1]
    assert done["type"] == "done" and done["success"] is True
    told = [line["segment"] for line in lines if line["type"] == "segment"]
    assert [s["id"] for s in told] == list(range(len(told)))
    assert [s["text"] for s in told] == [s["text"] for s in done["segments"]]
    assert any(line["type"] == "progress" and line["done_s"] > 0 for line in lines)


def test_what_is_wrong_from_the_start_has_its_status(client: httpx.Client) -> None:
    answer = client.post("/transcribe", files={"file": b"no audio" * 999}, headers={"Accept": "application/x-ndjson"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "not_audio")


@pytest.mark.parametrize("error", [WorkerLost("The worker died."), ZeroDivisionError("a secret")])
def test_news_that_end_in_an_error(
    server: HttpServer, client: httpx.Client, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaking(*args: Any, on_progress: Any, **kwargs: Any) -> None:
        on_progress(Progress("decoding", 1.0, None))
        await asyncio.sleep(0.3)
        raise error

    monkeypatch.setattr(type(server.services.pipeline), "transcribe", breaking)
    answer = client.post("/transcribe", files={"file": b"x"}, headers={"Accept": "application/x-ndjson"})
    first, last = map(json.loads, answer.text.splitlines())

    assert first == {"type": "progress", "stage": "decoding", "done_s": 1.0, "total_s": None}
    assert (last["type"], last["success"]) == ("error", False)
    assert last["error"]["code"] == getattr(error, "code", "internal_error")
    assert "secret" not in answer.text


def test_a_file_on_the_web(tmp_path: Path, clip: Clip) -> None:
    """Of a host the operator trusts; the transcript is kept where the operator wants it."""
    files = ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietFiles, directory=str(clip.path.parent)))
    threading.Thread(target=files.serve_forever).start()
    host, kept = f"127.0.0.1:{files.server_port}", tmp_path / "kept"
    try:
        with (
            http_server(tmp_path / "uploads", url_allow_hosts=host, transcription_storage_path=kept) as running,
            httpx.Client(base_url=running.url, timeout=60) as http,
        ):
            body = {"url": f"http://{host}/{clip.path.name}", "language": "en", "word_timestamps": True}
            result = http.post("/transcribe/url", json=body).json()
    finally:
        files.shutdown()
        files.server_close()

    assert result["filename"] == clip.path.name
    assert text_of(result) == words(clip.text)
    (document,) = kept.iterdir()
    assert clip.path.stem in document.name
    assert words(json.loads(document.read_text())["text"]) == words(clip.text)


class _QuietFiles(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


def silence(seconds: float, rate: int = 16000) -> bytes:
    return wav(np.zeros(int(seconds * rate), np.int16), rate)


def wav(samples: np.ndarray, rate: int = 16000) -> bytes:
    data = samples.astype("<i2").tobytes()
    head = b"RIFF" + (36 + len(data)).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    head += (1).to_bytes(2, "little") * 2 + rate.to_bytes(4, "little") + (2 * rate).to_bytes(4, "little")
    return (
        head + (2).to_bytes(2, "little") + (16).to_bytes(2, "little") + b"data" + len(data).to_bytes(4, "little") + data
    )


def video_only(path: Path) -> bytes:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode())
    return path.read_bytes()


def test_silence_is_no_error(client: httpx.Client) -> None:
    result = client.post("/transcribe", files={"file": silence(3)}).json()

    assert result["success"] is True
    assert result["segments"] == []
    assert result["info"]["duration"] == pytest.approx(3, abs=0.1)
    assert result["info"]["duration_after_vad"] == 0


@pytest.mark.parametrize(
    ("options", "code", "param"),
    [
        ({"language": "klingon"}, "unknown_language", "language"),
        ({"task": "sing"}, "unknown_task", "task"),
        ({"format": "docx"}, "unknown_format", "format"),
        ({"langauge": "en"}, "unknown_option", "langauge"),
        ({"beam_size": "0"}, "bad_option", "beam_size"),
        ({"beam_size": "2", "patience": "0.4"}, "bad_option", "patience"),
        ({"temperature": "hot"}, "bad_option", "temperature"),
        ({"vad_threshold": "1.5"}, "bad_option", "vad_threshold"),
        ({"word_timestamps": "maybe"}, "bad_option", "word_timestamps"),
    ],
)
def test_wrong_options(client: httpx.Client, clip: Clip, options: dict[str, str], code: str, param: str) -> None:
    answer = send(client, clip, **options)
    error = answer.json()["error"]

    assert answer.status_code == 400
    assert (error["code"], error["param"]) == (code, param)
    assert error["accepted"]


def test_a_model_that_is_none(client: httpx.Client, clip: Clip) -> None:
    answer = send(client, clip, model="no-such-model")

    assert answer.status_code == 404
    assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == ("model_not_found", "model")


def test_all_wrong_options_at_once(client: httpx.Client, clip: Clip) -> None:
    error = send(client, clip, language="klingon", task="sing", model="no-such-model").json()["error"]

    assert {problem["param"] for problem in error["errors"]} == {"language", "task", "model"}


def test_files_that_are_none(client: httpx.Client, clip: Clip, tmp_path: Path) -> None:
    whole = clip.path.read_bytes()
    wrong = {
        "not_audio": b"%PDF-1.7 this is a letter" * 50,
        "empty_file": b"",
        "no_audio_stream": video_only(tmp_path / "film.mp4"),
        "ffconcat": b"ffconcat version 1.0\nfile '/etc/hostname'\n",
        "header only": whole[:20],
    }
    codes = {}
    for name, content in wrong.items():
        answer = client.post("/transcribe", files={"file": ("a.wav", content)})
        assert answer.status_code == 400, (name, answer.text)
        assert answer.json()["error"]["param"] == "file"
        codes[name] = answer.json()["error"]["code"]

    assert codes["not_audio"] == "not_audio"
    assert codes["empty_file"] == "empty_file"
    assert codes["no_audio_stream"] == "no_audio_stream"
    assert send(client, clip, language="en").status_code == 200


def test_a_file_that_breaks_off_gives_what_is_there(client: httpx.Client, clip: Clip) -> None:
    answer = client.post("/transcribe", files={"file": wav((clip.samples() * 32767).astype(np.int16))[:-20001]})

    assert answer.status_code == 200
    assert answer.json()["info"]["duration"] < clip.duration_s


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"data": {"language": "en"}}, 400, "missing_file"),
        ({}, 400, "missing_file"),
        ({"files": [("file", b"a"), ("file", b"b")]}, 400, "several_files"),
        ({"files": {"audio": b"a"}}, 400, "unknown_file_part"),
        ({"json": {"file": "a.wav"}}, 415, "unsupported_media_type"),
        ({"files": {"file": bytes(5_100_000)}}, 413, "file_too_large"),
    ],
)
def test_wrong_bodies(client: httpx.Client, request_: dict[str, Any], status: int, code: str) -> None:
    answer = client.post("/transcribe", **request_)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["success"] is False


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "invalid_json"),
        ({"json": ["http://example.com"]}, 400, "invalid_json"),
        ({"content": b'{"url":"\xff"}', "headers": {"Content-Type": "application/json"}}, 400, "invalid_json"),
        ({"content": b"[" * 60_000, "headers": {"Content-Type": "application/json"}}, 400, "invalid_json"),
        ({"json": {}}, 400, "missing_url"),
        ({"data": {"language": "en"}}, 400, "missing_url"),
        ({"json": {"url": "http://127.0.0.1/a.wav"}}, 400, "url_not_allowed"),
        ({"json": {"url": "file:///etc/passwd"}}, 400, "bad_url"),
        ({"json": {"url": "http://1.1.1.1/a.wav", "task": "sing"}}, 400, "unknown_task"),
        ({"files": {"file": b"a"}, "data": {"url": "http://1.1.1.1"}}, 400, "unexpected_file"),
        ({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415, "unsupported_media_type"),
    ],
)
def test_wrong_addresses(client: httpx.Client, request_: dict[str, Any], status: int, code: str) -> None:
    answer = client.post("/transcribe/url", **request_)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@contextmanager
def long_request(server: HttpServer) -> Iterator[None]:
    """A connection whose file is being transcribed; cut at the end of the block."""
    talk = clips("en", conversations=True)[1].samples()
    long = wav((np.tile(talk, 2)[: 16000 * 75] * 32767).astype(np.int16))
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        head = f"POST /transcribe HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: audio/wav\r\n"
        connection.sendall(f"{head}Content-Length: {len(long)}\r\n\r\n".encode() + long)
        wait_until(lambda: server.windows() > 0)
        yield


def test_a_caller_who_leaves_takes_the_work_along(server: HttpServer, client: httpx.Client) -> None:
    """A long file, and a connection that is cut while its windows wait and run."""
    with long_request(server):
        assert len(server.uploads()) == 1

    wait_until(lambda: server.windows() == 0 and server.uploads() == [])
    assert client.get("/health").json()["status"] == "ok"


def test_a_reader_of_news_who_leaves(server: HttpServer) -> None:
    talk = clips("en", conversations=True)[1]
    with (
        httpx.Client(base_url=server.url, timeout=60) as client,
        client.stream(
            "POST", "/transcribe", files={"file": talk.path.read_bytes()}, headers={"Accept": "application/x-ndjson"}
        ) as answer,
    ):
        next(answer.iter_lines())

    wait_until(lambda: server.windows() == 0 and server.uploads() == [])


def test_a_full_server_and_a_file_that_is_too_long(tmp_path: Path, clip: Clip) -> None:
    with (
        http_server(tmp_path / "uploads", max_file_jobs=1, max_queued_files=0, max_audio_s=100) as small,
        httpx.Client(base_url=small.url, timeout=60) as http,
    ):
        with long_request(small):
            native = send(http, clip)
            content = {"file": clip.path.read_bytes()}
            like_openai = http.post("/v1/audio/transcriptions", files=content, data={"model": "whisper-1"})
            news = http.post("/transcribe", files=content, headers={"Accept": "application/x-ndjson"})
        small.call(small.services.pipeline.idle())
        again = send(http, clip, language="en")
        too_long = http.post("/transcribe", files={"file": silence(101)})

    assert [a.status_code for a in (native, like_openai, news)] == [503, 429, 503]
    assert native.json()["error"]["code"] == "full"
    assert native.json()["error"]["retry_after_s"] > 0
    assert like_openai.json()["error"]["code"] == "rate_limit_exceeded"
    assert int(like_openai.headers["retry-after-ms"]) >= 1000
    assert int(native.headers["retry-after"]) >= 1
    assert again.status_code == 200
    assert (too_long.status_code, too_long.json()["error"]["code"]) == (413, "too_long")
