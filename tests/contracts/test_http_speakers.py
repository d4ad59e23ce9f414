"""Speakers through the native door: real server, real models, voices that are far apart."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.http_server import http_server
from tests.support.voices import conversation, reference, wav

SAMPLES, TRUTH = conversation("anna", "ben", "anna", "ben")
FILE = {"file": wav(SAMPLES)}
STEADY = {"language": "en", "temperature": "0.0,0.0"}
"""Without sampling, so that the same audio gives the same text."""


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("uploads")
    with http_server(folder, speakers=True) as server, httpx.Client(base_url=server.url, timeout=90) as client:
        yield client


def data_url(speaker: str) -> str:
    return "data:audio/wav;base64," + base64.b64encode(reference(speaker)).decode()


def test_segments_have_speakers_and_the_text_is_the_same(http: httpx.Client) -> None:
    plain = http.post("/transcribe", files=FILE, data=STEADY).json()
    told = http.post("/transcribe", files=FILE, data={**STEADY, "diarize": "true"}).json()

    assert "".join(s["text"] for s in told["segments"]) == "".join(s["text"] for s in plain["segments"])
    assert "speaker" not in plain["segments"][0]
    assert "words" not in told["segments"][0], "they were not asked for"
    assert told["speakers"] == ["SPEAKER_00", "SPEAKER_01"]
    assert "warning" not in told
    for segment in told["segments"]:
        middle = (segment["start"] + segment["end"]) / 2
        who = next((name for start, end, name in TRUTH if start <= middle < end), None)
        assert who is None or segment["speaker"] == {"anna": "SPEAKER_00", "ben": "SPEAKER_01"}[who]
    assert [t["speaker"] for t in told["turns"]] == ["SPEAKER_00", "SPEAKER_01"] * 2


def test_names_stand_in_text_and_subtitles(http: httpx.Client) -> None:
    known = {"known_speaker_names[]": "Ben", "known_speaker_references[]": data_url("ben")}
    text = http.post("/transcribe", files=FILE, data={**STEADY, **known, "format": "txt"}).text
    srt = http.post("/transcribe", files=FILE, data={**STEADY, "diarize": "true", "format": "srt"}).text

    assert {line.split("]")[0] for line in text.splitlines()} == {"[SPEAKER_00", "[Ben"}
    assert "\n[SPEAKER_01] " in srt


def test_the_stream_ends_with_the_speakers(http: httpx.Client) -> None:
    headers = {"Accept": "application/x-ndjson"}
    answer = http.post("/transcribe", files=FILE, data={**STEADY, "num_speakers": "2", "diarize": "1"}, headers=headers)
    lines = [json.loads(line) for line in answer.text.splitlines()]

    assert lines[-1]["type"] == "done"
    assert lines[-1]["speakers"] == ["SPEAKER_00", "SPEAKER_01"]
    assert "diarizing" in {line.get("stage") for line in lines if line["type"] == "progress"}


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"num_speakers": "2"}, "num_speakers", "needs diarize=true"),
        ({"diarize": "true", "num_speakers": "0"}, "num_speakers", "from 1 to 20"),
        ({"diarize": "true", "min_speakers": "3", "max_speakers": "2"}, "min_speakers", "more than max_speakers"),
        ({"known_speaker_names[]": "Ben"}, "known_speaker_references", "1 names and 0 references"),
        (
            {"known_speaker_names[]": "Ben", "known_speaker_references[]": "http://x/a.wav"},
            "known_speaker_references",
            "base64",
        ),
        (
            {"known_speaker_names[]": "Ben", "known_speaker_references[]": "data:audio/wav;base64,AAAA"},
            "known_speaker_references",
            "'Ben' cannot be read",
        ),
    ],
)
def test_options_that_make_no_sense_are_named(
    http: httpx.Client, fields: dict[str, str], param: str, says: str
) -> None:
    answer = http.post("/transcribe", files=FILE, data=fields)

    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["param"], says in error["message"]) == (param, True), error


def test_without_speakers_the_text_comes_with_a_warning(tmp_path: Path) -> None:
    with http_server(tmp_path) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        told = client.post("/transcribe", files=FILE, data={"diarize": "true", "language": "en"}).json()

    assert told["segments"]
    assert {s["speaker"] for s in told["segments"]} == {None}
    assert told["turns"] == []
    assert "Speakers could not be told apart" in told["warning"]
