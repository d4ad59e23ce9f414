"""`diarized_json` as OpenAI's own Python client reads it."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.audio import (
    TranscriptionDiarized,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionTextSegmentEvent,
)

from tests.support import voices
from tests.support.clips import Clip, clips, words
from tests.support.http_server import HttpServer, http_server
from tests.support.openai_files import openai_client, silence, transcribe
from whisperlive_hybrid.diarization.turns import SpeakerOptions
from whisperlive_hybrid.engine.hypothesis import Segment
from whisperlive_hybrid.jobs.transcript import FileOptions, Transcript

pytestmark = pytest.mark.timeout(180)


def reference(clip: Clip) -> str:
    return "data:audio/flac;base64," + base64.b64encode(clip.path.read_bytes()).decode()


DIALOGUE = (
    Segment(0.5, 1.0, " One two.", (1, 2, 3), 0.0, -0.1, 1.0, 0.0, speaker="Ann"),
    Segment(1.0, 1.5, " Three.", (4, 5), 0.0, -0.1, 1.0, 0.0, speaker="Ann"),
    Segment(2.0, 2.5, " Four?", (6, 7), 0.0, -0.1, 1.0, 0.0, speaker="SPEAKER_00"),
)


@pytest.fixture
def asked(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> list[SpeakerOptions | None]:
    """What the pipeline was asked of speakers; it answers with DIALOGUE."""
    options_seen: list[SpeakerOptions | None] = []

    async def dialogue(
        self: Any, path: Any, options: FileOptions, *, on_segments: Callable[[Any], None] | None = None, **more: Any
    ) -> Transcript:
        options_seen.append(options.diarization)
        nameless = [replace(segment, speaker=None) for segment in DIALOGUE]
        if on_segments is not None:
            on_segments(nameless[:1])
            on_segments(nameless[1:])
        return Transcript(DIALOGUE, "en", 1.0, 2.911, 2.0, "digits", options, n_tokens=7)

    monkeypatch.setattr(type(server.services.pipeline), "transcribe", dialogue)
    return options_seen


def test_a_dialogue(client: OpenAI, clip: Clip, asked: list[SpeakerOptions | None]) -> None:
    result = transcribe(client, clip, model="gpt-4o-transcribe-diarize", response_format="diarized_json")

    assert isinstance(result, TranscriptionDiarized)
    assert asked == [SpeakerOptions()]
    assert result.text == "Ann: One two. Three.\nA: Four?"
    assert [(s.id, s.start, s.end, s.text, s.speaker, s.type) for s in result.segments] == [
        ("seg_001", 0.5, 1.0, "One two.", "Ann", "transcript.text.segment"),
        ("seg_002", 1.0, 1.5, "Three.", "Ann", "transcript.text.segment"),
        ("seg_003", 2.0, 2.5, "Four?", "A", "transcript.text.segment"),
    ]
    assert (result.task, result.duration) == ("transcribe", 2.911)
    assert result.usage is not None and result.usage.type == "duration" and result.usage.seconds == 3


def test_a_dialogue_as_it_comes(client: OpenAI, clip: Clip, asked: list[SpeakerOptions | None]) -> None:
    *events, done = transcribe(client, clip, response_format="diarized_json", stream=True)
    segments = [e for e in events if isinstance(e, TranscriptionTextSegmentEvent)]
    deltas = [e for e in events if isinstance(e, TranscriptionTextDeltaEvent)]

    assert isinstance(done, TranscriptionTextDoneEvent)
    assert "".join(d.delta for d in deltas) == done.text == "Ann: One two. Three.\nA: Four?"
    assert [(s.id, s.text, s.speaker) for s in segments] == [
        ("seg_001", "One two.", "Ann"),
        ("seg_002", "Three.", "Ann"),
        ("seg_003", "Four?", "A"),
    ]
    assert [d.segment_id for d in deltas] == [s.id for s in segments]
    assert done.usage is not None and done.usage.output_tokens == 7


def test_known_speakers(client: OpenAI, clip: Clip, asked: list[SpeakerOptions | None]) -> None:
    others = clips("en")[:2]
    known = {
        "known_speaker_names": ["Ann", "Bob"],
        "known_speaker_references": [reference(c) for c in others],
    }
    transcribe(client, clip, response_format="diarized_json", **known)
    transcribe(client, clip, **known)

    assert asked[0] is not None
    assert [(k.name, k.audio) for k in asked[0].known] == [
        (name, c.path.read_bytes()) for name, c in zip(("Ann", "Bob"), others, strict=True)
    ]
    assert asked[1] is None, "plain json has no place for speakers"


def test_speakers_in_our_other_formats(client: OpenAI, clip: Clip, asked: list[SpeakerOptions | None]) -> None:
    ask: dict[str, Any] = {"extra_body": {"diarize": "true"}}
    verbose = transcribe(client, clip, response_format="verbose_json", **ask)

    assert [s.speaker for s in verbose.segments] == ["Ann", "Ann", "SPEAKER_00"]
    assert "[Ann] One two." in transcribe(client, clip, response_format="srt", **ask)
    assert "[SPEAKER_00] Four?" in transcribe(client, clip, response_format="text", **ask)
    *deltas, done = transcribe(client, clip, response_format="vtt", stream=True, **ask)
    assert "[Ann] One two." in done.text == "".join(d.delta for d in deltas)
    assert asked == [SpeakerOptions()] * 4


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"known_speaker_names": ["a"] * 5, "known_speaker_references": ["x"] * 5}, "known_speaker_names"),
        ({"known_speaker_names": ["a", "b"], "known_speaker_references": ["x"]}, "known_speaker_references"),
        ({"known_speaker_names": ["a"], "known_speaker_references": ["!"]}, "known_speaker_references"),
        ({"extra_body": {"diarize": "false"}}, "diarize"),
        ({"include": ["logprobs"]}, "include"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities"),
    ],
)
def test_wrong_options(client: OpenAI, clip: Clip, options: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        transcribe(client, clip, response_format="diarized_json", **options)

    assert raised.value.param == param


def test_plain_json_does_not_tell_speakers(client: OpenAI, clip: Clip) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        transcribe(client, clip, extra_body={"diarize": "true"})

    assert raised.value.param == "diarize"


def test_the_text_comes_though_speakers_cannot_be_told(client: OpenAI, clip: Clip) -> None:
    """This server was given no diarizer."""
    told = transcribe(client, clip, response_format="diarized_json")

    assert {segment.speaker for segment in told.segments} == {"?"}
    assert words(" ".join(segment.text for segment in told.segments)) == words(clip.text)
    assert "Speakers could not be told apart" in told.warning


def test_a_stream_without_speakers_says_why_at_its_end(client: OpenAI, clip: Clip) -> None:
    *_, last = transcribe(client, clip, response_format="diarized_json", stream=True)

    assert "Speakers could not be told apart" in last.warning
    assert last.text.startswith("?: ")


# --- with the real diarizer ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    """A client of a server that can tell speakers apart."""
    with http_server(tmp_path_factory.mktemp("speakers") / "uploads", speakers=True) as running:
        yield openai_client(running)


def said_by(segments: list[Any], truth: list[tuple[float, float, str]]) -> dict[str, set[str]]:
    """Which names each true speaker has in the middle of their turns."""
    found: dict[str, set[str]] = {}
    for start, end, speaker in truth:
        middle = (start + end) / 2
        found.setdefault(speaker, set()).update(s.speaker for s in segments if s.start <= middle < s.end)
    return found


def test_two_voices(telling: OpenAI) -> None:
    samples, truth = voices.conversation("anna", "ben", "anna", "ben")
    ask: dict[str, Any] = {
        "file": ("talk.wav", voices.wav(samples)),
        "model": "gpt-4o-transcribe-diarize",
        "language": "en",
        "response_format": "diarized_json",
    }
    nameless = telling.audio.transcriptions.create(**ask)
    known = {
        "known_speaker_names": ["Ben"],
        "known_speaker_references": ["data:audio/wav;base64," + base64.b64encode(voices.reference("ben")).decode()],
    }
    *events, done = telling.audio.transcriptions.create(**ask, **known, stream=True)
    segments = [e for e in events if isinstance(e, TranscriptionTextSegmentEvent)]

    assert said_by(nameless.segments, truth) == {"anna": {"A"}, "ben": {"B"}}
    assert re.fullmatch(r"A: .+\nB: .+\nA: .+\nB: .+", nameless.text)
    assert said_by(segments, truth) == {"anna": {"A"}, "ben": {"Ben"}}
    assert re.fullmatch(r"A: .+\nBen: .+\nA: .+\nBen: .+", done.text)
    assert "".join(e.delta for e in events if isinstance(e, TranscriptionTextDeltaEvent)) == done.text


def test_silence_has_no_speakers(telling: OpenAI) -> None:
    result = telling.audio.transcriptions.create(
        file=silence(2), model="gpt-4o-transcribe-diarize", response_format="diarized_json"
    )

    assert (result.text, result.segments) == ("", [])


def test_a_reference_that_is_of_no_use(telling: OpenAI, clip: Clip) -> None:
    nobody = "data:audio/wav;base64," + base64.b64encode(silence(4)[1]).decode()
    with pytest.raises(openai.BadRequestError) as raised:
        transcribe(
            telling,
            clip,
            response_format="diarized_json",
            known_speaker_names=["Eve"],
            known_speaker_references=[nobody],
        )

    assert (raised.value.param, raised.value.code) == ("known_speaker_references", "bad_reference")
    assert "'Eve'" in raised.value.message
