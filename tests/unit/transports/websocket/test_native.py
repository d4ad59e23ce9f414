"""The native wire: what goes in, what comes out."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlive_hybrid.engine.hypothesis import Word
from whisperlive_hybrid.errors import (
    BadInput,
    Conflict,
    HybridError,
    ModelUnavailable,
    NotFound,
    Refused,
    TooLarge,
    Unauthorized,
    UndecodableAudio,
    WorkerLost,
)
from whisperlive_hybrid.live import events
from whisperlive_hybrid.live.commands import Audio, Flush, LiveOptions, Ping, Resume, Start, Stop
from whisperlive_hybrid.live.replay import Numbered
from whisperlive_hybrid.speech.speech import SpeechOptions
from whisperlive_hybrid.transports.connection import BadStart
from whisperlive_hybrid.transports.websocket.native import TYPES, NativeDialect, encode

DEFAULTS = LiveOptions(language="en", speech=SpeechOptions(min_silence_ms=700))


def dialect(**query: str) -> NativeDialect:
    return NativeDialect(query, DEFAULTS)


def test_a_query_string_starts_a_session() -> None:
    query = {
        "codec": "pcm_f32le",
        "sample_rate": "48000",
        "channels": "2",
        "language": "German",
        "task": "translate",
        "model": "tiny",
        "interim": "no",
        "words": "TRUE",
        "prompt": " hello ",
        "vad": '{"threshold":0.6,"max_utterance_s":10,"other":1}',
        "token": "a key",
    }
    (start,) = NativeDialect(query, DEFAULTS).opening()
    speech = SpeechOptions(threshold=0.6, min_silence_ms=700, max_utterance_s=10.0)
    assert start == Start(
        LiveOptions("pcm_f32le", 48000, 2, "de", "translate", "tiny", False, True, False, "hello", None, speech)
    )


def test_a_query_without_options_starts_nothing() -> None:
    assert dialect(token="a key", x="1").opening() == []
    assert dialect().default_start() == DEFAULTS


def test_a_start_message_refines_the_query() -> None:
    both = dialect(codec="opus", words="1")
    both.opening()
    (start,) = both.receive('{"type":"start","language":"auto","words":false,"later":{"a":[1]}}')
    assert isinstance(start, Start)
    assert (start.options.codec, start.options.language, start.options.words) == ("opus", None, False)


@pytest.mark.parametrize(
    ("message", "command"),
    [
        (b"\x00\x01", Audio(b"\x00\x01")),
        ('{"type":"flush"}', Flush()),
        ('{"type":"stop","why":"tired"}', Stop()),
        ('{"type":"ping"}', Ping(None)),
        ('{"type":"ping","id":7}', Ping(7)),
        ('{"type":"resume","session":"s","token":"t","last_event":3}', Resume("s", "t", 3)),
    ],
)
def test_messages_are_commands(message: str | bytes, command: object) -> None:
    assert dialect().receive(message) == [command]


@pytest.mark.parametrize(
    ("options", "param", "code"),
    [
        ({"codec": "mp3"}, "codec", "unknown_codec"),
        ({"codec": 3}, "codec", "unknown_codec"),
        ({"sample_rate": 16000.5}, "sample_rate", "bad_sample_rate"),
        ({"sample_rate": True}, "sample_rate", "bad_sample_rate"),
        ({"channels": 0}, "channels", "bad_channels"),
        ({"language": "elvish"}, "language", "unknown_language"),
        ({"language": 5}, "language", "bad_option"),
        ({"task": "sing"}, "task", "unknown_task"),
        ({"model": ["tiny"]}, "model", "bad_option"),
        ({"interim": "yes"}, "interim", "bad_option"),
        ({"words": 1}, "words", "bad_option"),
        ({"prompt": "x" * 5000}, "prompt", "too_long"),
        ({"vad": []}, "vad", "bad_option"),
        ({"vad": {"threshold": "loud"}}, "vad.threshold", "bad_option"),
        ({"vad": {"min_silence_ms": 1}}, "vad.min_silence_ms", "bad_option"),
        ({"vad": {"max_utterance_s": 31}}, "vad.max_utterance_s", "bad_option"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(BadStart) as caught:
        dialect().receive(json.dumps({"type": "start", **options}))
    assert (caught.value.param, caught.value.code) == (param, code)
    assert param in caught.value.message


@pytest.mark.parametrize(
    "message", ["", "{", "[]", "3", '"start"', "[" * 100_000, '{"type":"dance"}', "{}", '{"type":[]}']
)
def test_messages_without_sense_are_errors_that_end_nothing(message: str) -> None:
    with pytest.raises(BadInput) as caught:
        dialect().receive(message)
    assert not isinstance(caught.value, BadStart)
    assert caught.value.code in ("bad_json", "unknown_type")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from([*LiveOptions.__dataclass_fields__, "vad", "session", "token", "last_event", "id"])


@given(st.sampled_from(["start", "resume", "ping", "stop", "x"]), st.dictionaries(names, json_values, max_size=5))
def test_no_json_does_more_than_raise_bad_input(kind: str, values: dict[str, Any]) -> None:
    try:
        commands = dialect().receive(json.dumps({**values, "type": kind}))
    except BadInput:
        return
    assert len(commands) == 1


@given(st.dictionaries(names, st.text(max_size=12), max_size=5))
def test_no_query_does_more_than_raise_bad_start(query: dict[str, str]) -> None:
    try:
        NativeDialect(query, DEFAULTS).opening()
    except BadStart:
        return


EVENTS: list[tuple[events.Event, dict[str, Any]]] = [
    (
        events.Ready("s", "t", {"language": "auto", "vad": {"threshold": 0.5}}, 10.0, 60.0),
        {
            "session": "s",
            "token": "t",
            "settings": {"language": "auto", "vad": {"threshold": 0.5}},
            "heartbeat_s": 10.0,
            "resume_s": 60.0,
            "protocol": 1,
        },
    ),
    (events.Ack(3, 2), {"received": 3, "committed": 2}),
    (events.SpeechState("started", 1.23456, 3), {"state": "started", "at": 1.235, "segment": 3}),
    (
        events.Partial(1, 0.5, 2.0, "one", " two"),
        {"segment": 1, "start": 0.5, "end": 2.0, "append": "one", "tentative": " two"},
    ),
    (
        events.Final(1, 0.5, 2.0, "one", "en", "m", 0.91239),
        {"segment": 1, "start": 0.5, "end": 2.0, "text": "one", "language": "en", "model": "m", "confidence": 0.912},
    ),
    (
        events.Final(1, 0.5, 2.0, "one", "en", "m", 1.0, (Word(" one", 0.5, 0.9, 0.8),)),
        {
            "segment": 1,
            "start": 0.5,
            "end": 2.0,
            "text": "one",
            "language": "en",
            "model": "m",
            "confidence": 1.0,
            "words": [{"word": " one", "start": 0.5, "end": 0.9, "probability": 0.8}],
        },
    ),
    (events.SpeakerNamed(1, "A", 0.5), {"segment": 1, "speaker": "A", "confidence": 0.5}),
    (
        events.SpeakerNamed(1, None, 0.0, ((0, "B"),), ((0.5, 1.0, "A"), (1.0, 2.0, None))),
        {
            "segment": 1,
            "speaker": None,
            "confidence": 0.0,
            "also": [{"segment": 0, "speaker": "B"}],
            "turns": [{"start": 0.5, "end": 1.0, "speaker": "A"}, {"start": 1.0, "end": 2.0, "speaker": None}],
        },
    ),
    (events.Status(500, False, 12), {"partial_interval_ms": 500, "degraded": False, "queue_ms": 12}),
    (events.Heartbeat(), {}),
    (events.Resumed(7, restored=True), {"frames": 7, "restored": True}),
    (events.GoAway(5000), {"reconnect_within_ms": 5000}),
    (events.Pong(None), {"id": None}),
    (events.Pong("x"), {"id": "x"}),
    (events.Failed("bad", "wrong", fatal=False), {"code": "bad", "message": "wrong", "fatal": False}),
    (events.Flushed("a"), {"id": "a"}),
    (
        events.Failed("full", "full", True, 0.0, "codec", ("opus",)),
        {
            "code": "full",
            "message": "full",
            "fatal": True,
            "retry_after_s": 0.0,
            "param": "codec",
            "accepted": ["opus"],
        },
    ),
    (
        events.Done(3.5, 1, 3, {"decode_s": 0.1}),
        {"audio": 3.5, "segments": 1, "words": 3, "timing": {"decode_s": 0.1}},
    ),
]


@pytest.mark.parametrize(("event", "fields"), EVENTS, ids=lambda v: type(v).__name__ if not isinstance(v, dict) else "")
def test_every_event_has_its_message(event: events.Event, fields: dict[str, Any]) -> None:
    assert json.loads(encode(Numbered(5, event))) == {"type": TYPES[type(event)], "event": 5, **fields}


def test_no_event_is_forgotten() -> None:
    assert set(TYPES) == set(get_args(events.Event)) - {events.TurnEnded} == {type(event) for event, _ in EVENTS}
    assert len(set(TYPES.values())) == len(TYPES)


def test_words_that_were_asked_for_are_there_though_there_are_none() -> None:
    assert json.loads(encode(Numbered(1, events.Final(0, 0.0, 1.0, "", "en", "m", 0.0, ()))))["words"] == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unauthorized("no key"), 4401),
        (Unauthorized("no", code="origin_refused"), 1008),
        (Refused("full", retry_after_s=1.0), 1013),
        (Refused("bye", retry_after_s=1.0, code="shutting_down"), 1012),
        (NotFound("gone", kind="session", id="x"), 4404),
        (NotFound("gone", kind="event", id="3"), 4404),
        (NotFound("none", kind="model", id="x"), 4400),
        (ModelUnavailable("none", model="x"), 4400),
        (BadStart("wrong"), 4400),
        (BadStart("codec", code="unknown_codec"), 1003),
        (UndecodableAudio("noise"), 1003),
        (TooLarge("big", limit=1), 1009),
        (Conflict("twice", code="already_started"), 4400),
        (WorkerLost("gone"), 1011),
        (HybridError("?"), 1011),
    ],
)
def test_each_error_has_its_close_code(error: HybridError, code: int) -> None:
    refusal = dialect().refuse(error)
    (message,) = refusal.messages
    assert json.loads(message) | {"type": "error", "event": 0, "fatal": True} == json.loads(message)
    assert (refusal.close_code, len(refusal.reason) <= 123) == (code, True)
