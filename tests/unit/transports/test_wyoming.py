"""The Wyoming dialect without a socket: no sequence of events makes it fail in another way than it says."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from whisperlive_hybrid.live import events
from whisperlive_hybrid.live.commands import Audio, LiveOptions, Start, Stop
from whisperlive_hybrid.live.replay import Numbered
from whisperlive_hybrid.transports.connection import Reply
from whisperlive_hybrid.transports.wyoming import WyomingDialect
from whisperlive_hybrid.transports.wyoming_frames import BrokenStream, Framer

FORMAT = {"rate": 16000, "width": 2, "channels": 1}


def dialect() -> WyomingDialect:
    return WyomingDialect(LiveOptions(language="en"), lambda: [("tiny", True), ("tiny.en", False)])


def frame(type: str, data: dict[str, Any] | None = None, payload: bytes = b"") -> bytes:
    line = {"type": type, "data": data or {}, "payload_length": len(payload)}
    return json.dumps(line).encode() + b"\n" + payload


def said(messages: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(f.type, f.data) for f in Framer().feed(b"".join(messages))]


def test_a_turn() -> None:
    wire = dialect()
    data = frame("transcribe", {"language": "de", "name": "tiny"}) + frame("audio-start", {**FORMAT, "rate": 8000})
    start, audio, stop = wire.receive(
        data + frame("audio-chunk", {**FORMAT, "rate": 8000}, b"abcd") + frame("audio-stop")
    )

    assert isinstance(start, Start)
    options = start.options
    assert (options.language, options.model, options.sample_rate) == ("de", "tiny", 8000)
    assert (options.codec, options.interim) == ("pcm_s16le", False)
    assert (audio, stop) == (Audio(b"abcd"), Stop())
    final = events.Final(0, 0.0, 1.0, "eins zwei.", "de", "tiny", 0.9)
    assert said(wire.send(Numbered(1, final))) == [
        ("transcript-start", {"language": "de"}),
        ("transcript-chunk", {"text": "eins zwei."}),
    ]
    assert said(wire.send(Numbered(2, events.Final(1, 1.0, 2.0, "drei.", "de", "tiny", 0.9)))) == [
        ("transcript-chunk", {"text": " drei."})
    ]
    assert said(wire.send(Numbered(3, events.Done(2.0, 2, 3)))) == [
        ("transcript", {"text": "eins zwei. drei.", "language": "de"}),
        ("transcript-stop", {}),
    ]


def test_what_comes_before_a_transcript_is_told_waits_for_the_next_turn() -> None:
    wire = dialect()
    wire.receive(frame("audio-start", FORMAT) + frame("audio-stop") + frame("audio-start", FORMAT))
    assert wire.receive(frame("audio-chunk", FORMAT, b"ab")) == []
    wire.next_turn()
    start, audio = wire.opening()

    assert isinstance(start, Start) and start.options.language == "en"
    assert audio == Audio(b"ab")


def test_info() -> None:
    (reply,) = dialect().receive(frame("describe"))
    assert isinstance(reply, Reply)
    ((_, info),) = said(reply.messages)
    many, one = info["asr"][0]["models"]

    assert one["languages"] == ["en"] and len(many["languages"]) > 90


KINDS = ["describe", "ping", "transcribe", "audio-start", "audio-chunk", "audio-stop", "other"]
VALUES = st.none() | st.booleans() | st.integers(-9, 99_999) | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
NAMES = st.sampled_from(["rate", "width", "channels", "language", "name", "text", "transcript_terms"])


@given(
    st.lists(
        st.tuples(
            st.sampled_from(KINDS),
            st.just(FORMAT) | st.dictionaries(NAMES, VALUES, max_size=4),
            st.binary(max_size=8),
        ),
        max_size=8,
    )
)
def test_no_sequence_of_events_is_a_fault(frames: list[tuple[str, dict[str, Any], bytes]]) -> None:
    wire = dialect()
    try:
        for type, data, payload in frames:
            commands = wire.receive(frame(type, data, payload))
            assert all(isinstance(c, Start | Audio | Stop | Reply) for c in commands)
    except BrokenStream:
        pass


def test_pieces_of_a_large_chunk_count_as_audio_and_events_that_say_nothing_do_not() -> None:
    """Chunks of a second come in eight pieces each; as messages of any other kind they would be read at 20 a second."""
    wire = dialect()
    chunk = frame("audio-chunk", FORMAT, bytes(32_000))
    seen = []
    for piece in (frame("audio-start", FORMAT) + chunk[:4096], chunk[4096:8192], chunk[8192:], frame("nonsense")):
        commands = wire.receive(piece)
        seen.append((wire.amid_audio, [type(c) for c in commands]))

    assert seen == [(False, [Start]), (True, []), (False, [Audio]), (False, [])]
    assert wire.receive(frame("nonsense") + frame("nonsense", {}, b"1234")[:-2]) == []
    assert not wire.amid_audio
