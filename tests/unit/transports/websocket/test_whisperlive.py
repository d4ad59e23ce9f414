"""The WhisperLive wire: messages to the byte, and no message that does more than end its own connection."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlive_hybrid.errors import (
    BadInput,
    HybridError,
    ModelUnavailable,
    NotFound,
    Refused,
    Unauthorized,
    WorkerLost,
)
from whisperlive_hybrid.live import events
from whisperlive_hybrid.live.commands import Audio, LiveOptions, Start, Stop
from whisperlive_hybrid.live.replay import Numbered
from whisperlive_hybrid.transports.connection import BadStart, Reply
from whisperlive_hybrid.transports.live_door import LiveTerms
from whisperlive_hybrid.transports.websocket.whisperlive import DOOR, WhisperLiveDialect

CONFIG = {"uid": "ü-1", "language": "en", "task": "transcribe", "model": "small"}
SETTINGS = {"model": "digits", "diarize": False}


def opened(terms: LiveTerms | None = None, **config: Any) -> WhisperLiveDialect:
    dialect = WhisperLiveDialect(terms or LiveTerms())
    (start,) = dialect.receive(json.dumps({**CONFIG, **config}))
    assert isinstance(start, Start)
    return dialect


def sent(dialect: WhisperLiveDialect, event: events.Event) -> list[Any]:
    return list(dialect.send(Numbered(1, event)))


def ready(**settings: Any) -> events.Ready:
    return events.Ready("s", "t", {**SETTINGS, **settings}, 10.0, 60.0)


def partial(text: str, probability: float = 1.0) -> events.Partial:
    return events.Partial(0, 0.0, 1.0, "", text, "en", probability)


def final(text: str, probability: float = 1.0) -> events.Final:
    return events.Final(0, 0.0, 1.0, text, "en", "m", 0.9, None, probability)


def test_messages_are_those_of_the_original_to_the_byte() -> None:
    dialect = opened()
    uid = '{"uid": "\\u00fc-1", '
    assert sent(dialect, ready()) == [uid + '"message": "SERVER_READY", "backend": "faster_whisper"}']
    assert sent(dialect, partial("fünf")) == [
        uid + '"segments": [{"start": "0.000", "end": "1.000", "text": " f\\u00fcnf", "completed": false}]}'
    ]
    assert sent(dialect, final("fünf")) == [
        uid + '"segments": [{"start": "0.000", "end": "1.000", "text": " f\\u00fcnf", "completed": true}]}'
    ]
    assert sent(dialect, events.Failed("internal_error", "Our fault.", fatal=True)) == [
        uid + '"status": "ERROR", "message": "Our fault."}'
    ]
    assert sent(dialect, events.Failed("idle", "Nothing came.", fatal=True)) == [uid + '"message": "DISCONNECT"}']


@pytest.mark.parametrize("uid", [7, 7.5, 10**30, None, True, ["a"], {"b": "ß"}])
def test_a_uid_comes_back_as_it_was(uid: Any) -> None:
    dialect = opened(uid=uid)
    for message in [
        *sent(dialect, ready()),
        *sent(dialect, partial("one")),
        *dialect.refuse(HybridError("x")).messages,
    ]:
        assert json.loads(message)["uid"] == uid
        assert type(json.loads(message)["uid"]) is type(uid)


def test_what_the_wire_has_no_message_for_is_not_told() -> None:
    dialect = opened()
    quiet: list[events.Event] = [
        events.Ack(1, 1),
        events.SpeechState("started", 0.0, 0),
        events.TurnEnded(1, 0, spoken=True),
        events.Status(500, False, 0),
        events.Heartbeat(),
        events.GoAway(5000),
        events.Pong(1),
        events.Flushed(1),
        events.Failed("final_failed", "no text", fatal=False),
        events.Done(1.0, 1, 1),
    ]
    assert [m for event in quiet for m in sent(dialect, event)] == []


# --- language --------------------------------------------------------------------------------------------------------


def test_a_detected_language_is_told_once_before_any_text() -> None:
    dialect = opened(language=None)
    assert sent(dialect, partial("one", 0.5)) == [], "not sure yet"
    language, segments = (json.loads(m) for m in sent(dialect, partial("one two", 0.9723456)))
    assert language == {"uid": "ü-1", "language": "en", "language_prob": 0.9723456}
    assert list(language) == ["uid", "language", "language_prob"]
    assert segments["segments"][0]["text"] == " one two"
    assert len(sent(dialect, final("One two."))) == 2


def test_a_final_tells_the_language_whatever_it_is() -> None:
    dialect = opened(language=None)
    language, *rest = (json.loads(m) for m in sent(dialect, final("one", 0.3)))
    assert language["language_prob"] == 0.3
    assert [m["segments"][-1]["completed"] for m in rest] == [False, True]


def test_a_language_that_was_asked_for_is_not_told() -> None:
    assert all("language" not in json.loads(m) for m in sent(opened(), partial("one")))


# --- warnings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "settings", "word"),
    [
        ({"enable_translation": True}, {}, "translated"),
        ({"model": "huge"}, {"model_asked": "huge"}, "Model huge cannot be had here; digits is used."),
        ({"enable_diarization": True}, {}, "Speakers"),
    ],
)
def test_what_cannot_be_had_is_said_before_ready(config: dict[str, Any], settings: dict[str, Any], word: str) -> None:
    warning, last = (json.loads(m) for m in sent(opened(**config), ready(**settings)))
    assert list(warning) == ["uid", "status", "message"] and warning["status"] == "WARNING"
    assert word in warning["message"]
    assert last["message"] == "SERVER_READY"


def test_speakers_that_are_told_apart_need_no_warning() -> None:
    assert len(sent(opened(enable_diarization=True), ready(diarize=True))) == 1


# --- what clients send -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["END_OF_AUDIO", b"END_OF_AUDIO"])
def test_the_end_is_text_or_binary_and_what_follows_is_not_minded(end: str | bytes) -> None:
    dialect = opened()
    assert dialect.receive(b"\0" * 8) == [Audio(b"\0" * 8)]
    assert dialect.receive(b"") == []
    assert dialect.receive(end) == [Stop()]
    for after in (end, b"\0\0\0\0", b"\0", "text"):
        assert dialect.receive(after) == []
    assert sent(dialect, events.Done(1.0, 1, 1)) == []


def test_the_configuration_may_be_binary() -> None:
    dialect = WhisperLiveDialect(LiveTerms())
    (start,) = dialect.receive(json.dumps(CONFIG).encode())
    assert isinstance(start, Start) and start.options.language == "en"


@pytest.mark.parametrize(("frame", "word"), [(b"\0\0\0", "3 bytes"), ("hello", "text"), (json.dumps(CONFIG), "text")])
def test_a_wrong_frame_is_named_and_what_was_heard_before_is_told(frame: str | bytes, word: str) -> None:
    dialect = opened()
    reply, stop = dialect.receive(frame)
    assert isinstance(reply, Reply) and stop == Stop()
    error = json.loads(reply.messages[0])
    assert (error["uid"], error["status"]) == ("ü-1", "ERROR")
    assert word in error["message"]
    assert dialect.receive(b"\0\0\0\0") == []


def test_time_that_is_up_is_told_after_the_text() -> None:
    dialect = opened(LiveTerms(time_limit_s=3.0))
    assert dialect.time_limit_s == 3.0
    assert dialect.time_up() == [Stop()]
    assert dialect.receive(b"\0\0\0\0") == []
    sent(dialect, final("one"))
    assert sent(dialect, events.Done(1.0, 1, 1)) == ['{"uid": "\\u00fc-1", "message": "DISCONNECT"}']


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "message", "code"),
    [
        (Refused("full", retry_after_s=30.0), "WAIT", 0.5, 1000),
        (Refused("later", retry_after_s=5.0, code="shutting_down"), "WAIT", 5 / 60, 1000),
        (ModelUnavailable("offline", model="small"), "ERROR", "Failed to load model: small. offline", 1000),
        (NotFound("none", kind="model", id="x"), "ERROR", "Failed to load model: x. none", 1000),
        (BadInput("task is missing"), "ERROR", "task is missing", 1000),
        (Unauthorized("no key"), "ERROR", "no key", 1000),
        (WorkerLost("gone"), "ERROR", "gone", 1011),
    ],
)
def test_a_refusal_is_said_and_the_close_waits(
    error: HybridError, status: str, message: str | float, code: int
) -> None:
    refusal = opened().refuse(error)
    (said,) = refusal.messages
    assert json.loads(said) == {"uid": "ü-1", "status": status, "message": message}
    assert list(json.loads(said)) == ["uid", "status", "message"]
    assert (refusal.close_code, refusal.linger_ms >= 100) == (code, True)


def test_codes_are_1000_unless_coming_back_may_help() -> None:
    dialect = opened()
    assert [dialect.close_code(c) for c in (1000, 1003, 4408, 1011, 1012, 1013)] == [1000, 1000, 1000, 1011, 1012, 1013]


@pytest.mark.parametrize(
    ("code", "status", "body"),
    [
        ("key_missing", 401, "Unauthorized\n"),
        ("key_unknown", 401, "Unauthorized\n"),
        ("origin_refused", 403, "Forbidden\n"),
        ("host_refused", 403, "Forbidden\n"),
    ],
)
def test_handshakes_are_refused_as_by_the_original(code: str, status: int, body: str) -> None:
    assert DOOR.refuse_handshake is not None
    refusal = DOOR.refuse_handshake(Unauthorized("no", code=code))
    assert (refusal.status, refusal.body, refusal.content_type) == (status, body, "text/plain; charset=utf-8")


# --- anything --------------------------------------------------------------------------------------------------------

MESSAGES = st.text(max_size=40) | st.binary(max_size=40) | st.sampled_from(["END_OF_AUDIO", b"END_OF_AUDIO", b"\0" * 8])
CONFIGS = st.dictionaries(
    st.sampled_from([*CONFIG, "audio_format", "send_last_n_segments", "vad_parameters", "known_speakers"]),
    st.none() | st.text(max_size=10) | st.integers() | st.floats() | st.lists(st.integers(), max_size=2),
)


@given(st.none() | CONFIGS, st.lists(MESSAGES, max_size=8))
def test_no_message_does_more_than_end_its_own_connection(
    config: dict[str, Any] | None, messages: list[str | bytes]
) -> None:
    dialect = WhisperLiveDialect(LiveTerms(LiveOptions()))
    first: list[str | bytes] = [] if config is None else [json.dumps({**CONFIG, **config})]
    stopped = False
    for n, message in enumerate([*first, *messages]):
        try:
            commands = dialect.receive(message)
        except BadStart as error:
            assert n == 0, "a session that has begun is ended in an orderly way"
            (said,) = dialect.refuse(error).messages
            assert json.loads(said)["status"] == "ERROR"
            return
        assert not (stopped and commands), "nothing follows the end"
        for command in commands:
            assert isinstance(command, Start) == (n == 0)
            stopped = stopped or isinstance(command, Stop)
