"""OpenAI's own Python client reading transcriptions as they come."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.audio import TranscriptionTextDeltaEvent, TranscriptionTextDoneEvent

from tests.support.clips import Clip, clips, words
from tests.support.http_server import HttpServer, wait_until
from tests.support.openai_files import KEY, silence, spoken, transcribe
from whisperlive_hybrid.engine.hypothesis import Segment
from whisperlive_hybrid.errors import WorkerLost
from whisperlive_hybrid.jobs.transcript import FileOptions, Transcript
from whisperlive_hybrid.transports.http import following

pytestmark = pytest.mark.timeout(180)

FORMATS = ["json", "text", "srt", "vtt", "verbose_json"]


def told(events: list[Any]) -> tuple[list[TranscriptionTextDeltaEvent], TranscriptionTextDoneEvent]:
    """Deltas, and the one event that ends them."""
    deltas, done = events[:-1], events[-1]
    assert isinstance(done, TranscriptionTextDoneEvent)
    assert all(isinstance(e, TranscriptionTextDeltaEvent) for e in deltas)
    return deltas, done


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("form", ["utterance", "conversation"])
def test_deltas_join_to_what_is_answered_without_a_stream(client: OpenAI, form: str, format_: str) -> None:
    audio = spoken() if form == "utterance" else clips("en", conversations=True)[0]
    # One temperature, since the others draw lots.
    options: dict[str, Any] = {"response_format": format_, "temperature": 0.0, "extra_body": {"temperature": "0,0"}}
    deltas, done = told(list(transcribe(client, audio, stream=True, **options)))
    whole = transcribe(client, audio, **options)

    assert deltas and all(d.delta for d in deltas)
    assert "".join(d.delta for d in deltas) == done.text
    expected = whole if isinstance(whole, str) else whole.text
    assert done.text == (expected.rstrip("\n") if format_ == "text" else expected)
    assert done.usage is not None and done.usage.type == "tokens"
    assert done.usage.total_tokens == done.usage.input_tokens + done.usage.output_tokens > 0


def test_the_words_are_right(client: OpenAI, clip: Clip) -> None:
    _, done = told(list(transcribe(client, clip, stream=True)))

    assert words(done.text) == words(clip.text)
    assert done.text == done.text.strip()
    assert done.languages is None and done.logprobs is None


def test_what_is_final_is_told_while_the_rest_is_worked_on(
    server: HttpServer, client: OpenAI, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments = (Segment(0.0, 1.0, " one", (), 0.0, -0.1, 1.0, 0.0), Segment(1.0, 2.0, " two", (), 0.0, -0.1, 1.0, 0.0))
    heard_of_the_first = threading.Event()

    async def waiting(self: Any, path: Any, options: FileOptions, *, on_segments: Any, **more: Any) -> Transcript:
        on_segments(segments[:1])
        assert await asyncio.to_thread(heard_of_the_first.wait, 20)
        on_segments(segments[1:])
        return Transcript(segments, "en", 1.0, 2.0, 2.0, "digits", options)

    monkeypatch.setattr(type(server.services.pipeline), "transcribe", waiting)
    events = []
    for event in transcribe(client, clip, stream=True):
        events.append(event)
        heard_of_the_first.set()
    deltas, done = told(events)

    assert [d.delta for d in deltas] == ["one", " two"]
    assert done.text == "one two"


def test_an_async_client(server: HttpServer, clip: Clip) -> None:
    async def listen() -> list[Any]:
        async with AsyncOpenAI(
            base_url=server.url + "/v1", api_key=KEY, max_retries=0, _strict_response_validation=True
        ) as client:
            with clip.path.open("rb") as file:
                stream = await client.audio.transcriptions.create(
                    file=file, model="gpt-4o-transcribe", language="en", stream=True
                )
                return [event async for event in stream]

    deltas, done = told(asyncio.run(listen()))
    assert "".join(d.delta for d in deltas) == done.text
    assert words(done.text) == words(clip.text)


def test_log_probabilities_in_a_stream(client: OpenAI) -> None:
    talk = clips("en", conversations=True)[0]
    deltas, done = told(list(transcribe(client, talk, stream=True, include=["logprobs"])))

    assert done.logprobs
    assert [t for d in deltas for t in d.logprobs or ()] != []
    assert [(t.token, t.logprob) for d in deltas for t in d.logprobs or ()] == [
        (t.token, t.logprob) for t in done.logprobs
    ]
    assert bytes(int(b) for t in done.logprobs for b in t.bytes or ()).decode().strip() == done.text


def test_languages_in_a_stream(client: OpenAI) -> None:
    events = list(client.audio.transcriptions.create(file=clips("fr")[0].path, model="gpt-transcribe", stream=True))

    assert [language.code for language in told(events)[1].languages or ()] == ["fr"]


@pytest.mark.parametrize(("format_", "text"), [("json", ""), ("srt", ""), ("vtt", "WEBVTT\n\n")])
def test_a_stream_of_silence(client: OpenAI, format_: str, text: str) -> None:
    events = list(
        client.audio.transcriptions.create(
            file=silence(2),
            model="whisper-1",
            stream=True,
            response_format=format_,  # type: ignore[call-overload]
        )
    )
    deltas, done = told(events)

    assert done.text == "".join(d.delta for d in deltas) == text


def test_the_bytes_of_a_stream(server: HttpServer, clip: Clip) -> None:
    answer = httpx.post(
        f"{server.url}/v1/audio/transcriptions",
        headers={"Authorization": f"Bearer {KEY}"},
        files={"file": clip.path.read_bytes()},
        data={"model": "whisper-1", "stream": "true"},
        timeout=60,
    )

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-request-id"] and answer.headers["openai-processing-ms"].isdigit()
    assert answer.text.endswith("\n\ndata: [DONE]\n\n")
    events = answer.text.removesuffix("\n\n").split("\n\n")
    assert all(e.startswith(("data: ", ": ")) and "\n" not in e for e in events)


def test_a_stream_says_that_it_is_alive(
    server: HttpServer, client: OpenAI, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = type(server.services.pipeline).transcribe

    async def slow(self: Any, *args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0.5)
        return await real(self, *args, **kwargs)

    monkeypatch.setattr(type(server.services.pipeline), "transcribe", slow)
    monkeypatch.setattr(following, "HEARTBEAT_S", 0.1)
    with client.audio.transcriptions.with_streaming_response.create(
        file=clip.path, model="whisper-1", language="en", stream=True
    ) as response:
        lines = list(response.iter_lines())
    assert lines.count(": waiting") >= 2
    _, done = told(list(transcribe(client, clip, stream=True)))
    assert words(done.text) == words(clip.text)


def test_a_stream_that_is_not_read_to_its_end(server: HttpServer, client: OpenAI) -> None:
    talk = clips("en", conversations=True)[1]
    with transcribe(client, talk, stream=True) as stream:
        next(iter(stream))
        assert server.uploads() != []

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
