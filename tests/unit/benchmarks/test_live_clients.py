from __future__ import annotations

import asyncio
import json
import time

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve

from benchmarks.live.clients import Hybrid, Refused, WhisperLive, converse
from benchmarks.material import room_tone


async def test_sessions_keep_to_the_schedule_though_the_server_dawdles() -> None:
    async def whisperlive(socket: ServerConnection) -> None:
        hello = json.loads(await socket.recv())
        assert hello["use_vad"] is True
        await socket.send(json.dumps({"uid": hello["uid"], "message": "SERVER_READY", "backend": "faster_whisper"}))
        n = 0
        async for message in socket:
            if message == b"END_OF_AUDIO":
                break
            n += len(message) // 4
        await socket.send(json.dumps({"segments": [{"start": "0", "end": "1", "text": str(n), "completed": True}]}))

    async with serve(whisperlive, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        starts: list[float] = []
        begun = time.monotonic()
        streams = [room_tone(0.6), room_tone(0.5)]
        recordings = await converse(
            WhisperLive(), f"ws://127.0.0.1:{port}", streams, spread_s=0.2, on_start=starts.extend
        )
    assert time.monotonic() - begun >= 0.6
    assert starts[1] - starts[0] == pytest.approx(0.1)
    for recording, stream in zip(recordings, streams, strict=True):
        assert recording.ended
        assert recording.error is None
        assert recording.sent_bytes == 4 * len(stream)
        ((at, message),) = recording.parsed()
        assert message["segments"][0]["text"] == str(len(stream))
        assert at >= len(stream) / 16000


async def test_a_server_that_takes_no_more_sessions_is_told_from_one_that_is_silent() -> None:
    async def full(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send('{"uid":"a","status":"WAIT","message":1.5}')

    async with serve(full, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Refused, match="WAIT"):
            await converse(WhisperLive(), f"ws://127.0.0.1:{port}", [room_tone(0.1)])


async def test_a_session_that_does_not_end_is_given_up() -> None:
    async def deaf(socket: ServerConnection) -> None:
        await socket.send('{"type":"ready"}')
        await asyncio.sleep(10)

    async with serve(deaf, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        (recording,) = await converse(Hybrid(), f"ws://127.0.0.1:{port}", [room_tone(0.1)], patience_s=0.2)
    assert recording.error is not None
    assert "after the goodbye" in recording.error
    assert not recording.ended


def test_messages_hold_the_audio_in_order() -> None:
    samples = room_tone(1.0)
    payloads = Hybrid().payloads(samples)
    assert [len(p) for p in payloads] == [4 * 4096] * 3 + [4 * (16000 - 3 * 4096)]
    assert np.array_equal(np.frombuffer(b"".join(payloads), "<f4"), samples)
    assert len(Hybrid(opus=True, message_s=0.5).payloads(samples)) == 2
