"""The dialect itself, and the whole loop with it: no message ends a session, and each wrong one is answered."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from tests.support.memory_connection import MemoryConnection
from tests.support.spoken_levels import LevelEngine, LevelVad, speak
from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.errors import BadInput, NotFound, Refused, Unauthorized, Unavailable
from whisperlive_hybrid.live import events
from whisperlive_hybrid.live.commands import Audio, Change, Discard, EndTurn, LiveOptions, Start
from whisperlive_hybrid.live.replay import Numbered
from whisperlive_hybrid.live.rules import LiveRules
from whisperlive_hybrid.live.runner import LiveLimits, LiveService
from whisperlive_hybrid.ops.client_secrets import issue
from whisperlive_hybrid.speech.vad_batcher import VadBatcher
from whisperlive_hybrid.transports.connection import Reply, serve_connection
from whisperlive_hybrid.transports.live_door import Handshake, LiveTerms
from whisperlive_hybrid.transports.websocket.openai_realtime import DOOR, MAX_APPEND_BYTES, large_append

Json = dict[str, Any]


def dialect(query: str = "intent=transcription", **headers: str) -> Any:
    return DOOR.dialect(Handshake.of(f"/v1/realtime?{query}", CIMultiDict(headers)), LiveTerms())


def append(audio: bytes, **more: Any) -> Json:
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(audio).decode(), **more}


def say(wire: Any, **event: Any) -> tuple[list[Json], list[Any]]:
    """What a client's event is answered at once, and the commands that follow from it."""
    replies: list[Json] = []
    commands: list[Any] = []
    for each in wire.receive(json.dumps(event)):
        if isinstance(each, Reply):
            replies += [json.loads(m) for m in each.messages]
        else:
            commands.append(each)
    return replies, commands


def created(wire: Any) -> Json:
    start, reply = wire.opening()
    assert isinstance(start, Start)
    (message,) = reply.messages
    body: Json = json.loads(message)
    return body


def test_the_first_event_is_of_the_dialect_that_the_request_speaks() -> None:
    assert created(dialect())["type"] == "session.created"
    assert created(dialect())["session"]["type"] == "transcription"
    for said in ({"OpenAI-Beta": "realtime=v1"}, {"Sec-WebSocket-Protocol": "realtime, openai-beta.realtime-v1"}):
        assert created(dialect(**said))["type"] == "transcription_session.created"
        assert created(dialect("model=gpt-4o-realtime-preview", **said))["type"] == "session.created"
        assert created(dialect(**said))["session"]["input_audio_format"] == "pcm16"


def test_a_model_in_the_query_counts_unless_it_is_one_of_conversations() -> None:
    assert dialect("intent=transcription&model=digits").default_start().model == "digits"
    assert dialect("model=gpt-realtime").default_start().model is None
    assert dialect("model=" + 9000 * "x").opening()


def test_a_client_secret_brings_its_session() -> None:
    secret = issue("key", 0, {"session": {"audio": {"input": {"turn_detection": None}}, "type": "transcription"}})
    wire = dialect(Authorization=f"Bearer {secret}")
    assert created(wire)["session"]["audio"]["input"]["turn_detection"] is None
    broken = issue("key", 0, {"session": {"audio": 7}})
    assert created(dialect(Authorization=f"Bearer {broken}"))["session"]["audio"]["input"]["turn_detection"]


def test_audio_as_base64_and_as_it_is() -> None:
    wire = dialect()
    assert say(wire, **append(b"abcd")) == ([], [Audio(b"abcd")])
    assert wire.receive(b"abcd") == [Audio(b"abcd")]
    assert say(wire, **append(b"")) == ([], [])


def test_much_audio_comes_in_parts() -> None:
    wire = dialect()
    audio = bytes(range(256)) * 10_000
    message = json.dumps(append(audio, event_id="e"))
    commands = wire.receive(wire.unpack(message))
    assert b"".join(c.data for c in commands) == audio
    assert max(len(c.data) for c in commands) <= 2**20
    (reply,) = wire.receive(bytes(MAX_APPEND_BYTES + 1))
    assert json.loads(reply.messages[0])["error"]["code"] == "too_large"


