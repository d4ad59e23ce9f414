"""OpenAI's own Python client on the Realtime API of the real server, both ports; and byte-true replays of others.

The replays send what LiveKit Agents, pipecat and the Vercel AI SDK send, in their order, and hold the answers against
what each of them needs: several end at any `error`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import importlib.metadata
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import openai
import pytest
from aiohttp import web
from openai import AsyncAzureOpenAI, AsyncOpenAI, OpenAI
from openai.types.realtime import (
    ConversationItemAdded,
    ConversationItemDone,
    ConversationItemInputAudioTranscriptionCompletedEvent,
    ConversationItemInputAudioTranscriptionDeltaEvent,
    InputAudioBufferClearedEvent,
    InputAudioBufferCommittedEvent,
    InputAudioBufferSpeechStartedEvent,
    InputAudioBufferSpeechStoppedEvent,
    RealtimeErrorEvent,
    SessionCreatedEvent,
    SessionUpdatedEvent,
)
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.clips import Clip, clips, words
from tests.support.http_server import http_server
from tests.support.live_server import pcm16
from tests.support.packages import node_environment, python_environment, source_distribution
from tests.support.running_server import RunningServer, running_server
from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.transports.http import openai_realtime as http_door
from whisperlive_hybrid.transports.http.uploads import read_small_body

pytestmark = pytest.mark.timeout(180)

TRANSCRIPTION = {"intent": "transcription"}
MESSAGE_MS = 50
"""What LiveKit sends at a time; other clients are near it."""


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(API_KEY="other,right") as running:
        yield running


@pytest.fixture(params=["http port", "live port"])
def base(server: RunningServer, request: pytest.FixtureRequest) -> str:
    """The base URL a client is given."""
    url = server.http_url if request.param == "http port" else server.live_url.replace("ws:", "http:")
    return url + "/v1"


def clip_named(name: str) -> Clip:
    return next(c for c in clips() if c.path.stem == name)


CLIP = clip_named("en-05")
SECOND = clip_named("en-08")


def resampled(samples: Samples, rate: int) -> Samples:
    """float32 [n] at 16 kHz to `rate`."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="flt", layout="mono")
    frame.sample_rate = 16_000
    blocks = [out.to_ndarray().reshape(-1) for f in (frame, None) for out in resampler.resample(f)]
    return np.concatenate(blocks)


def spoken(clip: Clip, rate: int = 24_000, *, silence_s: float = 1.0) -> bytes:
    """A clip and a silence as PCM."""
    return pcm16(resampled(clip.samples(), rate)) + bytes(2 * round(rate * silence_s))


def encoded(pcm: bytes, codec: str) -> bytes:
    """16-bit PCM at 8 kHz as G.711."""
    encoder = av.CodecContext.create(codec, "w")
    encoder.sample_rate, encoder.layout, encoder.format = 8000, "mono", "s16"
    frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm, "<i2")[np.newaxis], format="s16", layout="mono")
    frame.sample_rate = 8000
    return b"".join(bytes(packet) for f in (frame, None) for packet in encoder.encode(f))


