"""Who speaks live: real sockets, the real models, voices that are far apart."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from tests.support.live_server import Conversation, LiveServer, listen, live_server, messages, pcm16, say
from tests.support.voices import conversation, reference
from whisperlive_hybrid.diarization.diarizer import Diarizer, DiarizerOptions
from whisperlive_hybrid.errors import Unavailable

pytestmark = pytest.mark.asyncio(loop_scope="module")

EN = "codec=pcm_s16le&language=en&interim=false"
SPOKEN = ("anna", "ben", "anna", "ben", "ben", "anna")
SAMPLES, TRUTH = conversation(*SPOKEN, pause_s=0.8)
AUDIO = messages(pcm16(SAMPLES))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[LiveServer]:
    async with Diarizer(DiarizerOptions(device="cpu")) as diarizer:
        await diarizer.warm()
        async with live_server(listener=diarizer) as running:
            yield running


def speakers(said: Conversation) -> dict[int, str | None]:
    """Who a client takes each segment for, corrections included."""
    names: dict[int, str | None] = {}
    for event in said.of("speaker"):
        names[event["segment"]] = event["speaker"]
        names.update({part["segment"]: part["speaker"] for part in event.get("also", [])})
    return names


def by_truth(said: Conversation) -> dict[str, set[str | None]]:
    """The labels that each true speaker's segments have."""
    names, found = speakers(said), dict[str, set[str | None]]()
    for final in said.of("final"):
        middle = (final["start"] + final["end"]) / 2
        speaker = next(name for start, end, name in TRUTH if start <= middle < end)
        found.setdefault(speaker, set()).add(names[final["segment"]])
    return found


async def test_segments_get_their_speakers_behind_their_finals(server: LiveServer) -> None:
    said = await say(server.url, AUDIO, f"{EN}&diarize=true")

    assert said.events[0]["settings"]["diarize"] is True
    assert by_truth(said) == {"anna": {"SPEAKER_00"}, "ben": {"SPEAKER_01"}}
    kinds = [(e["type"], e["segment"]) for e in said.events if e["type"] in ("final", "speaker")]
    assert all(kinds.index(("final", n)) < kinds.index(("speaker", n)) for n in speakers(said))
    assert said.events[-1]["type"] == "done", "it waits for the last speaker"
    assert said.close_code == 1000


async def test_text_is_the_same_with_and_without_speakers(server: LiveServer) -> None:
    texts = []
    for diarize in ("false", "true"):
        texts.append(await say(server.url, AUDIO, f"{EN}&diarize={diarize}"))

    assert texts[0].finals == texts[1].finals
    assert texts[0].of("speaker") == []
    assert not {"torch", "pyannote.audio"} & set(sys.modules)


async def test_known_speakers_have_their_names(server: LiveServer) -> None:
    known = [{"name": "Ben", "audio": base64.b64encode(reference("ben")).decode()}]
    start = {"type": "start", "codec": "pcm_s16le", "language": "en", "interim": False, "known_speakers": known}
    async with connect(f"{server.url}/ws/stream") as socket:
        await socket.send(json.dumps(start))
        for message in AUDIO:
            await socket.send(message)
        await socket.send('{"type":"stop"}')
        said = await listen(socket)

    assert said.events[0]["settings"]["known_speakers"] == ["Ben"]
    assert by_truth(said) == {"anna": {"SPEAKER_00"}, "ben": {"Ben"}}


@pytest.mark.parametrize(
    ("known", "says"),
    [
        ("nobody", "a list of at most 4"),
        ([{"name": "Eve"}], "a list of at most 4"),
        ([{"name": "Eve", "audio": "%%"}], "not base64"),
        ([{"name": "Eve", "audio": base64.b64encode(b"no audio").decode()}], "'Eve' cannot be read"),
    ],
)
async def test_known_speakers_that_are_of_no_use(server: LiveServer, known: object, says: str) -> None:
    async with connect(f"{server.url}/ws/stream") as socket:
        await socket.send(json.dumps({"type": "start", "codec": "pcm_s16le", "known_speakers": known}))
        said = await listen(socket)

    (error,) = said.of("error")
    assert says in error["message"]
    assert error["fatal"] is True


async def test_without_a_diarizer_the_client_is_told() -> None:
    async with live_server() as plain:
        said = await say(plain.url, AUDIO[:8], f"{EN}&diarize=true")

    assert said.events[0]["settings"]["diarize"] is False
    assert said.of("speaker") == []
    assert said.finals


async def test_where_speakers_fail_the_text_comes_and_the_reason_once() -> None:
    async with Diarizer(DiarizerOptions(device="cuda:9")) as diarizer, live_server(listener=diarizer) as broken:
        with pytest.raises(Unavailable):
            await diarizer.warm()
        said = await asyncio.wait_for(say(broken.url, AUDIO, f"{EN}&diarize=true"), 60)

    assert len(said.finals) >= 5
    (error,) = said.of("error")
    assert error["fatal"] is False
    assert "DIARIZATION_DEVICE=cuda:9" in error["message"]
    assert set(speakers(said).values()) == {None}
    assert said.close_code == 1000


async def test_whisperlives_clients_see_speakers_in_completed_segments(server: LiveServer) -> None:
    config = {"uid": "a", "language": "en", "task": "transcribe", "model": "small", "enable_diarization": True}
    names: dict[str, set[str]] = {}
    async with connect(f"{server.url}/", max_size=None) as socket:
        await socket.send(json.dumps(config))
        async for message in socket:
            if json.loads(message).get("message") == "SERVER_READY":
                break
        for i in range(0, len(SAMPLES), 4096):
            await socket.send(SAMPLES[i : i + 4096].tobytes())
        await socket.send(b"END_OF_AUDIO")
        async for message in socket:
            for segment in json.loads(message).get("segments", []):
                middle = (float(segment["start"]) + float(segment["end"])) / 2
                who = next((name for start, end, name in TRUTH if start <= middle < end), None)
                if segment["completed"] and who is not None and "speaker" in segment:
                    names.setdefault(who, set()).add(segment["speaker"])

    assert names == {"anna": {"SPEAKER_00"}, "ben": {"SPEAKER_01"}}
