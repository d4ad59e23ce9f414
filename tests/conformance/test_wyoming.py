"""The Wyoming protocol: its own package's client, as Home Assistant uses it, with the real server; then raw sockets."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.clips import Clip, clips, words
from tests.support.live_server import pcm16
from tests.support.packages import python_environment
from tests.support.running_server import RunningServer, free_ports, running_server

pytestmark = pytest.mark.timeout(240)

CLIENT = Path(__file__).parent / "clients" / "wyoming_client.py"


@dataclass(frozen=True)
class Wyoming:
    port: int
    server: RunningServer


@pytest.fixture(scope="module")
def wyoming() -> Iterator[Wyoming]:
    (port,) = free_ports(1)
    with running_server("--wyoming-port", str(port), API_KEY="a key") as server:
        yield Wyoming(port, server)
        assert "Traceback" not in server.log.read_text()


def run_client(wyoming: Wyoming, *steps: list[Any]) -> list[dict[str, Any]]:
    """What the package's client heard."""
    python = python_environment("wyoming", "wyoming==1.10.2")
    call = json.dumps({"port": wyoming.port, "steps": steps})
    ran = subprocess.run([python, CLIENT], input=call, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr
    heard: list[dict[str, Any]] = json.loads(ran.stdout)
    return heard


def samples_file(folder: Path, clip: Clip) -> str:
    path = folder / f"{clip.path.stem}.pcm"
    path.write_bytes(pcm16(clip.samples()))
    return str(path)


def frame(type: str, data: dict[str, Any] | None = None, payload: bytes = b"") -> bytes:
    line: dict[str, Any] = {"type": type, "data": data or {}}
    if payload:
        line["payload_length"] = len(payload)
    return json.dumps(line).encode() + b"\n" + payload


FORMAT = {"rate": 16000, "width": 2, "channels": 1}


class Raw:
    """A connection that says what it likes."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def event(self) -> dict[str, Any] | None:
        """The next event with its data; None at the end."""
        line = self.file.readline()
        if not line:
            return None
        values = json.loads(line)
        data = json.loads(self.file.read(values["data_length"])) if values.get("data_length") else {}
        return {"type": values["type"], **data}

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@pytest.fixture
def raw(wyoming: Wyoming) -> Iterator[Raw]:
    connection = Raw(wyoming.port)
    yield connection
    connection.close()


def test_describe(wyoming: Wyoming) -> None:
    (info,) = run_client(wyoming, ["describe"], ["until", "info"])
    (program,) = info["asr"]

    assert program["supports_transcript_streaming"] is True
    assert program["models"][0]["name"] == "digits"
    assert {"en", "de"} <= set(program["models"][0]["languages"])
    assert program["installed"] and all(m["installed"] for m in program["models"])


@pytest.mark.parametrize("language", ["en", "en-US", None])
def test_a_command_as_home_assistant_sends_it(wyoming: Wyoming, tmp_path: Path, language: str | None) -> None:
    clip = next(c for c in clips("en") if c.path.stem == "en-05")
    audio = samples_file(tmp_path, clip)
    heard = run_client(
        wyoming, ["transcribe", {"language": language}], ["audio", audio, 16000, 2048], ["until", "transcript-stop"]
    )

    assert [e["type"] for e in heard] == ["transcript-start", "transcript-chunk", "transcript", "transcript-stop"]
    assert words(heard[2]["text"]) == words(clip.text)
    assert heard[2]["language"] == heard[0]["language"] == "en"


def test_chunks_join_to_the_transcript(wyoming: Wyoming, tmp_path: Path) -> None:
    talk = next(c for c in clips("en", conversations=True) if c.duration_s < 30)
    heard = run_client(wyoming, ["audio", samples_file(tmp_path, talk), 16000, 3200], ["until", "transcript"])
    chunks = [e["text"] for e in heard if e["type"] == "transcript-chunk"]

    assert len(chunks) > 1
    assert "".join(chunks) == heard[-1]["text"] != ""


def test_several_transcripts_on_one_connection(wyoming: Wyoming, tmp_path: Path) -> None:
    english, german = next(c for c in clips("en") if c.path.stem == "en-05"), clips("de")[0]
    heard = run_client(
        wyoming,
        ["ping", "first"],
        ["transcribe", {"language": "en"}],
        ["audio", samples_file(tmp_path, english), 16000, 2048],
        # Before the transcript is there:
        ["transcribe", {"language": "de", "name": "digits", "transcript_terms": []}],
        ["audio", samples_file(tmp_path, german), 16000, 2048],
        ["until", "transcript-stop"],
        ["until", "transcript-stop"],
        ["describe"],
        ["ping", "last"],
        ["until", "pong"],
    )
    transcripts = [e for e in heard if e["type"] == "transcript"]

    assert [words(t["text"]) for t in transcripts] == [words(english.text), words(german.text)]
    assert [t["language"] for t in transcripts] == ["en", "de"]
    assert (heard[0]["text"], heard[-1]["text"], heard[-2]["type"]) == ("first", "last", "info")


def test_terms_and_sensitivity(wyoming: Wyoming, tmp_path: Path) -> None:
    clip = next(c for c in clips("en") if c.path.stem == "en-05")
    options = {"transcript_names": ["six"], "transcript_terms": ["nine"], "vad_sensitivity": "relaxed", "context": {}}
    heard = run_client(
        wyoming, ["transcribe", options], ["audio", samples_file(tmp_path, clip), 16000, 2048], ["until", "transcript"]
    )

    # A prime may sway a model this small, so only most of the words are asked for.
    assert len(set(words(heard[-1]["text"])) & set(words(clip.text))) >= 2


def test_another_rate(raw: Raw) -> None:
    clip = next(c for c in clips("en") if c.path.stem == "en-05")
    data = {"rate": 8000, "width": 2, "channels": 2}
    halved = pcm16(clip.samples()[::2].repeat(2))
    # Without audio-start, chunks say what they are; everything in one write, cut anywhere by the network.
    raw.send(frame("transcribe", {"language": "en"}) + frame("audio-chunk", data, halved) + frame("audio-stop"))

    types = [(event := raw.event() or {}).get("type") for _ in range(3)]
    assert types == ["transcript-start", "transcript-chunk", "transcript"]
    assert len(set(words(event["text"])) & set(words(clip.text))) >= 3


def test_silence_is_an_empty_transcript(raw: Raw) -> None:
    raw.send(frame("audio-start", FORMAT) + frame("audio-chunk", FORMAT, bytes(32_000)) + frame("audio-stop"))
    assert [(raw.event() or {}).get("type") for _ in range(3)] == ["transcript-start", "transcript", "transcript-stop"]
    raw.send(frame("audio-stop"))
    assert raw.event() == {"type": "transcript-start"}
    assert raw.event() == {"type": "transcript", "text": ""}


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (frame("audio-start", {**FORMAT, "width": 4}), "unsupported_audio"),
        (frame("audio-start", {"rate": "fast"}), "unsupported_audio"),
        (frame("audio-start", {**FORMAT, "rate": 1}), "unsupported_audio"),
        (frame("audio-start", {**FORMAT, "channels": 99}), "unsupported_audio"),
        (frame("audio-chunk", {}, b"ab"), "unsupported_audio"),
        (frame("audio-start", FORMAT) * 2, "wrong_order"),
        (frame("audio-start", FORMAT) + frame("transcribe"), "wrong_order"),
        (frame("audio-start", FORMAT) + frame("audio-chunk", {**FORMAT, "rate": 8000}, b"ab"), "wrong_order"),
        (frame("transcribe", {"language": "klingon"}), "unknown_language"),
        (frame("transcribe", {"language": 7}), "bad_option"),
    ],
)
def test_what_makes_no_sense_is_said_and_the_connection_goes_on(raw: Raw, frames: bytes, code: str) -> None:
    raw.send(frame("never-heard-of", {"a": 1}, b"payload") + frames + frame("ping", {"text": "there?"}))

    error, pong = raw.event(), raw.event()
    assert error is not None and error["type"] == "error" and error["code"] == code and error["text"]
    assert pong == {"type": "pong", "text": "there?"}


@pytest.mark.parametrize(
    "broken",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"[]\n",
        b'{"type": 5}\n',
        b'{"type": "ping", "data": []}\n',
        b'{"type": "audio-chunk", "payload_length": -1}\n',
        b'{"type": "audio-chunk", "payload_length": 99999999}\n',
        b'{"type": "audio-chunk", "payload_length": true}\n',
        b'{"type": "describe", "data_length": 2}\n[]',
        b'{"type": "describe", "data_length": 999999999}\n',
        b"x" * 70_000,
        b"\xff\xfe\n",
    ],
)
@pytest.mark.parametrize("begun", [False, True])
def test_what_cannot_be_read_ends_the_connection(raw: Raw, broken: bytes, begun: bool) -> None:
    raw.send((frame("audio-start", FORMAT) + frame("audio-chunk", FORMAT, bytes(3200)) if begun else b"") + broken)

    error = raw.event()
    assert error is not None and (error["type"], error["code"]) == ("error", "bad_frame")
    assert raw.event() is None


def test_a_model_that_is_not_there(raw: Raw) -> None:
    raw.send(frame("transcribe", {"name": "no-such-model"}) + frame("audio-start", FORMAT))

    assert (raw.event() or {})["type"] == "error"
    assert raw.event() is None


def test_clients_that_leave_early(wyoming: Wyoming) -> None:
    for cut in (b"", frame("audio-start", FORMAT), frame("audio-start", FORMAT) + b'{"type": "audio-ch'):
        connection = Raw(wyoming.port)
        connection.send(cut)
        connection.close()
    until = time.monotonic() + 20
    while wyoming.server.health()["live_sessions"] and time.monotonic() < until:
        time.sleep(0.05)

    assert wyoming.server.health()["live_sessions"] == 0
    connection = Raw(wyoming.port)
    connection.send(frame("ping"))
    assert (connection.event() or {})["type"] == "pong"
    connection.close()


def test_an_operator_is_told_that_no_key_is_asked_for(wyoming: Wyoming) -> None:
    assert "knows no API keys" in wyoming.server.log.read_text()