def pieces(audio: bytes, n_bytes: int = 24_000 * 2 * MESSAGE_MS // 1000) -> list[str]:
    """Base64 of messages of 50 ms."""
    return [base64.b64encode(audio[i : i + n_bytes]).decode() for i in range(0, len(audio), n_bytes)]


def ga(**fields: Any) -> Any:
    return {"type": "transcription", "audio": {"input": {"transcription": {"model": "whisper-1"}, **fields}}}


async def until(connection: Any, kind: type) -> list[Any]:
    """Everything up to the first event of this class."""
    heard: list[Any] = []
    while not isinstance(event := await asyncio.wait_for(connection.recv(), 30), kind):
        heard.append(event)
    return [*heard, event]


def deltas(heard: list[Any]) -> str:
    return "".join(e.delta for e in heard if isinstance(e, ConversationItemInputAudioTranscriptionDeltaEvent))


# --- the official client, GA -----------------------------------------------------------------------------------------


async def test_server_vad(base: str) -> None:
    async with (
        AsyncOpenAI(base_url=base, api_key="right") as client,
        client.realtime.connect(extra_query=TRANSCRIPTION) as connection,
    ):
        created = await connection.recv()
        assert isinstance(created, SessionCreatedEvent)
        assert created.session.type == "transcription"
        vad: Any = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}
        await connection.session.update(session=ga(turn_detection=vad))
        updated = await connection.recv()
        assert isinstance(updated, SessionUpdatedEvent)
        assert updated.session.audio.input.turn_detection.to_dict(warnings=False) == vad
        for audio in pieces(spoken(CLIP)) + pieces(spoken(SECOND)):
            await connection.input_audio_buffer.append(audio=audio)
        turns = [await until(connection, ConversationItemInputAudioTranscriptionCompletedEvent) for _ in range(2)]

    assert [words(t[-1].transcript) for t in turns] == [words(CLIP.text), words(SECOND.text)]
    told = [e for turn in turns for e in turn]
    for item in (turns[0][-1].item_id, turns[1][-1].item_id):
        ours = [e for e in told if item in (getattr(e, "item_id", None), getattr(getattr(e, "item", None), "id", None))]
        kinds = [type(e) for e in ours if not isinstance(e, ConversationItemInputAudioTranscriptionDeltaEvent)]
        assert kinds == [
            InputAudioBufferSpeechStartedEvent,
            InputAudioBufferSpeechStoppedEvent,
            InputAudioBufferCommittedEvent,
            ConversationItemAdded,
            ConversationItemDone,
            ConversationItemInputAudioTranscriptionCompletedEvent,
        ]
        started, stopped = ours[0], next(e for e in ours if isinstance(e, InputAudioBufferSpeechStoppedEvent))
        assert started.audio_start_ms < stopped.audio_end_ms
        assert words(deltas(ours)) == words(ours[-1].transcript)
        assert ours[-1].usage.type == "duration"
        assert 0 < ours[-1].usage.seconds < 6
        assert [language.code for language in ours[-1].languages] == ["en"]
    committed = [e for e in told if isinstance(e, InputAudioBufferCommittedEvent)]
    assert [c.previous_item_id for c in committed] == [None, committed[0].item_id]


@pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager:DeprecationWarning")  # the client's own
def test_the_client_commits(base: str) -> None:
    """The blocking client; nothing is said of speech, and words come before the commit."""
    with (
        OpenAI(base_url=base, api_key="right") as client,
        client.realtime.connect(extra_query=TRANSCRIPTION) as connection,
    ):
        assert connection.recv().type == "session.created"
        connection.session.update(session=ga(turn_detection=None))
        assert connection.recv().to_dict(warnings=False)["session"]["audio"]["input"]["turn_detection"] is None
        heard: list[Any] = []
        for clip in (CLIP, SECOND):
            for audio in pieces(spoken(clip)):
                connection.input_audio_buffer.append(audio=audio)
        while words(deltas(heard))[: len(words(CLIP.text))] != words(CLIP.text):
            heard.append(connection.recv())
        connection.input_audio_buffer.commit()
        while not isinstance(heard[-1], ConversationItemInputAudioTranscriptionCompletedEvent):
            heard.append(connection.recv())
    assert words(heard[-1].transcript) == words(f"{CLIP.text} {SECOND.text}"), "two utterances, one item"
    assert words(deltas(heard)) == words(heard[-1].transcript)
    kinds = [type(e) for e in heard if not isinstance(e, ConversationItemInputAudioTranscriptionDeltaEvent)]
    assert kinds == [
        InputAudioBufferCommittedEvent,
        ConversationItemAdded,
        ConversationItemDone,
        ConversationItemInputAudioTranscriptionCompletedEvent,
    ]
    assert len({e.item_id for e in heard if hasattr(e, "item_id")}) == 1
    assert heard[-1].usage.seconds == pytest.approx(CLIP.duration_s + SECOND.duration_s + 2, abs=0.1)


