"""WhisperLive's `enable_diarization` on the real server: segments get their speakers, known ones their names."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.asyncio.client import connect

from tests.support.running_server import RunningServer, running_server
from tests.support.voices import conversation, reference

pytestmark = pytest.mark.timeout(180)

CONFIG = {"uid": "u", "language": "en", "task": "transcribe", "model": "digits", "enable_diarization": True}
SAID = ("anna", "ben", "anna", "ben")


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server() as running:
        yield running


async def segments_of(
    server: RunningServer, **config: Any
) -> tuple[list[dict[str, Any]], list[tuple[float, float, str]]]:
    """Each completed segment as it was sent last, and who spoke when."""
    samples, truth = conversation(*SAID, pause_s=1.2)
    data = samples.astype("<f4").tobytes()
    last: dict[tuple[str, str], dict[str, Any]] = {}
    async with asyncio.timeout(120), connect(server.live_url, max_size=None) as socket:
        await socket.send(json.dumps({**CONFIG, **config}))
        assert "SERVER_READY" in str(await socket.recv()), "no warning comes first: speakers are told apart here"

        async def speak() -> None:
            for i in range(0, len(data), 32_000):
                await socket.send(data[i : i + 32_000])
                await asyncio.sleep(0.25)
            await socket.send(b"END_OF_AUDIO")

        speaking = asyncio.create_task(speak())
        async for message in socket:
            for segment in json.loads(message).get("segments", ()):
                if segment["completed"]:
                    last[segment["start"], segment["end"]] = segment
        await speaking
    return list(last.values()), truth


def speakers_by_voice(
    segments: list[dict[str, Any]], truth: list[tuple[float, float, str]]
) -> dict[str, set[str | None]]:
    """Which labels each voice's segments have."""
    found: dict[str, set[str | None]] = {}
    for start, end, voice in truth:
        for segment in segments:
            if start <= (float(segment["start"]) + float(segment["end"])) / 2 <= end:
                found.setdefault(voice, set()).add(segment.get("speaker"))
    return found


async def test_completed_segments_get_their_speakers(server: RunningServer) -> None:
    segments, truth = await segments_of(server, max_speakers=2)
    assert speakers_by_voice(segments, truth) == {"anna": {"SPEAKER_00"}, "ben": {"SPEAKER_01"}}
    assert all(list(segment) == ["start", "end", "text", "completed", "speaker"] for segment in segments)


async def test_known_speakers_are_called_by_their_names(server: RunningServer) -> None:
    known = [{"name": "Ben", "audio_base64": base64.b64encode(reference("ben")).decode()}]
    segments, truth = await segments_of(server, known_speakers=known)
    assert speakers_by_voice(segments, truth)["ben"] == {"Ben"}
    assert "Ben" not in speakers_by_voice(segments, truth)["anna"]
