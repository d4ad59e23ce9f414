"""Deepgram's own Python client, unmodified, for live audio on both ports of the real server; then sockets by hand."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.conformance.test_deepgram_files import g711, run_client
from tests.support.clips import Clip, clips, words
from tests.support.encoded_audio import mux, opus_packets
from tests.support.live_server import messages, pcm16
from tests.support.running_server import RunningServer, running_server
from tests.support.voices import conversation, wav

pytestmark = pytest.mark.timeout(240)

CODECS = {"ogg": "libopus", "webm": "libopus", "wav": "pcm_s16le"}
LINEAR = {"encoding": "linear16", "sample_rate": "16000"}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(API_KEY="right") as running:
        yield running
        assert "Traceback" not in running.log.read_text()


def pcm_file(folder: Path, clip: Clip, *, silence_s: float = 0.0) -> str:
    path = folder / "a.pcm"
    path.write_bytes(pcm16(clip.samples()) + bytes(round(silence_s * 16_000) * 2))
    return str(path)


def live(server: RunningServer, path: str, *, port: str = "live", **given: Any) -> Any:
    """What the client was told, or its error."""
    sockets = {"live": server.live_url, "http": server.http_url.replace("http://", "ws://")}
    call = {"http": server.http_url, "socket": sockets[port], "key": "right", "call": "live", "path": path}
    call |= {"then": ["CloseStream"], "pace": 0.0, "message_bytes": 3200, **given}
    said = run_client(**call)
    return said.get("result", said.get("error"))


def of(heard: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [m for m in heard if m["type"] == kind]


def finals(heard: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [m for m in of(heard, "Results") if m["is_final"]]


def transcript(heard: list[dict[str, Any]]) -> str:
    return " ".join(m["channel"]["alternatives"][0]["transcript"] for m in finals(heard))


@pytest.mark.parametrize("call", ["live", "live_async"])
@pytest.mark.parametrize("port", ["live", "http"])
def test_a_stream_as_it_is_spoken(server: RunningServer, clip: Clip, tmp_path: Path, call: str, port: str) -> None:
    options = {
        **LINEAR,
        "model": "nova-3",
        "language": "en",
        "punctuate": True,
        "interim_results": True,
        "vad_events": True,
        "utterance_end_ms": "1000",
        "endpointing": "300",
        "tag": "t",
    }
    path = pcm_file(tmp_path, clip, silence_s=1.5)
    heard = live(server, path, port=port, call=call, options=options, pace=0.1)
    kinds = {(m["type"], m["class"]) for m in heard}
    (metadata,) = of(heard, "Metadata")
    (final,) = [m for m in finals(heard) if m["speech_final"]]
    (alternative,) = final["channel"]["alternatives"]

    assert kinds == {
        ("Results", "ListenV1Results"),
        ("SpeechStarted", "ListenV1SpeechStarted"),
        ("UtteranceEnd", "ListenV1UtteranceEnd"),
        ("Metadata", "ListenV1Metadata"),
    }
    assert alternative["transcript"] == clip.text
    assert [w["word"] for w in alternative["words"]] == words(clip.text)
    assert " ".join(w["punctuated_word"] for w in alternative["words"]) == clip.text
    assert 0 < alternative["confidence"] <= 1
    interim = [m for m in of(heard, "Results") if not m["is_final"]]
    assert interim and all(m["channel"]["alternatives"][0]["words"] for m in interim)
    # Deepgram's order: it is spoken, guessed, final, then silent; the summary is the last.
    order = [m["type"] + str(m.get("is_final", "")) for m in heard]
    assert [order.index(k) for k in ("SpeechStarted", "ResultsFalse", "ResultsTrue", "UtteranceEnd", "Metadata")] == (
        sorted(order.index(k) for k in ("SpeechStarted", "ResultsFalse", "ResultsTrue", "UtteranceEnd", "Metadata"))
    )
    assert heard[-1] is metadata
    assert of(heard, "UtteranceEnd")[0]["last_word_end"] == alternative["words"][-1]["end"]
    assert metadata["sha256"] == hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert metadata["duration"] == pytest.approx(clip.duration_s + 1.5, abs=0.05)
    assert metadata["request_id"] == final["metadata"]["request_id"]


def test_a_talk_without_options(server: RunningServer, tmp_path: Path) -> None:
    talk = next(c for c in clips("en", conversations=True) if c.duration_s < 30)
    heard = live(server, pcm_file(tmp_path, talk), options={**LINEAR, "model": "digits"})

    assert {m["type"] for m in heard} == {"Results", "Metadata"}
    assert all(m["is_final"] for m in of(heard, "Results"))
    assert len(finals(heard)) > 2
    starts = [m["start"] for m in finals(heard)]
    assert starts == sorted(starts)
    missed = len(words(talk.text)) - sum(w in words(talk.text) for w in words(transcript(heard)))
    assert abs(missed) <= 2


def test_speakers(server: RunningServer, tmp_path: Path) -> None:
    samples, truth = conversation("anna", "ben", "anna", "ben", pause_s=1.2)
    path = tmp_path / "a.pcm"
    path.write_bytes(pcm16(samples))
    # The first question starts the process that hears voices, which may take longer than a stream waits for.
    httpx.post(
        f"{server.http_url}/v1/listen?diarize=true",
        content=wav(samples),
        headers={"Authorization": "Token right"},
        timeout=120,
    ).raise_for_status()
    options = {**LINEAR, "model": "digits", "language": "en", "diarize": True}
    heard = live(server, str(path), options=options, pace=0.02)
    spoken = [w for m in finals(heard) for w in m["channel"]["alternatives"][0]["words"]]

    numbers: dict[str, set[int | None]] = {"anna": set(), "ben": set()}
    for start, end, voice in truth:
        numbers[voice] |= {w.get("speaker") for w in spoken if start <= (w["start"] + w["end"]) / 2 <= end}
    assert numbers["anna"] == {0}
    assert numbers["ben"] - {None} == {1}, "a voice that was heard for two seconds may not have its number yet"
    assert "warnings" not in of(heard, "Metadata")[0]
    assert heard[-1]["type"] == "Metadata"


def test_finalize_and_keep_alive(server: RunningServer, clip: Clip, tmp_path: Path) -> None:
    then = ["KeepAlive", "Finalize", "Finalize", "KeepAlive", "CloseStream"]
    heard = live(server, pcm_file(tmp_path, clip), options={**LINEAR, "model": "nova-2"}, then=then)
    finalized = [m for m in of(heard, "Results") if m["from_finalize"]]

    assert len(finalized) == 2
    assert words(transcript(heard)) == words(clip.text)


@pytest.mark.parametrize("encoding", ["linear32", "mulaw", "alaw"])
def test_encodings_of_samples(server: RunningServer, clip: Clip, tmp_path: Path, encoding: str) -> None:
    pcm = pcm16(clip.samples())
    data = clip.samples().astype("<f4").tobytes() if encoding == "linear32" else g711(pcm, f"pcm_{encoding}")
    (tmp_path / "a").write_bytes(data)
    options = {"model": "nova-3", "encoding": encoding, "sample_rate": "16000", "language": "en"}

    assert words(transcript(live(server, str(tmp_path / "a"), options=options))) == words(clip.text)


@pytest.mark.parametrize("container", ["ogg", "webm", "wav"])
def test_containers_need_no_encoding(server: RunningServer, clip: Clip, tmp_path: Path, container: str) -> None:
    (tmp_path / "a").write_bytes(mux(clip.samples(), container, CODECS[container], rate=16_000))
    options = {"model": "nova-3", "language": "en", "utterance_end_ms": "1000"}
    heard = live(server, str(tmp_path / "a"), options=options)

    assert words(transcript(heard)) == words(clip.text)
    assert len(of(heard, "UtteranceEnd")) == 1


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"key": "wrong"}, 401),
        ({"options": {"model": "nova-3", "encoding": "flac"}}, 400),
        ({"options": {"model": "nova-3", "redact": "pci"}}, 400),
        ({"options": {"model": "nova-3", "multichannel": True, "channels": "2"}}, 400),
    ],
)
@pytest.mark.parametrize("port", ["live", "http"])
def test_handshakes_that_are_refused(
    server: RunningServer, tmp_path: Path, given: dict[str, Any], status: int, port: str
) -> None:
    (tmp_path / "a").write_bytes(bytes(3200))
    error = live(server, str(tmp_path / "a"), port=port, **{"options": {"model": "nova-3"}, **given})

    assert error["class"] in ("ApiError", "InvalidStatus")
    assert error["status"] == status


# --- by hand -------------------------------------------------------------------------------------------------------


def address(server: RunningServer, port: str = "live", **query: str) -> str:
    base = server.live_url if port == "live" else server.http_url.replace("http://", "ws://")
    return f"{base}/v1/listen?" + "&".join(f"{k}={v}" for k, v in query.items())


KEY = {"Authorization": "Token right"}


async def converse(url: str, *send: str | bytes) -> tuple[list[dict[str, Any]], int | None]:
    """Everything that was told, and the close code."""
    heard: list[dict[str, Any]] = []
    async with connect(url, additional_headers=KEY, max_size=None) as socket:
        try:
            for message in send:
                await socket.send(message)
            async with asyncio.timeout(60):
                async for message in socket:
                    heard.append(json.loads(message))
        except ConnectionClosed:
            pass
        return heard, socket.close_code


CLOSE = '{"type":"CloseStream"}'


async def test_opus_packets(server: RunningServer, clip: Clip) -> None:
    packets = opus_packets(clip.samples(), rate=16_000)
    heard, code = await converse(address(server, encoding="opus", language="en"), *packets, CLOSE)

    assert words(transcript(heard)) == words(clip.text)
    assert code == 1000


@pytest.mark.parametrize("port", ["live", "http"])
async def test_the_body_of_a_refusal(server: RunningServer, port: str) -> None:
    for query, headers, status in (
        ({"encoding": "flac"}, KEY, 400),
        ({}, {"Authorization": "Token wrong"}, 401),
        ({}, {}, 401),
        ({}, KEY | {"Origin": "https://evil.example"}, 403),
    ):
        with pytest.raises(InvalidStatus) as raised:
            await connect(address(server, port, **query), additional_headers=headers)
        response = raised.value.response
        body = json.loads(response.body or b"")
        assert response.status_code == status
        assert body.keys() == {"err_code", "err_msg", "request_id"}
        assert response.headers["dg-error"] == body["err_msg"]
        assert response.headers["dg-request-id"] == body["request_id"]


@pytest.mark.parametrize("port", ["live", "http"])
async def test_a_slash_at_the_end_does_no_harm(server: RunningServer, clip: Clip, port: str) -> None:
    heard, code = await converse(
        address(server, port, **LINEAR).replace("?", "/?"), pcm16(clip.samples()), '{"type":"CloseStream"}'
    )
    assert (words(transcript(heard)), code) == (words(clip.text), 1000)
    with pytest.raises(InvalidStatus) as raised:
        await connect(address(server, port).replace("?", "/?"))
    assert raised.value.response.headers["dg-error"]


@pytest.mark.parametrize("port", ["live", "http"])
async def test_a_key_as_browsers_send_it(server: RunningServer, port: str) -> None:
    async with connect(address(server, port, **LINEAR), subprotocols=["token", "right"]) as socket:  # type: ignore[list-item]
        assert socket.subprotocol == "token"
        await socket.send(CLOSE)
        assert json.loads(await socket.recv())["type"] == "Metadata"


async def test_what_is_no_audio_ends_with_1008(server: RunningServer) -> None:
    heard, code = await converse(address(server), b"%PDF-1.7" * 99)

    assert [m["type"] for m in heard] == ["Error"]
    assert code == 1008


async def test_a_model_that_is_not_there(server: RunningServer) -> None:
    heard, code = await converse(address(server, model="no-such-model", **LINEAR), bytes(3200))

    assert (heard[0]["type"], code) == ("Error", 1008)


async def test_messages_that_make_no_sense_do_not_end_the_stream(server: RunningServer, clip: Clip) -> None:
    audio = messages(pcm16(clip.samples()))
    wrong = ["", "{", '{"type":"Speak"}', '{"type":"Configure","keyterms":["x"]}', "[" * 9999]
    heard, code = await converse(address(server, language="en", **LINEAR), *wrong, *audio, *wrong, CLOSE)

    assert len(of(heard, "Error")) == 8 and len(of(heard, "ConfigureFailure")) == 2
    assert words(transcript(heard)) == words(clip.text)
    assert code == 1000


async def test_the_end_as_older_clients_write_it(server: RunningServer, clip: Clip) -> None:
    audio = messages(pcm16(clip.samples()))
    heard, code = await converse(address(server, language="en", **LINEAR), *audio, b"")

    assert words(transcript(heard)) == words(clip.text)
    assert (heard[-1]["type"], code) == ("Metadata", 1000)


async def test_silence_and_nothing_at_all(server: RunningServer) -> None:
    silent, _ = await converse(address(server, **LINEAR), bytes(32_000), CLOSE)
    nothing, _ = await converse(address(server, **LINEAR), CLOSE)

    assert [m["type"] for m in silent] == [m["type"] for m in nothing] == ["Metadata"]
    assert (silent[0]["duration"], nothing[0]["duration"]) == (1.0, 0.0)


async def test_clients_that_leave_early(server: RunningServer) -> None:
    for sent in ([], [bytes(3200)], ['{"type":"Finalize"}']):
        async with connect(address(server, **LINEAR), additional_headers=KEY) as socket:
            for message in sent:
                await socket.send(message)
            socket.transport.abort()
    for _ in range(400):
        if server.health()["live_sessions"] == 0:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("sessions of clients that left are still held")