async def test_what_is_cleared_is_not_transcribed(base: str) -> None:
    async with (
        AsyncOpenAI(base_url=base, api_key="right") as client,
        client.realtime.connect(extra_query=TRANSCRIPTION) as connection,
    ):
        await connection.session.update(session=ga(turn_detection=None))
        for audio in pieces(spoken(CLIP)):
            await connection.input_audio_buffer.append(audio=audio)
        await connection.input_audio_buffer.clear()
        await until(connection, InputAudioBufferClearedEvent)
        for audio in pieces(spoken(SECOND)):
            await connection.input_audio_buffer.append(audio=audio)
        await connection.input_audio_buffer.commit()
        heard = await until(connection, ConversationItemInputAudioTranscriptionCompletedEvent)
    assert words(heard[-1].transcript) == words(SECOND.text)
    assert words(deltas(heard)) == words(SECOND.text)


@pytest.mark.parametrize(
    ("asked", "rate", "codec"),
    [
        ({"type": "audio/pcm", "rate": 8_000}, 8_000, None),
        ({"type": "audio/pcm", "rate": 16_000}, 16_000, None),
        ({"type": "audio/pcm", "rate": 48_000}, 48_000, None),
        ({"type": "audio/pcmu"}, 8_000, "pcm_mulaw"),
        ({"type": "audio/pcma"}, 8_000, "pcm_alaw"),
    ],
)
async def test_formats_of_audio(server: RunningServer, asked: Any, rate: int, codec: str | None) -> None:
    audio = spoken(CLIP, rate)
    if codec is not None:
        audio = encoded(audio, codec)
    async with (
        AsyncOpenAI(base_url=server.http_url + "/v1", api_key="right") as client,
        client.realtime.connect(extra_query=TRANSCRIPTION) as connection,
    ):
        await connection.session.update(session=ga(format=asked, turn_detection=None))
        for piece in pieces(audio):
            await connection.input_audio_buffer.append(audio=piece)
        await connection.input_audio_buffer.commit()
        heard = await until(connection, ConversationItemInputAudioTranscriptionCompletedEvent)
    assert words(heard[-1].transcript) == words(CLIP.text)


async def test_settings_change_on_the_way(server: RunningServer) -> None:
    """Language, format and turn detection, in one session; log probabilities from when they are asked for."""
    german = clip_named("de-01")
    async with (
        AsyncOpenAI(base_url=server.http_url + "/v1", api_key="right") as client,
        client.realtime.connect(extra_query=TRANSCRIPTION) as connection,
    ):
        await connection.session.update(session=ga(transcription={"language": "en"}))
        for audio in pieces(spoken(CLIP)):
            await connection.input_audio_buffer.append(audio=audio)
        first = (await until(connection, ConversationItemInputAudioTranscriptionCompletedEvent))[-1]
        changed = ga(
            transcription={"language": "de"},
            format={"type": "audio/pcm", "rate": 16_000},
            turn_detection=None,
        )
        include: Any = ["item.input_audio_transcription.logprobs"]
        await connection.session.update(session={**changed, "include": include})
        updated = (await until(connection, SessionUpdatedEvent))[-1].to_dict(warnings=False)["session"]
        for audio in pieces(spoken(german, 16_000)):
            await connection.input_audio_buffer.append(audio=audio)
        await connection.input_audio_buffer.commit()
        second = (await until(connection, ConversationItemInputAudioTranscriptionCompletedEvent))[-1]
    assert (words(first.transcript), first.logprobs) == (words(CLIP.text), None)
    assert words(second.transcript) == words(german.text)
    assert "".join(p.token for p in second.logprobs).strip() == second.transcript
    assert all(p.logprob <= 0 and bytes(p.bytes).decode() == p.token for p in second.logprobs)
    assert updated["audio"]["input"]["transcription"]["model"] == "whisper-1", "what was not named stayed"
    assert updated["include"] == include


