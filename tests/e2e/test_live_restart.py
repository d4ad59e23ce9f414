"""Live sessions over the end of their process: the real server, killed or stopped in the middle of speech."""

from __future__ import annotations

import asyncio
import json
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.clips import Clip, clips, words
from tests.support.encoded_audio import length_prefixed, mux, opus_packets
from tests.support.live_server import listen, messages, pcm16
from tests.support.server_process import ServerProcess
from tests.support.waiting import until


def conversation() -> Clip:
    return min(clips(conversations=True), key=lambda c: c.duration_s)


@dataclass
class Talk:
    """A client that keeps what is not committed, and believes nothing it is not told."""

    audio: list[bytes]
    query: str = "codec=pcm_s16le&language=en"
    events: list[dict[str, Any]] = field(default_factory=list)
    finals: dict[int, dict[str, Any]] = field(default_factory=dict)
    sent: int = 0
    committed: int = 0
    restored: list[bool] = field(default_factory=list)
    close_code: int | None = None
    socket: ClientConnection | None = None
    _listener: asyncio.Task[None] | None = None

    @property
    def ready(self) -> dict[str, Any]:
        return self.events[0]

    @property
    def last_event(self) -> int:
        return int(self.events[-1]["event"])

    @property
    def words(self) -> list[str]:
        return words(" ".join(self.finals[n]["text"] for n in sorted(self.finals)))

    async def start(self, server: ServerProcess) -> None:
        self.socket = await connect(f"{server.live_url}/ws/stream?{self.query}")
        self._take(json.loads(await self.socket.recv()))
        self._listener = asyncio.create_task(self._listen(self.socket))

    async def resume(self, server: ServerProcess) -> None:
        self.socket = await connect(f"{server.live_url}/ws/stream?{self.query}")
        again = {"session": self.ready["session"], "token": self.ready["token"], "last_event": self.last_event}
        await self.socket.send(json.dumps({"type": "resume"} | again))
        resumed = json.loads(await self.socket.recv())
        assert resumed["type"] == "resumed", resumed
        assert self.committed <= resumed["frames"] <= self.sent, "what may be forgotten is never asked for"
        self.sent = resumed["frames"]
        self.restored.append(resumed["restored"])
        self._listener = asyncio.create_task(self._listen(self.socket))

    async def send(self, upto: int, pause_s: float = 0.0) -> None:
        assert self.socket is not None
        while self.sent < upto:
            await self.socket.send(self.audio[self.sent])
            self.sent += 1
            await asyncio.sleep(pause_s)

    async def stop(self) -> None:
        await self.send(len(self.audio))
        assert self.socket is not None
        await self.socket.send('{"type":"stop"}')
        await self.ended()

    async def leave_open(self) -> None:
        """Read no more from the present connection."""
        assert self._listener is not None
        self._listener.cancel()
        await asyncio.gather(self._listener, return_exceptions=True)

    async def ended(self) -> None:
        assert self._listener is not None
        await asyncio.wait_for(self._listener, 30)

    async def _listen(self, socket: ClientConnection) -> None:
        try:
            async for message in socket:
                self._take(json.loads(message))
        except ConnectionClosed:
            pass
        self.close_code = socket.close_code

    def _take(self, event: dict[str, Any]) -> None:
        assert event["type"] == "error" or not self.events or event["event"] > self.last_event
        self.events.append(event)
        if event["type"] == "final":
            assert event["segment"] not in self.finals, "once"
            self.finals[event["segment"]] = event
        if event["type"] == "ack":
            self.committed = event["committed"]


def encoded(clip: Clip, codec: str) -> tuple[list[bytes], str]:
    """The clip as messages, and the query that says how."""
    at_48k = np.interp(np.arange(3 * len(clip.samples())) / 3, np.arange(len(clip.samples())), clip.samples())
    match codec:
        case "pcm_s16le":
            return messages(pcm16(clip.samples())), f"codec={codec}&language=en"
        case "opus":
            return messages(
                length_prefixed(opus_packets(at_48k.astype(np.float32))), 1501
            ), f"codec={codec}&language=en"
        case _:  # recognized by its first bytes, which only the first process sees
            return messages(mux(at_48k.astype(np.float32), "webm", "libopus"), 1501), "language=en"


