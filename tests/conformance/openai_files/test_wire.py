"""What else arrives at OpenAI's paths: other clients' habits, other spellings of the paths, models, headers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import httpx
import openai
import pytest
from openai import AzureOpenAI, OpenAI

from tests.support.clips import Clip, words
from tests.support.http_server import HttpServer, wait_until
from tests.support.openai_files import KEY, OTHER_KEY, openai_client, transcribe, translate
from whisperlive_hybrid.engine.models import ModelInfo
from whisperlive_hybrid.errors import Refused, WorkerLost
from whisperlive_hybrid.transports.http import following

pytestmark = [pytest.mark.timeout(180), pytest.mark.filterwarnings("ignore:deprecated$:DeprecationWarning")]


def test_what_other_clients_put_on_the_wire(server: HttpServer, clip: Clip) -> None:
    """Fields left empty, the file first and without a name, lists without brackets, options nobody knows."""
    with httpx.Client(base_url=server.url, headers={"Authorization": "Bearer other"}, timeout=60) as http:
        answer = http.post(
            "/v1/audio/transcriptions",
            files=[
                ("file", (None, clip.path.read_bytes())),
                ("model", (None, b"whisper-1")),
                ("language", (None, b"")),
                ("prompt", (None, b"")),
                ("response_format", (None, b"verbose_json")),
                ("temperature", (None, b"0")),
                ("timestamp_granularities", (None, b"word")),
                ("timestamp_granularities[]", (None, b"segment")),
                ("user", (None, b"somebody")),
            ],
        )

    body = answer.json()
    assert answer.status_code == 200
    assert words(body["text"]) == words(clip.text)
    assert body["words"] and body["segments"]
    assert None not in body.values()
    assert answer.headers["x-request-id"].startswith("req_")
    assert int(answer.headers["openai-processing-ms"]) > 0


def post(http: httpx.Client, path: str, clip: Clip, **fields: Any) -> httpx.Response:
    return http.post(path, files={"file": clip.path.read_bytes()}, data={"language": "en", **fields})


@pytest.mark.parametrize("order", ["file first", "file last"])
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_of_every_kind(http: httpx.Client, clip: Clip, order: str, chunked: bool) -> None:
    """Node sends its bodies in chunks, without saying how long they are."""
    file = b'Content-Disposition: form-data; name="file"; filename="upload"\r\n\r\n' + clip.path.read_bytes()
    model = b'Content-Disposition: form-data; name="model"\r\n\r\nwhisper-1'
    parts = [file, model] if order == "file first" else [model, file]
    body = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"
    content: Any = (body[i : i + 5000] for i in range(0, len(body), 5000)) if chunked else body
    answer = http.post(
        "/v1/audio/transcriptions", content=content, headers={"Content-Type": "multipart/form-data; boundary=b"}
    )

    assert ("content-length" in answer.request.headers) is not chunked
    assert words(answer.json()["text"]) == words(clip.text)


def test_a_body_in_chunks_that_is_too_large(http: httpx.Client) -> None:
    def body() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
        for _ in range(100):
            yield bytes(100_000)
        yield b"\r\n--b--\r\n"

    answer = http.post(
        "/v1/audio/transcriptions", content=body(), headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "file_too_large")


@pytest.mark.parametrize("prefix", ["/v1", "", "/openai", "/openai/v1"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_paths_however_a_client_spells_them(http: httpx.Client, clip: Clip, prefix: str, slash: str) -> None:
    answer = post(http, f"{prefix}/audio/transcriptions{slash}", clip, model="whisper-1")
    assert words(answer.json()["text"]) == words(clip.text)

    assert http.post(f"{prefix}/audio/translations{slash}").json()["error"]["code"] == "missing_file"
    assert "digits" in {m["id"] for m in http.get(f"{prefix}/models{slash}").json()["data"]}
    assert http.get(f"{prefix}/models/whisper-1{slash}").json()["id"] == "whisper-1"
    assert http.get(f"{prefix}/audio/models{slash}").json() == {"models": []}
    assert http.get(f"{prefix}/audio/voices{slash}").json() == {"voices": []}
    nowhere = http.get(f"{prefix}/audio/nowhere{slash}")
    assert (nowhere.status_code, set(nowhere.json()["error"])) == (404, {"message", "type", "param", "code"})
    assert http.get(f"{prefix}/audio/transcriptions{slash}").status_code == 405


def test_azures_client(server: HttpServer, clip: Clip) -> None:
    """It names the model in the path, and sends its key in a header of its own."""
    with AzureOpenAI(
        azure_endpoint=server.url, api_key=OTHER_KEY, api_version="2025-03-01-preview", max_retries=0
    ) as client:
        result = client.audio.transcriptions.create(
            file=clip.path, model="whisper", language="en", response_format="verbose_json"
        )
        assert words(result.text) == words(clip.text)
        assert words(translate(client, clip, model="digits").text)
        assert "digits" in {m.id for m in client.models.list()}
        with pytest.raises(openai.NotFoundError) as raised:
            client.audio.transcriptions.create(file=clip.path, model="nope")
    assert raised.value.code == "model_not_found"
    with (
        AzureOpenAI(azure_endpoint=server.url, api_key="wrong", api_version="1", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.models.list()


def test_azures_path_needs_no_model(server: HttpServer, clip: Clip) -> None:
    answer = httpx.post(
        f"{server.url}/openai/deployments/whisper-1/audio/transcriptions?api-version=2024-06-01",
        headers={"api-key": KEY},
        files={"file": ("audio.webm", clip.path.read_bytes())},
        timeout=60,
    )

    assert words(answer.json()["text"]) == words(clip.text)


def test_a_models_name_may_be_of_any_characters(http: httpx.Client, clip: Clip) -> None:
    missing = http.get("/v1/models/a%0Ab%C2%87")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")
    files = {"file": ("audio.webm", clip.path.read_bytes())}
    refused = http.post("/openai/deployments/a%0Ab%C2%87/audio/transcriptions", files=files)
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("model", ["whisper-1", "digits", "nope"])
def test_every_answer_has_its_headers(http: httpx.Client, model: str) -> None:
    answer = http.get(f"/v1/models/{model}", headers={"X-Request-Id": "mine-1"})

    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["openai-processing-ms"].isdigit()
    assert answer.headers["openai-version"] == "2020-10-01"
    assert http.get("/v1/models").headers["x-request-id"].startswith("req_")


def test_answers_as_they_are(client: OpenAI, clip: Clip) -> None:
    raw = client.audio.transcriptions.with_raw_response.create(
        file=clip.path, model="whisper-1", language="en", response_format="srt"
    )
    assert raw.headers["content-type"] == "text/plain; charset=utf-8"
    assert raw.text.startswith("1\n00:00:0")
    with client.audio.transcriptions.with_streaming_response.create(file=clip.path, model="whisper-1") as response:
        assert response.headers["content-type"].startswith("application/json")
        assert response.request_id
        assert words(response.parse().text)


def test_a_full_server_is_tried_again_when_it_said(
    server: HttpServer, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, tried = server.services.pipeline, []
    real = type(pipeline).transcribe

    async def full_at_first(self: Any, *args: Any, **kwargs: Any) -> Any:
        tried.append(time.monotonic())
        if len(tried) < 3:
            raise Refused("Full.", retry_after_s=0.25)
        return await real(self, *args, **kwargs)

    monkeypatch.setattr(type(pipeline), "transcribe", full_at_first)
    with openai_client(server, max_retries=2) as client:
        assert words(transcribe(client, clip).text) == words(clip.text)
        # The client's own guess would be 0.5 s and 1 s.
        assert len(tried) == 3 and all(b - a >= 0.25 for a, b in pairwise(tried))
        tried.clear()
        with openai_client(server) as impatient, pytest.raises(openai.RateLimitError) as raised:
            transcribe(impatient, clip)
    assert (raised.value.code, raised.value.type) == ("rate_limit_exceeded", "rate_limit_error")
    assert raised.value.response.headers["retry-after-ms"] == "250"
    assert raised.value.response.headers["retry-after"] == "1"


def test_a_fault_of_ours_is_not_tried_again(server: HttpServer, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    async def broken(*args: Any, **kwargs: Any) -> Any:
        tried.append(1)
        raise RuntimeError("a bug")

    monkeypatch.setattr(type(server.services.pipeline), "transcribe", broken)
    with openai_client(server, max_retries=2) as client, pytest.raises(openai.InternalServerError) as raised:
        transcribe(client, clip)

    assert len(tried) == 1
    assert raised.value.type == "server_error"
    assert "a bug" not in raised.value.message and (raised.value.request_id or "?") in raised.value.message


@pytest.mark.parametrize("when", ["before its answer begins", "while its answer is kept alive"])
def test_a_caller_that_goes_away_stops_its_inference(
    server: HttpServer, http: httpx.Client, clip: Clip, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    begun, ended = [], []

    async def endless(*args: Any, **kwargs: Any) -> None:
        begun.append(1)
        try:
            await asyncio.sleep(600)
        finally:
            ended.append(1)

    monkeypatch.setattr(type(server.services.pipeline), "transcribe", endless)
    if when == "before its answer begins":
        with openai_client(server, timeout=0.7) as client, pytest.raises(openai.APITimeoutError):
            transcribe(client, clip)
    else:
        monkeypatch.setattr(following, "KEEP_ALIVE_S", 0.1)
        form: Any = {"files": {"file": clip.path.read_bytes()}, "data": {"model": "whisper-1"}}
        with http.stream("POST", "/v1/audio/transcriptions", **form) as answer:
            pieces = answer.iter_bytes()
            assert next(pieces) == b" "
            assert ended == []
    wait_until(lambda: len(begun) == len(ended) == 1 and server.uploads() == [])


def test_an_answer_that_takes_long_is_kept_alive(
    server: HttpServer, client: OpenAI, http: httpx.Client, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = type(server.services.pipeline).transcribe

    async def slow(self: Any, *args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0.5)
        return await real(self, *args, **kwargs)

    monkeypatch.setattr(type(server.services.pipeline), "transcribe", slow)
    monkeypatch.setattr(following, "KEEP_ALIVE_S", 0.1)
    assert words(transcribe(client, clip).text) == words(clip.text)
    assert words(transcribe(client, clip, response_format="verbose_json").text) == words(clip.text)
    answer = post(http, "/v1/audio/transcriptions", clip, model="whisper-1")
    assert answer.text.startswith("  ") and answer.json()["text"]
    text = post(http, "/v1/audio/transcriptions", clip, model="whisper-1", response_format="text")
    assert text.text == text.text.lstrip()


def test_what_fails_after_its_answer_has_begun_is_no_answer(
    server: HttpServer, client: OpenAI, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dying(*args: Any, **kwargs: Any) -> None:
        await asyncio.sleep(0.4)
        raise WorkerLost("The worker died.")

    monkeypatch.setattr(type(server.services.pipeline), "transcribe", dying)
    monkeypatch.setattr(following, "KEEP_ALIVE_S", 0.1)
    with pytest.raises((openai.APIConnectionError, httpx.HTTPError)):
        transcribe(client, clip)


@pytest.mark.parametrize("name", ["org/name", "org%2Fname", "org%2fname"])
def test_names_of_models_may_have_slashes(
    server: HttpServer, client: OpenAI, http: httpx.Client, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with_slash: ModelInfo = replace(server.services.engine.models()[0], id="org/name", aliases=(), default=False)
    monkeypatch.setattr(type(server.services.engine), "models", lambda self: [with_slash])

    assert http.get(f"/v1/models/{name}").json()["id"] == "org/name"
    assert client.models.retrieve("org/name").id == "org/name"


def test_models(client: OpenAI) -> None:
    listed = list(client.models.list())
    by_id = {m.id: m for m in listed}

    assert {"digits", "whisper-1", "gpt-4o-transcribe"} <= set(by_id)
    assert len(by_id) == len(listed)
    assert all(m.object == "model" and m.created > 0 and m.owned_by for m in listed)
    assert client.models.retrieve("whisper-1").id == "whisper-1"


def test_models_that_are_none(client: OpenAI, clip: Clip) -> None:
    for name in ("no-such-model", "org/with/slashes", "org/name"):
        with pytest.raises(openai.NotFoundError) as raised:
            client.models.retrieve(name)
        assert raised.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError) as raised:
        transcribe(client, clip, model="no-such-model")
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


def test_models_are_not_deleted(client: OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        client.models.delete("digits")

    assert raised.value.status_code == 405
    assert "digits" in {m.id for m in client.models.list()}