async def test_semantic_vad_waits_as_long_as_it_is_told(server: RunningServer) -> None:
    """Two clips with a second between their words: one turn for a patient server, two for an eager one."""
    second = clip_named("en-12")
    audio = spoken(CLIP, silence_s=0.2) + spoken(second, silence_s=2.5)
    transcripts: dict[str, list[str]] = {}
    for eagerness in ("low", "high"):
        async with (
            AsyncOpenAI(base_url=server.http_url + "/v1", api_key="right") as client,
            client.realtime.connect(extra_query=TRANSCRIPTION) as connection,
        ):
            turns: Any = {"type": "semantic_vad", "eagerness": eagerness}
            await connection.session.update(session=ga(turn_detection=turns))
            for piece in pieces(audio):
                await connection.input_audio_buffer.append(audio=piece)
            texts: list[str] = []
            while words(" ".join(texts)) != words(f"{CLIP.text} {second.text}"):
                texts.append(
                    (await until(connection, ConversationItemInputAudioTranscriptionCompletedEvent))[-1].transcript
                )
            transcripts[eagerness] = texts
    assert len(transcripts["low"]) == 1
    assert len(transcripts["high"]) >= 2


async def test_an_error_names_the_event_and_the_session_lives(base: str) -> None:
    async with (
        AsyncOpenAI(base_url=base, api_key="right") as client,
        client.realtime.connect(extra_query=TRANSCRIPTION) as connection,
    ):
        await until(connection, SessionCreatedEvent)
        for wrong in (
            {"type": "bogus", "event_id": "e1"},
            {"type": "response.create", "event_id": "e1"},
            {"type": "conversation.item.create", "event_id": "e1", "item": {}},
            {"type": "session.update", "event_id": "e1", "session": {"audio": {"input": {"format": {"type": "mp3"}}}}},
            {"type": "session.update", "event_id": "e1", "session": ga(transcription={"model": "none/such"})},
            {"type": "input_audio_buffer.append", "event_id": "e1", "audio": "not base64!"},
            {"type": "input_audio_buffer.commit", "event_id": "e1"},
        ):
            await connection.send(wrong)  # type: ignore[arg-type]
            error = (await until(connection, RealtimeErrorEvent))[-1].error
            asked_for = None if error.code == "model_not_found" else "e1"  # found out later, when it is to be loaded
            assert (error.event_id, error.type) == (asked_for, "invalid_request_error"), wrong
        assert error.message == (
            "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
            "but buffer only has 0.00ms of audio."
        )
        await connection.send_raw("{")
        assert (await until(connection, RealtimeErrorEvent))[-1].error.code == "invalid_json"
        for audio in pieces(spoken(CLIP)):
            await connection.input_audio_buffer.append(audio=audio)
        heard = await until(connection, ConversationItemInputAudioTranscriptionCompletedEvent)
    assert words(heard[-1].transcript) == words(CLIP.text)


