"""The API's description held against real answers: statuses, media types, and every field with its type."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.clips import clips
from tests.support.http_server import HttpServer, http_server
from whisperlive_hybrid.transports.http.app import DOORS
from whisperlive_hybrid.transports.http.openapi import description

Json = dict[str, Any]

DOCUMENT = description(DOORS)
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}


def faults(schema: Json, value: Any, where: str = "body") -> Iterator[str]:
    """Where `value` is not as `schema` says. Fields that are not described are faults too."""
    if "$ref" in schema:
        yield from faults(DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]], value, where)
        return
    if "anyOf" in schema:
        found = [list(faults(one, value, where)) for one in schema["anyOf"]]
        if [] not in found:
            yield from min(found, key=len)
        return
    if "const" in schema and value != schema["const"]:
        yield f"{where} is {value!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where} is {value!r}"
    kinds = schema.get("type")
    if kinds is not None:
        allowed = [t for kind in ([kinds] if isinstance(kinds, str) else kinds) for t in _TYPES[kind]]
        if not isinstance(value, tuple(allowed)) or (isinstance(value, bool) and bool not in allowed):
            yield f"{where} is {value!r}, not {kinds}"
            return
    if isinstance(value, list) and "items" in schema:
        for i, item in enumerate(value):
            yield from faults(schema["items"], item, f"{where}[{i}]")
    if isinstance(value, dict) and "properties" in schema:
        yield from (f"{where} has no {name}" for name in schema.get("required", ()) if name not in value)
        for name, item in value.items():
            if name not in schema["properties"]:
                yield f"{where}.{name} is not described"
            else:
                yield from faults(schema["properties"][name], item, f"{where}.{name}")


def check(answer: httpx.Response, path: str, method: str = "post") -> None:
    """The answer is one that the description gives for this operation."""
    responses = DOCUMENT["paths"][path][method]["responses"]
    assert str(answer.status_code) in responses, answer.text
    content = responses[str(answer.status_code)]["content"]
    kind = answer.headers["content-type"].partition(";")[0]
    assert kind in content
    lines = answer.text.splitlines() if kind == "application/x-ndjson" else [answer.text]
    if kind in ("application/json", "application/x-ndjson"):
        for line in lines:
            assert list(faults(content[kind]["schema"], json.loads(line))) == []
    for name in responses[str(answer.status_code)].get("headers", ()):
        assert name in answer.headers


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    with http_server(tmp_path_factory.mktemp("described") / "uploads", max_upload_mb=1) as running:
        yield running


SPEECH = clips("en")[0].path.read_bytes()


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/transcribe", {"word_timestamps": "true"}),
        ("/transcribe", {"format": "srt"}),
        ("/transcribe", {"format": "tsv"}),
        ("/transcribe", {"language": "klingon", "task": "sing"}),
        ("/transcribe", {"model": "nope"}),
        ("/v1/audio/transcriptions", {"model": "whisper-1"}),
        ("/v1/audio/transcriptions", {"model": "whisper-1", "response_format": "vtt"}),
        ("/v1/audio/transcriptions", {"model": "whisper-1", "stream": "true"}),
        ("/v1/audio/transcriptions", {"model": "gpt-transcribe", "include[]": "logprobs"}),
        ("/v1/audio/transcriptions", {"model": "whisper-1", "include[]": "logprobs", "response_format": "srt"}),
        ("/v1/audio/translations", {"model": "whisper-1", "response_format": "verbose_json"}),
        (
            "/v1/audio/transcriptions",
            {
                "model": "whisper-1",
                "response_format": "verbose_json",
                "timestamp_granularities[]": ["word", "segment"],
            },
        ),
        ("/v1/audio/transcriptions", {"model": "nope"}),
        ("/asr", {"output": "srt"}),
        ("/asr", {"output": "json", "task": "sing"}),
        ("/asr", {"model": "nope"}),
        ("/detect-language", {}),
        ("/inference", {}),
        ("/inference", {"response_format": "verbose_json"}),
        ("/inference", {"response_format": "vtt"}),
        ("/inference", {"temperature": "warm"}),
        ("/inference", {"model": "nope"}),
        ("/v1/audio/transcriptions", {}),
    ],
)
def test_answers_to_a_file_are_as_described(client: httpx.Client, path: str, options: Json) -> None:
    check(client.post(path, files={"file": SPEECH}, data=options), path)


@pytest.mark.parametrize("name", ["transcriptions", "translations"])
def test_answers_to_azures_clients_are_as_described(client: httpx.Client, name: str) -> None:
    described = f"/openai/deployments/{{deployment}}/audio/{name}"
    for deployment in ("whisper", "nope"):
        check(client.post(described.replace("{deployment}", deployment), files={"file": SPEECH}), described)


@pytest.mark.parametrize(
    "path",
    ["/transcribe", "/v1/audio/transcriptions", "/v1/audio/translations", "/asr", "/detect-language", "/inference"],
)
def test_answers_to_what_is_no_speech_are_as_described(client: httpx.Client, path: str) -> None:
    noise, model = b"no audio at all" * 99, {"model": "whisper-1"} if "v1" in path else {}

    check(client.post(path, files={"file": noise}, data=model), path)
    check(client.post(path, files={"file": bytes(1_100_000)}, data=model), path)
    check(client.post(path, content=b"{}", headers={"Content-Type": "application/json"}), path)


@pytest.mark.parametrize(
    "params",
    [
        {"smart_format": "true", "utterances": "true", "detect_language": "true", "numerals": "true", "extra": "a:b"},
        {"language": "multi", "tag": "a"},
        {"redact": "pci"},
        {"model": "nope"},
    ],
)
def test_answers_to_deepgrams_clients_are_as_described(client: httpx.Client, params: Json) -> None:
    check(client.post("/v1/listen", content=SPEECH, params=params), "/v1/listen")
    check(client.post("/v1/listen", params=params), "/v1/listen")
    check(client.post("/v1/listen", content=bytes(1_100_000), params=params), "/v1/listen")


def test_a_streamed_answer_is_as_described(client: httpx.Client) -> None:
    answer = client.post("/transcribe", files={"file": SPEECH}, headers={"Accept": "application/x-ndjson"})

    assert {json.loads(line)["type"] for line in answer.text.splitlines()} >= {"progress", "segment", "done"}
    check(answer, "/transcribe")


def test_models_and_health_are_as_described(client: httpx.Client) -> None:
    check(client.get("/v1/models"), "/v1/models", "get")
    check(client.get("/v1/models/whisper-1"), "/v1/models/{id}", "get")
    check(client.get("/v1/models/nope"), "/v1/models/{id}", "get")
    check(client.delete("/v1/models/digits"), "/v1/models/{id}", "delete")
    check(client.get("/v1/audio/models"), "/v1/audio/models", "get")
    check(client.get("/v1/audio/voices"), "/v1/audio/voices", "get")
    check(client.get("/health"), "/health", "get")
    check(client.get("/health/live"), "/health/live", "get")


def test_while_it_shuts_down_answers_are_as_described(server: HttpServer, client: httpx.Client) -> None:
    engine = server.services.engine
    before = engine.state
    try:
        engine.state = "draining"
        for path in ("/transcribe", "/v1/audio/transcriptions"):
            check(client.post(path, files={"file": SPEECH}), path)
        check(client.get("/health"), "/health", "get")
    finally:
        engine.state = before


def test_the_check_finds_what_is_wrong() -> None:
    schema = {"$ref": "#/components/schemas/Word"}

    assert list(faults(schema, {"word": "a", "start": 0, "end": 1.5, "probability": 1})) == []
    assert list(faults(schema, {"word": 1, "start": True, "more": 1})) == [
        "body has no end",
        "body has no probability",
        "body.word is 1, not string",
        "body.start is True, not number",
        "body.more is not described",
    ]