@pytest.mark.parametrize(
    "message",
    [
        '{"type":"session.update","audio":"' + 2**20 * "A" + '"}',
        '{"type":"input_audio_buffer.append","audio":"' + 2**20 * "A" + '!"}',
        '{"type":"input_audio_buffer.append","audio":"' + 2**20 * "A",
        '{"type":"input_audio_buffer.append","audio":{"audio":"' + 2**20 * "A" + '"}}',
        "[" * 2**20 + "]",
        '{"type":"input_audio_buffer.commit","x":"' + 2**20 * "A" + '"}',
    ],
)
def test_what_is_large_and_no_audio_is_answered_without_a_look_at_it(message: str) -> None:
    wire = dialect()
    assert large_append(message) is None
    (reply,) = wire.receive(wire.unpack(message))
    assert json.loads(reply.messages[0])["type"] == "error"


def test_an_update_is_answered_with_all_that_is_in_force() -> None:
    wire = dialect()
    session = {"type": "transcription", "audio": {"input": {"transcription": {"language": "en"}}}}
    (updated,), (change,) = say(wire, type="session.update", session=session)
    assert updated["type"] == "session.updated"
    assert updated["session"]["audio"]["input"]["transcription"]["language"] == "en"
    assert isinstance(change, Change)
    assert change.options.language == "en"
    assert say(wire, type="session.update", session=session)[1] == [], "nothing has changed"


def test_turn_detection_that_changes_marks_the_place() -> None:
    wire = dialect()
    off = {"type": "transcription", "audio": {"input": {"turn_detection": None}}}
    _, commands = say(wire, type="session.update", session=off)
    assert [type(c) for c in commands] == [Change, EndTurn]
    _, commands = say(wire, type="session.update", session=off)
    assert commands == []


def test_the_betas_update_makes_a_connection_beta() -> None:
    wire = dialect()
    session = {"input_audio_format": "g711_ulaw", "input_audio_transcription": {"language": ""}, "turn_detection": None}
    (updated,), (change, _) = say(wire, type="transcription_session.update", session=session)
    assert updated["type"] == "transcription_session.updated"
    assert (updated["session"]["input_audio_format"], updated["session"]["turn_detection"]) == ("g711_ulaw", None)
    assert (change.options.codec, change.options.sample_rate) == ("pcm_mulaw", 8000)
    (updated,), _ = say(wire, type="session.update", session={"input_audio_format": "pcm16"})
    assert updated["type"] == "session.updated"
    assert updated["session"]["input_audio_format"] == "pcm16", "flat fields are answered flat"


def test_a_wrong_update_is_named_and_changes_nothing() -> None:
    wire = dialect()
    before = wire.default_start()
    session = {"audio": {"input": {"transcription": {"prompt": "x"}, "format": {"rate": 1}}}}
    (error,), commands = say(wire, type="session.update", event_id="mine", session=session)
    assert error["type"] == "error"
    assert (error["error"]["event_id"], error["error"]["param"]) == ("mine", "session.audio.input.format.rate")
    assert commands == []
    assert wire.default_start() == before
    for missing in ({}, {"session": None}):
        (error,), _ = say(wire, type="session.update", **missing)
        assert error["error"]["param"] == "session"


def test_committing_next_to_nothing_is_an_error_in_openais_words() -> None:
    wire = dialect()
    (error,), commands = say(wire, type="input_audio_buffer.commit", event_id="c")
    assert error["error"]["message"] == (
        "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
        "but buffer only has 0.00ms of audio."
    )
    assert (error["error"]["code"], error["error"]["event_id"]) == ("input_audio_buffer_commit_empty", "c")
    assert commands == []
    wire.receive(bytes(4320))
    (error,), _ = say(wire, type="input_audio_buffer.commit")
    assert "only has 90.00ms" in error["error"]["message"]
    wire.receive(bytes(480))
    assert [type(c) for c in say(wire, type="input_audio_buffer.commit")[1]] == [EndTurn]
    assert say(wire, type="input_audio_buffer.commit")[0], "it is empty again"
    wire.receive(bytes(48_000))
    assert [type(c) for c in say(wire, type="input_audio_buffer.clear")[1]] == [Discard]
    assert say(wire, type="input_audio_buffer.commit")[0]


@pytest.mark.parametrize("kind", ["bogus", "response.create", "conversation.item.create", 7, None, "x" * 5000])
def test_what_is_not_known_is_answered_with_its_event_id(kind: Any) -> None:
    (error,), commands = say(dialect(), type=kind, event_id="mine")
    assert (error["type"], error["error"]["event_id"], error["error"]["param"]) == ("error", "mine", "type")
    assert error["error"]["type"] == "invalid_request_error"
    assert commands == []