async def test_the_largest_event_there_may_be(base: str) -> None:
    """15 MiB of audio as one event, the speech at its end."""
    speech = spoken(CLIP, 48_000)
    audio = bytes(15 * 2**20 - len(speech)) + speech
    async with (
        AsyncOpenAI(base_url=base, api_key="right") as client,
        client.realtime.connect(extra_query=TRANSCRIPTION) as connection,
    ):
        await connection.session.update(session=ga(format={"type": "audio/pcm", "rate": 48_000}, turn_detection=None))
        await connection.input_audio_buffer.append(audio=base64.b64encode(audio).decode())
        await connection.input_audio_buffer.commit()
        async with asyncio.timeout(120):
            while (event := await connection.recv()).type != "conversation.item.input_audio_transcription.completed":
                assert event.type != "error"
    assert words(event.transcript) == words(CLIP.text)
    assert event.usage.seconds == pytest.approx(len(audio) / 96_000, abs=0.01)


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["wrong", "ek_wrong", "ek_e30.AAAA"])
async def test_a_wrong_key_is_refused_at_the_handshake(base: str, key: str) -> None:
    async with AsyncOpenAI(base_url=base, api_key=key) as client:
        with pytest.raises(InvalidStatus) as caught:
            async with client.realtime.connect(extra_query=TRANSCRIPTION):
                pass
    response = caught.value.response
    assert response.status_code == 401
    assert response.headers["content-type"].startswith("application/json")
    error = json.loads(response.body)["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")
    assert error["message"]


async def test_a_client_secret_opens_the_session_it_was_made_for(server: RunningServer, base: str) -> None:
    with OpenAI(base_url=server.http_url + "/v1", api_key="right", _strict_response_validation=True) as owner:
        made = owner.realtime.client_secrets.create(
            expires_after={"anchor": "created_at", "seconds": 60},
            session={"type": "transcription", "audio": {"input": {"turn_detection": None}}},  # type: ignore[typeddict-item]
        )
    assert made.value.startswith("ek_")
    assert made.session.type == "transcription"
    async with (
        AsyncOpenAI(base_url=base, api_key=made.value) as client,
        client.realtime.connect(extra_query=TRANSCRIPTION) as connection,
    ):
        created = await connection.recv()
        assert created.to_dict(warnings=False)["session"]["audio"]["input"]["turn_detection"] is None
        for audio in pieces(spoken(CLIP)):
            await connection.input_audio_buffer.append(audio=audio)
        await connection.input_audio_buffer.commit()
        heard = await until(connection, ConversationItemInputAudioTranscriptionCompletedEvent)
    assert words(heard[-1].transcript) == words(CLIP.text)
    with OpenAI(base_url=server.http_url + "/v1", api_key=made.value, max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            client.models.list()
        with pytest.raises(openai.AuthenticationError):
            client.realtime.client_secrets.create()


def test_client_secrets_of_every_kind(server: RunningServer) -> None:
    with OpenAI(
        base_url=server.http_url + "/v1", api_key="right", max_retries=0, _strict_response_validation=True
    ) as client:
        bare = client.realtime.client_secrets.create()
        assert bare.session.type == "transcription"
        conversation = client.realtime.client_secrets.create(session={"type": "realtime", "instructions": "Be kind."})
        assert (conversation.session.type, conversation.session.to_dict(warnings=False)["object"]) == (
            "realtime",
            "realtime.session",
        )
        assert conversation.session.instructions == "Be kind."
        beta = client.beta.realtime.transcription_sessions.create(
            client_secret={"expires_at": {"anchor": "created_at", "seconds": 20}},
            input_audio_format="g711_ulaw",
            turn_detection={"type": "server_vad", "silence_duration_ms": 300},
        )
        assert beta.client_secret.value.startswith("ek_")
        assert beta.input_audio_format == "g711_ulaw"
        assert beta.turn_detection is not None and beta.turn_detection.silence_duration_ms == 300
        for wrong, param in (
            ({"expires_after": {"anchor": "created_at", "seconds": 9}}, "expires_after.seconds"),
            ({"expires_after": {"anchor": "tomorrow"}}, "expires_after.anchor"),
            ({"session": {"audio": {"input": {"format": {"type": "mp3"}}}}}, "session.audio.input.format.type"),
            ({"session": {"type": "transcription", "x": "y" * 9000}}, "session"),
        ):
            with pytest.raises(openai.BadRequestError) as caught:
                client.realtime.client_secrets.create(**wrong)  # type: ignore[arg-type]
            assert caught.value.param == param


def test_a_client_secret_needs_the_key(server: RunningServer) -> None:
    answer = httpx.post(server.http_url + "/v1/realtime/client_secrets", json={})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize("body", [b"{", b"[]", b"7", b'{"session": 7}', b'{"expires_after": 7}', b"\xff"])
@pytest.mark.parametrize("name", ["client_secrets", "transcription_sessions"])
def test_a_body_that_makes_no_sense_is_answered(server: RunningServer, name: str, body: bytes) -> None:
    headers = {"Authorization": "Bearer right"}
    answer = httpx.post(f"{server.http_url}/v1/realtime/{name}", content=body, headers=headers)
    ignored = name == "transcription_sessions" and body.startswith(b'{"')  # a field of the other dialect
    assert answer.status_code == (200 if ignored else 400)
    if not ignored:
        assert answer.json()["error"]["type"] == "invalid_request_error"


def test_a_request_that_is_no_websocket_is_answered(server: RunningServer) -> None:
    answer = httpx.get(server.http_url + "/v1/realtime", headers={"Authorization": "Bearer right"})
    assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
    assert answer.json()["error"]["message"]


# --- the beta --------------------------------------------------------------------------------------------------------


async def test_the_beta_client(base: str) -> None:
    async with (
        AsyncOpenAI(base_url=base, websocket_base_url=base.replace("http:", "ws:"), api_key="right") as client,
        client.beta.realtime.connect(model="gpt-4o-realtime-preview") as connection,
    ):
        created = await connection.recv()
        assert created.type == "session.created"
        await connection.transcription_session.update(
            session={
                "input_audio_format": "pcm16",
                "input_audio_transcription": {"model": "gpt-4o-transcribe", "language": "en"},
                "turn_detection": {"type": "server_vad", "silence_duration_ms": 400},
                "input_audio_noise_reduction": {"type": "near_field"},
            }
        )
        updated = await connection.recv()
        assert updated.type == "transcription_session.updated"
        assert updated.session.input_audio_transcription is not None
        assert updated.session.input_audio_transcription.language == "en"
        for audio in pieces(spoken(CLIP)):
            await connection.input_audio_buffer.append(audio=audio)
        heard = [await connection.recv()]
        while heard[-1].type != "conversation.item.input_audio_transcription.completed":
            heard.append(await asyncio.wait_for(connection.recv(), 30))
    kinds = [e.type for e in heard if not e.type.endswith(".delta")]
    assert kinds == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.created",
        "conversation.item.input_audio_transcription.completed",
    ]
    assert words(heard[-1].transcript) == words(CLIP.text)


