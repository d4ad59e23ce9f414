"""What is no proper call of OpenAI's audio API is answered in its envelope: no 500, no hang, nothing left behind."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.clips import DATA
from tests.support.http_server import HttpServer, http_server, wait_until
from tests.support.openai_files import silence
from whisperlive_hybrid.transports.http.openai_options import FORMATS, TRANSCRIPTION_OPTIONS

pytestmark = pytest.mark.timeout(300)

PATHS = ("/v1/audio/transcriptions", "/v1/audio/translations", "/openai/deployments/whisper-1/audio/transcriptions")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    with http_server(tmp_path_factory.mktemp("malformed") / "uploads", max_upload_mb=1) as running:
        yield running


@pytest.fixture(scope="module")
def http(server: HttpServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as opened:
        yield opened


def problem(answer: httpx.Response) -> dict[str, Any]:
    """The error in its envelope, which is complete."""
    assert answer.headers["content-type"].startswith("application/json"), answer.text
    body = answer.json()
    assert list(body) == ["error"]
    error: dict[str, Any] = body["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert error["message"] and error["type"] and error["code"]
    return error


def multipart(*parts: bytes, end: bytes = b"--b--\r\n") -> dict[str, Any]:
    content = b"".join(b"--b\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts) + end
    return {"content": content, "headers": {"Content-Type": "multipart/form-data; boundary=b"}}


FILE = b'name="file"; filename="a.wav"\r\n\r\n' + silence(0.2)[1]
MODEL = b'name="model"\r\n\r\nwhisper-1'
BODIES: dict[str, tuple[dict[str, Any], int, str]] = {
    "nothing": ({}, 400, "missing_file"),
    "json": ({"json": {"model": "whisper-1"}}, 415, "unsupported_media_type"),
    "urlencoded": ({"data": {"model": "whisper-1"}}, 415, "unsupported_media_type"),
    "raw audio": ({"content": b"RIFF", "headers": {"Content-Type": "audio/wav"}}, 415, "unsupported_media_type"),
    "no boundary": ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "bad_multipart"),
    "no parts": (multipart(), 400, "missing_file"),
    "no file": (multipart(MODEL), 400, "missing_file"),
    "no end": (multipart(MODEL, FILE, end=b""), 400, "bad_multipart"),
    "no form": (multipart(end=b"what is this"), 400, "bad_multipart"),
    "two files": (multipart(FILE, FILE, MODEL), 400, "several_files"),
    "an empty file": (multipart(b'name="file"; filename="a"\r\n\r\n', MODEL), 400, "empty_file"),
    "another part is the file": (multipart(FILE.replace(b'"file"', b'"audio"'), MODEL), 400, "unknown_file_part"),
    "no text": (multipart(FILE, MODEL, b'name="prompt"\r\n\r\n\xff\xfe\xff'), 400, "not_text"),
    "a long field": (multipart(FILE, MODEL, b'name="prompt"\r\n\r\n' + bytes(70_000)), 400, "too_long"),
    "many fields": (multipart(FILE, *[MODEL] * 65), 400, "too_many_fields"),
    "too large": (multipart(b'name="file"\r\n\r\n' + bytes(1_000_001), MODEL), 413, "file_too_large"),
    "compressed": (
        {"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=b", "Content-Encoding": "gzip"}},
        400,
        "encoded_part",
    ),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", BODIES)
def test_bodies_that_are_no_call(http: httpx.Client, path: str, body: str) -> None:
    request, status, code = BODIES[body]
    answer = http.post(path, **request)

    assert (answer.status_code, problem(answer)["code"]) == (status, code)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", PATHS)
def test_methods_that_are_none(http: httpx.Client, path: str, method: str) -> None:
    answer = http.request(method, path)

    assert (answer.status_code, problem(answer)["code"]) == (405, "method_not_allowed")


def test_a_model_is_named(http: httpx.Client) -> None:
    for path in PATHS[:2]:
        error = problem(http.post(path, files={"file": silence(0.2)}))
        assert (error["param"], error["code"]) == ("model", "missing_model")


def test_all_mistakes_are_told_at_once(http: httpx.Client) -> None:
    fields = {"temperature": "hot", "language": "klingon", "response_format": "docx", "stream": "perhaps"}
    error = problem(http.post(PATHS[0], files={"file": silence(0.2)}, data=fields))

    assert all(name in error["message"] for name in fields if name != "language")
    assert "klingon" in error["message"] and "model" in error["message"]


@pytest.mark.parametrize("part", [0.0, 0.3, 0.99])
def test_a_caller_that_stops_in_the_middle(server: HttpServer, http: httpx.Client, part: float) -> None:
    body = multipart(MODEL, b'name="file"; filename="a"\r\n\r\n' + silence(20)[1])["content"]
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        head = "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        connection.sendall((head + "Content-Length: {}\r\n\r\n").format(PATHS[0], len(body)).encode())
        connection.sendall(body[: round(len(body) * part)])
        if part:
            wait_until(lambda: len(server.uploads()) == 1)
    wait_until(lambda: server.uploads() == [])
    assert http.get("/v1/models").status_code == 200


Fields: TypeAlias = list[tuple[str, str]]

SPOKEN = (DATA / "en-one-digit.flac").read_bytes()
_FILES = st.sampled_from([SPOKEN] * 6 + [silence(0.3)[1], silence(0.01)[1], b"RIFF....WAVE"]) | st.binary(max_size=99)
_NAMES = [o.name for o in TRANSCRIPTION_OPTIONS]
_ODD_KEYS = st.sampled_from([*_NAMES, *(f"{name}[]" for name in _NAMES), "chunking_strategy[x]", "include[][]", "user"])
_ODD_VALUES = (
    st.sampled_from(
        [
            *("nope", "org/name", "../x", "true", "-1", "1e999", "NaN", "null", "[", "[[]]", '["word", 1]', ""),
            *('{"type": "server_vad"}', '{"a": {"b": 1}}', "data:audio/wav;base64,AAAA", "data:;base64,!"),
        ]
    )
    | st.integers().map(str)
    | st.floats().map(str)
    | st.text(max_size=30)
)
_PROPER: dict[str, list[str]] = {
    "response_format": list(FORMATS[:-1]),
    "stream": ["true", "false"],
    "language": ["en", "EN-us", "german", "auto", ""],
    "languages[]": ["en", "de"],
    "prompt": ["one two", ""],
    "keywords[]": ["nine", "Łódź, 東京"],
    "hotwords": ["nine"],
    "temperature": ["0", "0.2", "1"],
    "timestamp_granularities[]": ["segment", "word"],
    "timestamp_granularities[0]": ["segment"],
    "include[]": ["logprobs"],
    "chunking_strategy": ["auto", '{"type": "server_vad", "threshold": 0.3}'],
    "chunking_strategy[type]": ["server_vad"],
    "chunking_strategy[silence_duration_ms]": ["200"],
    "beam_size": ["1"],
}
_PROPER_FIELD = st.sampled_from(sorted(_PROPER)).flatmap(lambda k: st.tuples(st.just(k), st.sampled_from(_PROPER[k])))
_PROPER_FIELDS = st.lists(_PROPER_FIELD, max_size=5, unique_by=lambda f: f[0])
_FIELDS = (
    _PROPER_FIELDS
    | _PROPER_FIELDS.map(lambda fields: [*(f for f in fields if f[0] != "stream"), ("stream", "true")])
    | st.lists(_PROPER_FIELD | st.tuples(_ODD_KEYS, _ODD_VALUES), max_size=6)
)


@given(
    path=st.sampled_from(PATHS),
    file=_FILES,
    fields=_FIELDS,
    order=st.sampled_from(["file first", "file last"] * 4 + ["no model"]),
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_form_says(http: httpx.Client, path: str, file: bytes, fields: Fields, order: str) -> None:
    parts: list[tuple[str, Any]] = [(name, (None, value.encode("utf-8", "replace"))) for name, value in fields]
    if order != "no model":
        parts.append(("model", (None, b"whisper-1")))
    parts.insert(0 if order == "file first" else len(parts), ("file", ("upload", file)))
    answer = http.post(path, files=parts)

    if answer.status_code != 200:
        assert answer.status_code in (400, 404), answer.text
        error = problem(answer)
        assert error["type"] == "invalid_request_error"
    elif answer.headers["content-type"].startswith("text/event-stream"):
        *events, done = answer.text.removesuffix("\n\n").split("\n\n")
        assert done == "data: [DONE]"
        told = [json.loads(e.removeprefix("data: ")) for e in events if not e.startswith(":")]
        assert "".join(e["delta"] for e in told if e["type"].endswith("delta")) == told[-1]["text"]
    elif answer.headers["content-type"].startswith("application/json"):
        assert isinstance(answer.json()["text"], str)