@pytest.mark.parametrize(
    ("codec", "kills"), [("pcm_s16le", (0.27, 0.53, 0.77)), ("opus", (0.4,)), ("webm-opus", (0.6,))]
)
async def test_a_server_killed_in_the_middle_of_speech_loses_no_word(
    tmp_path: Path, codec: str, kills: tuple[float, ...]
) -> None:
    clip = conversation()
    audio, query = encoded(clip, codec)
    with ServerProcess(tmp_path) as server:
        undisturbed = Talk(audio, query)
        await undisturbed.start(server)
        await undisturbed.stop()
        talk = Talk(audio, query)
        await talk.start(server)
        for part in kills:
            await talk.send(int(part * len(audio)), pause_s=0.02)
            await asyncio.sleep(part)  # more or less of it is told
            server.kill()
            await talk.ended()
            server.start()
            await asyncio.to_thread(server.wait_ready)
            await talk.resume(server)
        await talk.stop()
        assert talk.restored == [True] * len(kills)
        assert (talk.events[-1]["type"], talk.close_code) == ("done", 1000)
        assert talk.words == undisturbed.words == words(clip.text)
        for key in ("segment", "text"):
            assert [f[key] for f in talk.finals.values()] == [f[key] for f in undisturbed.finals.values()]
        for mine, its in zip(talk.finals.values(), undisturbed.finals.values(), strict=True):
            # A new libopus decoder converges within some samples; voice activity may then differ by a frame.
            assert mine["start"] == pytest.approx(its["start"], abs=0.04)
            assert mine["end"] == pytest.approx(its["end"], abs=0.04)
        counts = ("audio", "segments", "words")
        assert [talk.events[-1][n] for n in counts] == [undisturbed.events[-1][n] for n in counts]


async def test_a_server_that_is_stopped_says_so_finishes_what_runs_and_the_next_goes_on(tmp_path: Path) -> None:
    clip = conversation()
    audio, query = encoded(clip, "pcm_s16le")
    with ServerProcess(tmp_path) as server:
        talk = Talk(audio, query)
        await talk.start(server)
        await talk.send(len(audio) // 2, pause_s=0.05)
        began = time.monotonic()
        assert await asyncio.to_thread(server.terminate) == 0
        assert time.monotonic() - began < 20.0
        await talk.ended()
        assert talk.close_code == 1012
        go_away = [e for e in talk.events if e["type"] == "go_away"]
        assert [e["reconnect_within_ms"] > 0 for e in go_away] == [True]
        server.start()
        await asyncio.to_thread(server.wait_ready)
        await talk.resume(server)
        await talk.stop()
        assert talk.restored == [True]
        assert talk.words == words(clip.text)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(server.terminate)
        kept = list((tmp_path / "data").iterdir())
        assert kept, "the file itself stays"
        for file in kept:
            assert stat.S_IMODE(file.stat().st_mode) == (0o700 if file.is_dir() else 0o600)
            if file.is_dir():
                continue
            assert not [f for f in talk.finals.values() if f["text"].encode() in file.read_bytes()]


async def test_a_session_is_taken_over_from_a_server_that_still_runs(tmp_path: Path) -> None:
    clip = conversation()
    audio, query = encoded(clip, "pcm_s16le")
    shared = {"DATA_DIR": str(tmp_path / "shared")}
    with ServerProcess(tmp_path / "a", **shared) as first, ServerProcess(tmp_path / "b", **shared) as second:
        talk = Talk(audio, query)
        await talk.start(first)
        await talk.send(len(audio) // 3)
        await until(lambda: bool(talk.finals))
        old = talk.socket
        assert old is not None
        await talk.leave_open()
        await talk.resume(second)
        saying = asyncio.create_task(_say_on(old, audio[len(audio) // 3 :]))
        said = await asyncio.wait_for(listen(old), 30)  # the first server notices when it is about to tell a final
        assert (said.of("error")[0]["code"], said.close_code) == ("taken_over", 4410)
        assert not said.of("final")
        saying.cancel()
        await asyncio.gather(saying, return_exceptions=True)
        await talk.stop()
        assert talk.words == words(clip.text)
        assert talk.restored == [True]


async def _say_on(socket: ClientConnection, audio: list[bytes]) -> None:
    for message in audio:
        await socket.send(message)


async def test_without_checkpoints_a_stopped_server_finishes_what_was_said(tmp_path: Path) -> None:
    clip = clips("en")[0]
    speech = clip.samples()[: int((clip.utterances[0][1] - 0.05) * 16_000)]
    with ServerProcess(tmp_path, RESUME_ACROSS_RESTARTS="false") as server:
        talk = Talk(messages(pcm16(speech)))
        await talk.start(server)
        await talk.send(len(talk.audio))
        await until(lambda: any(e["type"] == "ack" and e["received"] == len(talk.audio) for e in talk.events))
        await asyncio.to_thread(server.terminate)
        await talk.ended()
        assert talk.close_code == 1012
        assert talk.words == words(clip.text)
    assert not list((tmp_path / "data").glob("live-sessions*"))