# --- other clients, as they send ---------------------------------------------------------------------------------


async def hear(socket: ClientConnection, kind: str) -> list[dict[str, Any]]:
    """Everything up to the first event of this type; any `error` would have ended these clients."""
    heard: list[dict[str, Any]] = []
    while not heard or heard[-1]["type"] != kind:
        heard.append(json.loads(await asyncio.wait_for(socket.recv(), 30)))
        assert heard[-1]["type"] != "error", heard[-1]
    return heard


COMPLETED = "conversation.item.input_audio_transcription.completed"


async def test_livekit(server: RunningServer) -> None:
    """LiveKit Agents: beta header, an update with everything, 50 ms at a time in real time, deltas and completed."""
    headers = {
        "User-Agent": "LiveKit Agents",
        "Authorization": "Bearer right",
        "OpenAI-Beta": "realtime=v1",
    }
    update = {
        "type": "transcription_session.update",
        "session": {
            "input_audio_format": "pcm16",
            "input_audio_transcription": {
                "model": "gpt-4o-mini-transcribe",
                "prompt": "",
                "language": "",
                "noise_reduction_type": "near_field",
            },
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 600,
                "silence_duration_ms": 350,
            },
        },
    }
    url = server.http_url.replace("http", "ws") + "/v1/realtime?intent=transcription"
    async with connect(url, additional_headers=headers) as socket:
        await socket.send(json.dumps(update))
        for audio in pieces(spoken(CLIP)):
            await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
            await asyncio.sleep(MESSAGE_MS / 1000)
        heard = await hear(socket, COMPLETED)
    assert [e["type"] for e in heard[:2]] == ["transcription_session.created", "transcription_session.updated"]
    text = "".join(e["delta"] for e in heard if e["type"].endswith(".delta"))
    assert words(text) == words(heard[-1]["transcript"]) == words(CLIP.text)


