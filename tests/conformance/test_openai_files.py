"""OpenAI's own Python client, unmodified and with strict validation of every answer, against the real server."""

from __future__ import annotations

import asyncio
import io
import math
import warnings
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from openai.types.audio import (
    Transcription,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionVerbose,
    Translation,
    TranslationVerbose,
)

from tests.support.clips import Clip, clips, words
from tests.support.http_server import HttpServer, http_server, wait_until
from whisperlive_hybrid.engine.hypothesis import Segment
from whisperlive_hybrid.errors import WorkerLost

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    with http_server(tmp_path_factory.mktemp("openai") / "uploads", max_upload_mb=5, api_key="right,other") as running:
        yield running


@pytest.fixture(scope="module")
def client(server: HttpServer) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=server.url + "/v1", api_key="right", max_retries=0, _strict_response_validation=True
    ) as opened:
        yield opened


@pytest.fixture
def clip() -> Clip:
    return next(c for c in clips("en") if c.path.stem == "en-05")


def transcribe(client: OpenAI, clip: Clip, **options: Any) -> Any:
    options = {"model": "whisper-1", "language": "en", **options}
    return client.audio.transcriptions.create(file=clip.path, **options)


def translate(client: OpenAI, clip: Clip, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the client announces the end of OpenAI's own endpoint
        return client.audio.translations.create(file=clip.path, model="whisper-1", **options)


@pytest.mark.parametrize("form", ["path", "bytes", "file", "tuple"])
def test_json_from_every_kind_of_file(client: OpenAI, clip: Clip, form: str) -> None:
    content = clip.path.read_bytes()
    file: Any = {
        "path": clip.path,
        "bytes": content,
        "file": io.BytesIO(content),
        "tuple": ("a.flac", content, "audio/flac"),
    }[form]
    result = client.audio.transcriptions.create(file=file, model="gpt-4o-transcribe", language="en")

    assert isinstance(result, Transcription)
    assert words(result.text) == words(clip.text)
    assert result.text == result.text.strip()
    assert result.usage is not None and result.usage.type == "duration"
    assert result.usage.seconds == math.ceil(clip.duration_s)


def test_text_and_subtitles(client: OpenAI, clip: Clip) -> None:
    text = transcribe(client, clip, response_format="text")
    srt = transcribe(client, clip, response_format="srt")
    vtt = transcribe(client, clip, response_format="vtt")

    assert words(text) == words(clip.text)
    assert text.endswith("\n")
    assert srt.startswith("1\n00:00:00,") and " --> 00:00:0" in srt
    assert vtt.startswith("WEBVTT\n\n00:00:00.")


@pytest.mark.parametrize(
    ("granularities", "has_segments", "has_words"),
    [(None, True, False), (["segment"], True, False), (["word"], False, True), (["word", "segment"], True, True)],
)
def test_verbose_json(
    client: OpenAI, clip: Clip, granularities: list[str] | None, has_segments: bool, has_words: bool
) -> None:
    options = {} if granularities is None else {"timestamp_granularities": granularities}
    result = transcribe(client, clip, response_format="verbose_json", **options)

    assert isinstance(result, TranscriptionVerbose)
    assert result.language == "english"
    assert result.duration == pytest.approx(clip.duration_s, abs=0.1)
    assert words(result.text) == words(clip.text)
    assert (result.segments is not None, result.words is not None) == (has_segments, has_words)
    if result.segments is not None:
        assert "".join(s.text for s in result.segments).strip() == result.text
        assert [s.id for s in result.segments] == list(range(len(result.segments)))
    if result.words is not None:
        assert words(" ".join(w.word for w in result.words)) == words(clip.text)
        assert all(w.word == w.word.strip() and w.start <= w.end for w in result.words)


def test_words_need_verbose_json(client: OpenAI, clip: Clip) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        transcribe(client, clip, timestamp_granularities=["word"])

    assert raised.value.param == "timestamp_granularities"


def test_the_language_is_found_and_named_in_full(client: OpenAI) -> None:
    result = client.audio.transcriptions.create(
        file=clips("de")[0].path, model="whisper-1", response_format="verbose_json"
    )

    assert result.language == "german"


@pytest.mark.parametrize("clip", [*clips("es"), *clips("de"), *clips("fr")], ids=lambda c: c.path.stem)
def test_translations(client: OpenAI, clip: Clip) -> None:
    result = translate(client, clip)

    assert isinstance(result, Translation)
    assert words(result.text) == words(clip.translation or "")


def test_translations_in_all_formats(client: OpenAI) -> None:
    clip = clips("es")[0]
    expected = words(clip.translation or "")

    verbose = translate(client, clip, response_format="verbose_json")
    assert isinstance(verbose, TranslationVerbose)
    assert verbose.language == "english"
    assert words(verbose.text) == expected
    assert verbose.segments
    assert words(translate(client, clip, response_format="text")) == expected
    assert " --> " in translate(client, clip, response_format="srt")
    assert translate(client, clip, response_format="vtt").startswith("WEBVTT")


@pytest.mark.parametrize("form", ["utterance", "conversation"])
def test_stream(client: OpenAI, clip: Clip, form: str) -> None:
    audio = clip if form == "utterance" else clips("en", conversations=True)[0]
    events = list(transcribe(client, audio, stream=True))
    deltas = [e.delta for e in events if isinstance(e, TranscriptionTextDeltaEvent)]
    done = [e for e in events if isinstance(e, TranscriptionTextDoneEvent)]

    assert len(done) == 1 and events[-1] is done[0]
    assert deltas and "".join(deltas) == done[0].text
    assert done[0].text == done[0].text.strip()
    if form == "utterance":
        assert words(done[0].text) == words(clip.text)


def test_a_stream_that_is_not_read_to_its_end(server: HttpServer, client: OpenAI) -> None:
    talk = clips("en", conversations=True)[1]
    with transcribe(client, talk, stream=True) as stream:
        next(iter(stream))

    wait_until(lambda: server.windows() == 0 and server.uploads() == [])


def test_a_stream_that_cannot_begin(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.audio.transcriptions.create(file=b"no audio" * 999, model="whisper-1", stream=True)

    assert raised.value.code == "not_audio"


def test_an_error_within_a_stream(server: HttpServer, client: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = Segment(0.0, 1.0, " one two", (), 0.0, -0.1, 1.0, 0.0)

    async def breaking(*args: Any, on_segments: Any, **kwargs: Any) -> None:
        on_segments([segment])
        await asyncio.sleep(0.3)
        raise WorkerLost("The worker died.")

    monkeypatch.setattr(type(server.services.pipeline), "transcribe", breaking)
    heard = []
    with pytest.raises(openai.APIError) as raised:
        for event in client.audio.transcriptions.create(file=b"x", model="whisper-1", stream=True):
            heard.append(event)

    assert [e.type for e in heard] == ["transcript.text.delta"]
    assert raised.value.code == "worker_lost"


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


@pytest.mark.parametrize(
    "options",
    [
        {"chunking_strategy": "auto"},
        {"chunking_strategy": {"type": "server_vad", "threshold": 0.4, "silence_duration_ms": 300}},
        {"prompt": "", "language": ""},
        {"extra_body": {"languages": ["en", "de"]}, "language": ""},
        {"temperature": 0.2},
        {"language": "English"},
        {"language": "en-US"},
    ],
)
def test_options(client: OpenAI, clip: Clip, options: dict[str, Any]) -> None:
    assert words(transcribe(client, clip, **options).text) == words(clip.text)


@pytest.mark.parametrize(
    "extra", [{"hotwords": "six nine", "beam_size": 1}, {"keywords": ["six", "nine"]}, {"keywords[]": ["six"]}]
)
def test_options_that_prime_the_model(client: OpenAI, clip: Clip, extra: dict[str, Any]) -> None:
    # A prime may sway a model this small, so only most of the words are asked for.
    heard = words(transcribe(client, clip, extra_body=extra).text)
    assert len(set(heard) & set(words(clip.text))) >= 2


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"language": "klingon"}, "language"),
        ({"temperature": 7}, "temperature"),
        ({"response_format": "docx"}, "response_format"),
        ({"response_format": "diarized_json"}, "response_format"),
        ({"include": ["logprobs"]}, "include"),
        ({"extra_body": {"known_speaker_names": ["a"]}}, "known_speaker_names"),
        ({"chunking_strategy": {"type": "server_vad", "threshold": 4}}, "chunking_strategy[threshold]"),
        ({"model": ""}, "model"),
    ],
)
def test_wrong_options(client: OpenAI, clip: Clip, options: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        transcribe(client, clip, **options)

    assert raised.value.param == param
    assert raised.value.type == "invalid_request_error"
    assert raised.value.code
    assert raised.value.request_id


def test_files_that_are_none(client: OpenAI, clip: Clip) -> None:
    codes = []
    for content in (b"%PDF-1.7" * 100, b"", clip.path.read_bytes()[:30]):
        with pytest.raises(openai.BadRequestError) as raised:
            client.audio.transcriptions.create(file=("a.wav", content), model="whisper-1")
        codes.append(raised.value.code)
        assert raised.value.param == "file"

    assert codes[:2] == ["not_audio", "empty_file"]
    assert words(transcribe(client, clip).text) == words(clip.text)


def test_too_large(client: OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        client.audio.transcriptions.create(file=bytes(5_100_000), model="whisper-1")

    assert (raised.value.status_code, raised.value.code) == (413, "file_too_large")


def test_keys(server: HttpServer, clip: Clip) -> None:
    with OpenAI(base_url=server.url + "/v1", api_key="wrong", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError) as raised:
            transcribe(stranger, clip)
        with pytest.raises(openai.AuthenticationError):
            stranger.models.list()

    assert raised.value.code == "invalid_api_key"
    assert "wrong" not in raised.value.message
    assert raised.value.response.headers["www-authenticate"] == "Bearer"


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