def test_a_failed_segment_is_no_error_of_the_session() -> None:
    wire = dialect()
    wire.send(Numbered(1, events.SpeechState("started", 0.0, 0)))
    wire.send(Numbered(2, events.SpeechState("stopped", 1.0, 0)))
    assert wire.send(Numbered(3, events.Failed("final_failed", "no", fatal=False, segment=0))) == []
    final = events.Final(0, 0.0, 1.0, "", "und", "m", 0.0)
    assert [json.loads(m)["type"] for m in wire.send(Numbered(4, final))] == [
        "conversation.item.input_audio_transcription.failed"
    ]


def test_a_model_that_cannot_be_had_is_not_asked_for_again() -> None:
    wire = dialect("model=digits")
    _, (change,) = say(wire, type="session.update", session={"input_audio_transcription": {"model": "none/such"}})
    assert change.options.model == "none/such"
    failed = events.Failed("model_not_found", "No.", fatal=False, param="model")
    (message,) = wire.send(Numbered(1, failed))
    assert json.loads(message)["error"]["code"] == "model_not_found"
    (updated,), (change,) = say(wire, type="session.update", session={"input_audio_transcription": {"language": "en"}})
    assert change.options.model == "digits"
    assert updated["session"]["audio"]["input"]["transcription"]["model"] == "digits"


def test_pace_heartbeats_and_going_away_have_no_events() -> None:
    wire = dialect()
    for event in (events.Heartbeat(), events.Status(500, False, 0), events.GoAway(5000), events.Ack(1, 0)):
        assert wire.send(Numbered(1, event)) == []


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (Refused("full", retry_after_s=5), 1013, "invalid_request_error"),
        (Refused("bye", retry_after_s=5, code="shutting_down"), 1012, "invalid_request_error"),
        (NotFound("no such model", kind="model", id="x", code="model_not_found"), 1008, "invalid_request_error"),
        (Unavailable("our fault", code="internal_error"), 1011, "server_error"),
        (BadInput("no"), 1008, "invalid_request_error"),
    ],
)
def test_no_session_is_said_before_the_close(error: Any, code: int, kind: str) -> None:
    refusal = dialect().refuse(error)
    assert refusal.close_code == code
    (message,) = refusal.messages
    assert json.loads(message)["error"]["type"] == kind


def test_a_refused_handshake_is_in_openais_envelope() -> None:
    assert DOOR.refuse_handshake is not None
    refusal = DOOR.refuse_handshake(Unauthorized("This API key is not known here.", code="key_unknown"))
    assert refusal.status == 401
    assert json.loads(refusal.body)["error"]["code"] == "invalid_api_key"
    assert DOOR.refuse_handshake(Unauthorized("No.", code="origin_refused")).status == 403


# --- with the loop, the room and everything between ------------------------------------------------------------------

RULES = LiveRules(partial_interval_s=0.01, retry_after_s=0.001)


@asynccontextmanager
async def connected(engine: LevelEngine, limits: LiveLimits | None = None) -> AsyncIterator[MemoryConnection]:
    async with (
        VadBatcher(LevelVad()) as vad,  # type: ignore[arg-type]
        LiveService(engine, vad, rules=RULES, limits=limits) as live,
    ):
        connection = MemoryConnection()
        task = asyncio.create_task(serve_connection(connection, dialect(), live))
        yield connection
        await connection.leave()
        await asyncio.wait_for(task, 5)
    assert engine.held == []


def as_pcm(samples: Samples) -> bytes:
    return (samples * 32768).astype("<i2").tobytes()


async def until(connection: MemoryConnection, kind: str) -> list[Json]:
    """Everything up to the first event of this kind."""
    heard: list[Json] = []
    while True:
        event = await asyncio.wait_for(connection.hear(), 10)
        assert event is not None, f"closed with {connection.close_code} before {kind}: {heard[-3:]}"
        heard.append(event)
        if event["type"].endswith(kind):
            return heard


def update(**fields: Any) -> Json:
    return {"type": "session.update", "session": {"type": "transcription", "audio": {"input": fields}}}