async def test_pipecat(server: RunningServer) -> None:
    """pipecat: waits for session.created, then for session.updated; no turn detection, a commit after each turn."""
    url = server.live_url + "/v1/realtime?intent=transcription"
    session = {
        "type": "transcription",
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": {"model": "gpt-4o-transcribe", "language": "en"},
                "turn_detection": None,
                "noise_reduction": {"type": "near_field"},
            }
        },
    }
    async with connect(url, additional_headers={"Authorization": "Bearer right"}) as socket:
        await hear(socket, "session.created")
        await socket.send(json.dumps({"type": "session.update", "session": session}))
        await hear(socket, "session.updated")
        for clip in (CLIP, SECOND):
            for audio in pieces(spoken(clip, silence_s=0.2)):
                await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
            await socket.send(json.dumps({"type": "input_audio_buffer.commit"}))
            heard = await hear(socket, COMPLETED)
            assert words(heard[-1]["transcript"]) == words(clip.text)


async def test_vercel_ai_sdk(server: RunningServer) -> None:
    """Vercel AI SDK: key as subprotocol, update before anything came, any rate, one commit, ends with completed."""
    url = server.http_url.replace("http", "ws") + "/v1/realtime?intent=transcription"
    session = ga(format={"type": "audio/pcm", "rate": 16000}, turn_detection=None)
    async with connect(url, subprotocols=["realtime", "openai-insecure-api-key.right"]) as socket:  # type: ignore[list-item]
        await socket.send(json.dumps({"type": "session.update", "session": session}))
        assert socket.subprotocol == "realtime"
        for audio in pieces(spoken(CLIP, 16_000)):
            await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
        await socket.send(json.dumps({"type": "input_audio_buffer.commit"}))
        heard = await hear(socket, COMPLETED)
    assert [e["type"] for e in heard[:2]] == ["session.created", "session.updated"]
    assert words(heard[-1]["transcript"]) == words(CLIP.text)


async def test_raw_audio_frames_and_flat_fields(server: RunningServer) -> None:
    """Telephone gateways send audio as it is; older clients send beta's fields in session.update, at a bare path."""
    url = server.live_url + "/realtime?model=whisper-1"
    session = {"input_audio_format": "g711_ulaw", "turn_detection": {"type": "server_vad", "threshold": 0.6}}
    async with connect(url, additional_headers={"Authorization": "Bearer right"}) as socket:
        await socket.send(json.dumps({"type": "session.update", "session": session}))
        audio = encoded(spoken(CLIP, 8_000), "pcm_mulaw")
        for i in range(0, len(audio), 160):
            await socket.send(audio[i : i + 160])
        heard = await hear(socket, COMPLETED)
    assert words(heard[-1]["transcript"]) == words(CLIP.text)


async def test_a_server_that_stops_tells_what_it_knows_and_closes_1012() -> None:
    with running_server() as server:
        async with connect(server.live_url + "/v1/realtime?intent=transcription") as socket:
            await hear(socket, "session.created")
            for audio in pieces(spoken(CLIP, silence_s=0.0)):
                await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
            await hear(socket, "input_audio_buffer.speech_started")
            server.process.send_signal(signal.SIGTERM)
            heard = await hear(socket, COMPLETED)
            assert words(heard[-1]["transcript"]) == words(CLIP.text)
            with contextlib.suppress(ConnectionClosed):
                await asyncio.wait_for(socket.recv(), 30)
            assert socket.close_code == 1012


