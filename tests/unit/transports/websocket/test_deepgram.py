"""Deepgram's live wire: what its messages mean, what is told and when, and that no message makes it fail."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperlive_hybrid.engine.hypothesis import Word
from whisperlive_hybrid.errors import BadInput, HybridError, Refused, Unavailable, UndecodableAudio
from whisperlive_hybrid.live import events
from whisperlive_hybrid.live.commands import Audio, Flush, LiveOptions, Ping, Start, Stop
from whisperlive_hybrid.live.replay import Numbered
from whisperlive_hybrid.speech.speech import SpeechOptions
from whisperlive_hybrid.transports.connection import Reply
from whisperlive_hybrid.transports.deepgram_wire import Parameters
from whisperlive_hybrid.transports.live_door import LiveTerms
from whisperlive_hybrid.transports.websocket.deepgram import DeepgramDialect, _refuse_handshake

TERMS = LiveTerms(LiveOptions(language="en", speech=SpeechOptions(min_silence_ms=700)))
SAMPLES = {"encoding": "linear16", "sample_rate": "16000"}


def dialect(**query: str) -> DeepgramDialect:
    wire = DeepgramDialect(Parameters(query.items()), TERMS, request_id="r", now=lambda: "now")
    tell(wire, events.Ready("s", "t", {"model": "tiny"}, 10, 60))
    return wire


def tell(wire: DeepgramDialect, *told: events.Event) -> list[dict[str, Any]]:
    return [json.loads(m) for event in told for m in wire.send(Numbered(1, event))]


def options(**query: str) -> LiveOptions:
    (start,) = dialect(**query).opening()
    assert isinstance(start, Start)
    return start.options


def replies(commands: list[Any]) -> list[dict[str, Any]]:
    return [json.loads(m) for c in commands if isinstance(c, Reply) for m in c.messages]


def final(segment: int, start: float, text: str) -> events.Final:
    """One word a second from `start`."""
    words = tuple(Word(f" {t}", start + i, start + i + 0.8, 0.9) for i, t in enumerate(text.split()))
    return events.Final(segment, start, start + len(words), text, "en", "tiny", 0.9, words)


def stopped(segment: int, at: float) -> events.SpeechState:
    return events.SpeechState("stopped", at, segment)


def started(segment: int, at: float) -> events.SpeechState:
    return events.SpeechState("started", at, segment)


def test_options_of_the_query() -> None:
    heard = options(
        encoding="mulaw",
        sample_rate="8000",
        channels="2",
        language="de-DE",
        model="tiny",
        interim_results="true",
        keyterm="one",
        keywords="two:3",
        endpointing="500",
    )

    assert (heard.codec, heard.sample_rate, heard.channels) == ("pcm_mulaw", 8000, 2)
    assert (heard.language, heard.model, heard.hotwords) == ("de", "tiny", "one, two")
    assert (heard.interim, heard.words, heard.speech.min_silence_ms) == (True, True, 500)


def test_options_of_a_query_that_says_nothing() -> None:
    heard = options()

    assert (heard.codec, heard.language, heard.model, heard.interim) == (None, "en", None, False)
    assert heard.speech.min_silence_ms == 700
    assert options(encoding="alaw").sample_rate == 8000
    assert options(model="nova-3", language="multi").language is None
    assert options(endpointing="false").speech.min_silence_ms == 700


@pytest.mark.parametrize(("asked", "given"), [("10", 300), ("true", 700), ("300", 300), ("60000", 10_000)])
def test_pauses_are_no_shorter_than_speech_needs(asked: str, given: int) -> None:
    assert options(endpointing=asked).speech.min_silence_ms == given


@pytest.mark.parametrize(
    "query",
    [
        {"encoding": "flac"},
        {"encoding": "linear16", "sample_rate": "no"},
        {"channels": "0"},
        {"language": "klingon"},
        {"multichannel": "true", "channels": "2"},
        {"redact": "pci"},
        {"interim_results": "perhaps"},
        {"endpointing": "-5"},
        {"utterance_end_ms": "soon"},
        {"callback": "https://example.org"},
    ],
)
def test_wrong_queries_are_refused_at_the_handshake(query: dict[str, str]) -> None:
    with pytest.raises(BadInput) as raised:
        dialect(**query)

    refusal = _refuse_handshake(raised.value)
    assert refusal.status == 400
    assert json.loads(refusal.body)["err_code"] == "Bad Request"
    assert refusal.headers["dg-error"].isascii()


def test_messages_are_commands() -> None:
    wire = dialect(**SAMPLES)

    assert wire.receive(b"ab") == [Audio(b"ab")]
    assert wire.receive('{"type":"KeepAlive"}') == [Ping(None)]
    assert wire.receive('{"type":"Finalize"}') == [Flush(1)]
    assert wire.receive('{"type":"Finalize","channel":0}') == [Flush(2)]
    assert wire.receive('{"type":"CloseStream"}') == [Stop()]
    assert wire.receive(b"") == [Stop()]
    assert replies(wire.receive('{"type":"Configure"}'))[0]["type"] == "ConfigureFailure"
    assert dialect(encoding="opus").receive(b"abc") == [Audio(b"\x00\x03abc")]


@pytest.mark.parametrize("message", ["", "{", "[]", '{"type":5}', '{"type":"Speak"}', "null"])
def test_what_is_no_message_is_said(message: str) -> None:
    (error,) = replies(dialect().receive(message))

    assert (error["type"], error["variant"], error["message"]) == ("Error", "SchemaError", message)


def test_a_final() -> None:
    (result,) = tell(dialect(**SAMPLES, punctuate="true"), stopped(0, 2.5), final(0, 0.5, "One two."))
    (alternative,) = result["channel"]["alternatives"]

    assert (result["type"], result["is_final"], result["speech_final"], result["from_finalize"]) == (
        "Results",
        True,
        True,
        False,
    )
    assert (result["start"], result["duration"], result["channel_index"]) == (0.5, 2.0, [0, 1])
    assert (alternative["transcript"], alternative["confidence"]) == ("One two.", 0.9)
    assert alternative["words"][1] == {
        "word": "two",
        "start": 1.5,
        "end": 2.3,
        "confidence": 0.9,
        "punctuated_word": "two.",
    }
    assert result["metadata"]["request_id"] == "r"
    assert result["metadata"]["model_info"]["name"] == "tiny"


def test_without_punctuation() -> None:
    told = tell(dialect(), stopped(0, 2.5), final(0, 0.5, "One, two."))

    assert told[0]["channel"]["alternatives"][0]["transcript"] == "one two"
    assert "punctuated_word" not in told[0]["channel"]["alternatives"][0]["words"][0]


def test_where_speech_goes_on_it_is_not_speech_final() -> None:
    wire = dialect(endpointing="300")
    cut, end = tell(wire, final(0, 0.0, "one"), stopped(1, 2.0), final(1, 1.0, "two"))

    assert (cut["speech_final"], end["speech_final"]) == (False, True)
    assert tell(dialect(endpointing="false"), stopped(0, 1.0), final(0, 0.0, "one"))[0]["speech_final"] is False


def test_interim_results() -> None:
    words = (Word(" One", 0.1, 0.4, 0.8), Word(" two", 0.5, 0.9, 0.4))
    partials = [events.Partial(0, 0.0, 0.5, "", "One"), events.Partial(0, 0.0, 1.0, "One", " two", "en", 0.9, words)]

    first, second = tell(dialect(interim_results="true", punctuate="true"), *partials)
    assert [r["channel"]["alternatives"][0]["transcript"] for r in (first, second)] == ["One", "One two"]
    assert (second["is_final"], second["speech_final"], second["duration"]) == (False, False, 1.0)
    assert second["channel"]["alternatives"][0]["confidence"] == 0.6
    assert [w["word"] for w in second["channel"]["alternatives"][0]["words"]] == ["one", "two"]
    assert tell(dialect(), *partials) == []


def test_speech_events() -> None:
    assert tell(dialect(vad_events="true"), started(0, 0.4)) == [
        {"type": "SpeechStarted", "channel": [0, 1], "timestamp": 0.4}
    ]
    assert tell(dialect(), started(0, 0.4), stopped(0, 1.0)) == []


def test_finalize_is_answered_by_the_last_final() -> None:
    wire = dialect(**SAMPLES)
    wire.receive('{"type":"Finalize"}')
    first = tell(wire, stopped(0, 1.0), final(0, 0.0, "one"))
    second = tell(wire, stopped(1, 2.0), final(1, 1.0, "two"))
    third = tell(wire, events.Flushed(1))

    assert first == []
    assert [(r["from_finalize"], r["start"]) for r in (*second, *third)] == [(False, 0.0), (True, 1.0)]
    assert tell(wire, stopped(2, 3.0), final(2, 2.0, "three"))[0]["from_finalize"] is False


def test_finalize_is_answered_where_nothing_was_said() -> None:
    wire = dialect(**SAMPLES)
    wire.receive('{"type":"Finalize"}')
    (result,) = tell(wire, events.Flushed(1))

    assert result["from_finalize"] and result["is_final"]
    assert result["channel"]["alternatives"] == [{"transcript": "", "confidence": 0.0, "words": []}]


def test_utterance_end_comes_when_the_silence_was_long_enough() -> None:
    wire = dialect(**SAMPLES, utterance_end_ms="1000")
    second = bytes(32_000)
    wire.receive(second * 2)
    told = tell(wire, started(0, 0.5), stopped(0, 2.0), final(0, 0.5, "one"))

    assert [m["type"] for m in told] == ["Results"]  # the word ended at 1.3, the audio is at 2.0
    assert replies(wire.receive(second[:9000])) == []
    assert replies(wire.receive(second[:9000])) == [{"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 1.3}]
    assert replies(wire.receive(second * 9)) == []


def test_no_utterance_end_within_speech() -> None:
    wire = dialect(**SAMPLES, utterance_end_ms="1000")
    wire.receive(bytes(64_000))
    tell(wire, started(0, 0.5), stopped(0, 2.0), final(0, 0.5, "one"), started(1, 2.1))

    assert replies(wire.receive(bytes(320_000))) == []


def test_utterance_end_of_a_late_final_looks_at_the_speech_after_it() -> None:
    for gap, n_ends in ((0.5, 0), (1.5, 1)):
        wire = dialect(**SAMPLES, utterance_end_ms="1000")
        told = tell(wire, started(0, 0.5), stopped(0, 2.0), started(1, 1.3 + gap), final(0, 0.5, "one"))
        assert [m["type"] for m in told].count("UtteranceEnd") == n_ends


def test_utterance_end_of_audio_without_a_clock_follows_the_final() -> None:
    told = tell(dialect(utterance_end_ms="1000"), started(0, 0.5), stopped(0, 2.0), final(0, 0.5, "one"))

    assert [m["type"] for m in told] == ["Results", "UtteranceEnd"]


def test_the_end() -> None:
    wire = dialect(**SAMPLES, tag="a", numerals="true", diarize="true")
    wire.receive(b"abcd")
    wire.receive('{"type":"Finalize"}')
    tell(wire, final(0, 0.0, "one"))
    result, metadata = tell(wire, events.Done(1.5, 1, 1))

    assert result["type"] == "Results"
    assert (metadata["type"], metadata["duration"], metadata["created"]) == ("Metadata", 1.5, "now")
    assert metadata["sha256"] == hashlib.sha256(b"abcd").hexdigest()
    assert metadata["tags"] == ["a"]
    assert [w["parameter"] for w in metadata["warnings"]] == ["numerals", "diarize"]


def test_languages_of_multi() -> None:
    told = tell(dialect(language="multi"), stopped(0, 1.0), final(0, 0.0, "one"))
    assert told[0]["channel"]["alternatives"][0]["languages"] == ["en"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UndecodableAudio("no audio"), 1008),
        (BadInput("silence", code="idle"), 1011),
        (Refused("full", retry_after_s=1.0), 1013),
        (Refused("going", retry_after_s=1.0, code="shutting_down"), 1012),
        (Unavailable("broken"), 1011),
        (HybridError("our fault"), 1011),
    ],
)
def test_refusals(error: HybridError, code: int) -> None:
    refusal = dialect().refuse(error)

    assert refusal.close_code == code
    assert json.loads(refusal.messages[0])["type"] == "Error"
    assert [dialect().close_code(c) for c in (1000, 1003, 4408)] == [1000, 1008, 1011]


def test_errors_on_the_way() -> None:
    (error,) = tell(dialect(), events.Failed("final_failed", "It failed.", fatal=False))
    assert error == {"type": "Error", "variant": "final_failed", "description": "It failed.", "message": "It failed."}


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda x: st.lists(x, max_size=3))
MESSAGES = (
    st.binary(max_size=30)
    | st.text(max_size=30)
    | st.dictionaries(st.sampled_from(["type", "channel", "x"]), JSON, max_size=3).map(json.dumps)
    | st.sampled_from(["KeepAlive", "Finalize", "CloseStream", "Configure"]).map(lambda t: json.dumps({"type": t}))
)
EVENTS = st.sampled_from(
    [
        started(0, 0.1),
        stopped(0, 1.0),
        final(0, 0.0, "one two"),
        events.Partial(0, 0.0, 1.0, "one", " two"),
        events.Flushed(1),
        events.Done(1.0, 1, 1),
        events.Pong(None),
    ]
)


@given(st.lists(MESSAGES | EVENTS, max_size=12), st.sampled_from(["linear16", "opus", "mulaw", ""]), st.booleans())
def test_no_message_is_a_fault(steps: list[Any], encoding: str, interim: bool) -> None:
    wire = dialect(encoding=encoding, interim_results=str(interim), utterance_end_ms="1000", vad_events="1")
    for step in steps:
        if isinstance(step, str | bytes):
            assert all(isinstance(c, Audio | Flush | Ping | Stop | Reply) for c in wire.receive(step))
        else:
            tell(wire, step)


@given(st.dictionaries(st.sampled_from(["encoding", "sample_rate", "language", "endpointing", "channels"]), st.text()))
def test_no_query_is_a_fault(query: dict[str, str]) -> None:
    try:
        dialect(**query).opening()
    except BadInput as error:
        assert error.message


def with_speakers(**query: str) -> DeepgramDialect:
    wire = DeepgramDialect(Parameters({"diarize": "true", **query}.items()), TERMS, request_id="r", now=lambda: "now")
    tell(wire, events.Ready("s", "t", {"model": "tiny", "diarize": True}, 10, 60))
    return wire


def speakers(told: list[dict[str, Any]]) -> list[list[int | None]]:
    return [
        [w.get("speaker") for w in m["channel"]["alternatives"][0]["words"]] for m in told if m["type"] == "Results"
    ]


def test_finals_wait_for_their_speakers_in_order() -> None:
    wire = with_speakers(interim_results="true")

    assert tell(wire, final(0, 0.0, "one two"), final(1, 3.0, "three")) == []
    assert tell(wire, events.Partial(2, 5.0, 6.0, "", "four", (), "en")) == [], "nothing overtakes a final that waits"
    assert tell(wire, events.SpeakerNamed(1, "SPEAKER_01", 0.9)) == []
    told = tell(wire, events.SpeakerNamed(0, "SPEAKER_07", 0.9))
    assert speakers(told) == [[0, 0], [1]], "speakers are numbered as they first spoke"
    assert len(tell(wire, events.Partial(2, 5.0, 6.0, "", "four", (), "en"))) == 1
    assert speakers(tell(wire, final(2, 5.0, "four"), events.SpeakerNamed(2, "SPEAKER_07", 0.9))) == [[0]]


def test_two_speakers_of_one_utterance() -> None:
    wire = with_speakers()
    turns = ((0.0, 1.9, "A"), (1.9, 3.0, "B"))
    told = tell(wire, final(0, 0.0, "one two three"), events.SpeakerNamed(0, "A", 0.5, (), turns))
    assert speakers(told) == [[0, 0, 1]]


def test_words_of_whom_nobody_knows_have_no_speaker() -> None:
    wire = with_speakers()
    assert speakers(tell(wire, final(0, 0.0, "one"), events.SpeakerNamed(0, None, 0.0))) == [[None]]
    assert tell(wire, final(1, 2.0, "two")) == []
    told = tell(wire, events.Done(3.0, 2, 2, {}))
    assert speakers(told) == [[None]]
    assert told[-1]["type"] == "Metadata"


def test_the_answer_to_finalize_waits_for_speakers() -> None:
    wire = with_speakers()
    wire.receive('{"type": "Finalize"}')
    assert tell(wire, final(0, 0.0, "one"), events.Flushed(1)) == []
    told = tell(wire, events.SpeakerNamed(0, "A", 0.9))
    assert [(m["from_finalize"], speakers([m])) for m in told] == [(True, [[0]])]


def test_a_server_without_speakers_says_so_and_makes_nobody_wait() -> None:
    wire = DeepgramDialect(Parameters([("diarize", "true")]), TERMS, request_id="r", now=lambda: "now")
    tell(wire, events.Ready("s", "t", {"model": "tiny", "diarize": False}, 10, 60))
    assert speakers(tell(wire, final(0, 0.0, "one"))) == [[None]]
    (metadata,) = tell(wire, events.Done(1.0, 1, 1, {}))
    assert [w["parameter"] for w in metadata["warnings"]] == ["diarize"]