async def test_a_session_of_many_settings() -> None:
    pcm = {"type": "audio/pcm", "rate": 16_000}
    async with connected(LevelEngine()) as client:
        await until(client, "session.created")
        await client.say(update(format=pcm, turn_detection=None))
        await until(client, "session.updated")
        await client.say(append(as_pcm(speak([1, 2], [3]))))
        await client.say({"type": "input_audio_buffer.commit"})
        heard = await until(client, ".completed")
        assert heard[-1]["transcript"] == "w1 w2 w3"
        assert "".join(e["delta"] for e in heard if "delta" in e) == "w1 w2 w3"
        await client.say(as_pcm(speak([4])))
        await client.say({"type": "input_audio_buffer.clear"})
        await until(client, ".cleared")
        await client.say(update(turn_detection={"type": "server_vad"}))
        await client.say(as_pcm(speak([5], [6, 7])))
        texts = [(await until(client, ".completed"))[-1]["transcript"] for _ in range(2)]
        assert texts == ["w5", "w6 w7"]


async def test_an_engine_that_fails_ends_no_session() -> None:
    engine = LevelEngine(failures=1.0)
    async with connected(engine) as client:
        await client.say(update(format={"type": "audio/pcm", "rate": 16_000}))
        await client.say(as_pcm(speak([1])))
        await until(client, ".failed")
        engine._failures = 0.0
        await client.say(as_pcm(speak([2])))
        assert (await until(client, ".completed"))[-1]["transcript"] == "w2"


async def test_a_full_server_says_so_and_closes_1013() -> None:
    engine = LevelEngine()
    async with connected(engine, LiveLimits(max_sessions=0)) as client:
        (error,) = await until(client, "error")
        assert error["error"]["code"] == "full"
        assert await client.hear() is None
        assert client.close_code == 1013


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    (
        "type",
        "audio",
        "session",
        "input",
        "format",
        "rate",
        "transcription",
        "turn_detection",
        "include",
        "event_id",
        "language",
        "languages",
        "prompt",
        "keywords",
        "threshold",
        "silence_duration_ms",
        "eagerness",
        "model",
    )
)
KINDS = st.sampled_from(
    (
        "input_audio_buffer.append",
        "input_audio_buffer.commit",
        "input_audio_buffer.clear",
        "session.update",
        "transcription_session.update",
        "response.create",
        "audio/pcm",
        "server_vad",
        "semantic_vad",
        "audio/pcmu",
    )
)
OBJECTS = st.recursive(
    JSONS | KINDS,
    lambda inner: st.dictionaries(NAMES, inner, max_size=5) | st.lists(inner, max_size=2),
    max_leaves=12,
)
EVENTS = st.builds(lambda kind, more: {**more, "type": kind}, KINDS, st.dictionaries(NAMES, OBJECTS, max_size=4))
MESSAGES = (
    st.builds(json.dumps, EVENTS | OBJECTS)
    | st.text(max_size=40)
    | st.binary(max_size=4000)
    | st.builds(lambda audio: json.dumps(append(audio)), st.binary(max_size=4000))
)


@given(st.lists(MESSAGES, max_size=30))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_no_message_raises_and_every_answer_is_an_event(messages: list[str | bytes]) -> None:
    wire = dialect()
    for message in messages:
        for command in wire.receive(wire.unpack(message)):
            if isinstance(command, Reply):
                for answer in command.messages:
                    body = json.loads(answer)
                    assert body["event_id"]
                    assert body["type"] in ("error", "session.updated", "transcription_session.updated")
            else:
                assert isinstance(command, Audio | Change | EndTurn | Discard)
    assert isinstance(wire.default_start(), LiveOptions)


@given(st.lists(MESSAGES, max_size=12))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=40)
def test_no_message_ends_a_session(messages: list[str | bytes]) -> None:
    async def talk() -> None:
        async with connected(LevelEngine()) as client:
            heard: list[Json] = []

            async def listen() -> None:
                while (event := await client.hear()) is not None:
                    heard.append(event)
                    if event["type"] == "error" and event["error"]["event_id"] == "last":
                        return

            listener = asyncio.create_task(listen())
            for message in messages:
                await client.say(message)
            await client.say({"type": "the last one", "event_id": "last"})
            await asyncio.wait_for(listener, 10)
            assert client.close_code is None
            assert heard[0]["type"] == "session.created"

    asyncio.run(talk())