async def test_a_full_server_says_so_and_closes_1013() -> None:
    with running_server(MAX_LIVE_SESSIONS="1") as server:
        url = server.live_url + "/v1/realtime?intent=transcription"
        async with connect(url) as first, connect(url) as second:
            await hear(first, "session.created")
            error = json.loads(await asyncio.wait_for(second.recv(), 10))
            assert (error["type"], error["error"]["code"]) == ("error", "full")
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(second.recv(), 10)
            assert second.close_code == 1013


async def test_azures_client(server: RunningServer) -> None:
    """Azure's path and header; what it calls a deployment is no model of this server."""
    async with (
        AsyncAzureOpenAI(
            azure_endpoint=server.http_url,
            websocket_base_url=server.http_url.replace("http", "ws") + "/openai",
            api_key="right",
            api_version="2025-04-01-preview",
        ) as client,
        client.realtime.connect(model="gpt-4o-transcribe", extra_query=TRANSCRIPTION) as connection,
    ):
        await connection.session.update(session=ga(turn_detection=None))
        for audio in pieces(spoken(CLIP)):
            await connection.input_audio_buffer.append(audio=audio)
        await connection.input_audio_buffer.commit()
        heard = await until(connection, ConversationItemInputAudioTranscriptionCompletedEvent)
    assert words(heard[-1].transcript) == words(CLIP.text)


def test_the_python_clients_own_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the call that makes client secrets, as they come with the client's sources.

    They were written for a mock that accepts anything: "language" and "string" are no languages, and become one on the
    way.
    """

    async def understanding(request: web.Request) -> bytes:
        body = await read_small_body(request)
        return body.replace(b'"language":"language"', b'"language":"en"').replace(
            b'"languages":["string"]', b'"languages":["en"]'
        )

    monkeypatch.setattr(http_door, "read_small_body", understanding)
    python = python_environment("openai-own-tests", "rich==15.0.0", on_top=True)
    sources = source_distribution(f"openai=={importlib.metadata.version('openai')}")
    command = [str(python), "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-o", "addopts="]
    command.append("tests/api_resources/realtime/test_client_secrets.py")
    with http_server(tmp_path / "uploads") as unguarded:
        environment = {**os.environ, "PYTHONPATH": str(sources), "TEST_API_BASE_URL": f"{unguarded.url}/v1"}
        ran = subprocess.run(
            command, cwd=sources, env=environment, capture_output=True, text=True, timeout=170, check=False
        )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    summary = ran.stdout.strip().splitlines()[-1]
    passed = re.search(r"(\d+) passed", summary)
    assert passed is not None and int(passed[1]) >= 20, summary
    assert "failed" not in summary and "skipped" not in summary, summary


# --- the official Node client ----------------------------------------------------------------------------------------

NODE = Path(__file__).parent / "clients" / "openai_realtime.mjs"


@pytest.mark.timeout(600)
def test_the_node_client(server: RunningServer, tmp_path: Path) -> None:
    """OpenAIRealtimeWebSocket, whose key travels as a subprotocol, on both ports."""
    folder = node_environment("openai-realtime", "openai@6.49.0", "ws@8.18.3")
    script = folder / "openai_realtime.mjs"
    script.write_text(NODE.read_text())
    audio = tmp_path / "clip.pcm"
    audio.write_bytes(spoken(CLIP))
    for url in (server.http_url, server.live_url.replace("ws:", "http:")):
        done = subprocess.run(
            ["node", str(script), url + "/v1", "right", str(audio)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        told = json.loads(done.stdout)
        assert words(told["transcript"]) == words(told["deltas"]) == words(CLIP.text)
        assert told["events"][:2] == ["session.created", "session.updated"]
        assert told["errors"] == ["mine"]
        assert told["protocol"] == "realtime"
