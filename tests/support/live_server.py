"""The live half of the server, in the test's own event loop: real engine, real model, real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.engine.engine import Engine, EngineOptions
from whisperlive_hybrid.live.rules import LiveRules
from whisperlive_hybrid.live.runner import LiveLimits, LiveService
from whisperlive_hybrid.live.speaker_tasks import Listener
from whisperlive_hybrid.speech.vad_batcher import VadBatcher
from whisperlive_hybrid.transports.admission import Admit, Identify
from whisperlive_hybrid.transports.live_door import LiveTerms
from whisperlive_hybrid.transports.websocket.listener import LiveListener


@dataclass
class LiveServer:
    """Its address and its parts."""

    url: str
    live: LiveService
    engine: Engine
    vad: VadBatcher


@asynccontextmanager
async def live_server(
    *,
    rules: LiveRules | None = None,
    limits: LiveLimits | None = None,
    admit: Admit | None = None,
    identify: Identify | None = None,
    terms: LiveTerms | None = None,
    listener: Listener | None = None,
    beside: LiveServer | None = None,
) -> AsyncIterator[LiveServer]:
    """A live port on loopback with the bundled model; `beside` another one it shares that one's engine."""
    async with AsyncExitStack() as stack:
        if beside is None:
            engine = await stack.enter_async_context(Engine(EngineOptions(model="digits")))
            vad = await stack.enter_async_context(VadBatcher())
            await engine.ready()
        else:
            engine, vad = beside.engine, beside.vad
        live = await stack.enter_async_context(LiveService(engine, vad, rules=rules, limits=limits, listener=listener))
        listening = await stack.enter_async_context(
            LiveListener(live, host="127.0.0.1", port=0, terms=terms or LiveTerms(), admit=admit, identify=identify)
        )
        yield LiveServer(f"ws://127.0.0.1:{listening.port}", live, engine, vad)


@dataclass
class Conversation:
    """Everything a client was told, in order."""

    events: list[dict[str, Any]] = field(default_factory=list)
    close_code: int | None = None

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The messages of one type."""
        return [e for e in self.events if e["type"] == kind]

    @property
    def finals(self) -> list[str]:
        """Texts of the finals, in the order they came."""
        return [e["text"] for e in self.of("final")]

    @property
    def text(self) -> str:
        """All finals."""
        return " ".join(self.finals)


def pcm16(samples: Samples) -> bytes:
    """Little-endian 16-bit PCM."""
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


def messages(data: bytes, n_bytes: int = 16_000) -> list[bytes]:
    """`data` in binary messages; 16 000 bytes are 500 ms of 16-bit PCM."""
    return [data[i : i + n_bytes] for i in range(0, len(data), n_bytes)]


async def listen(socket: ClientConnection, said: Conversation | None = None) -> Conversation:
    """Everything until the server closes."""
    said = said or Conversation()
    try:
        async for message in socket:
            said.events.append(json.loads(message))
    except ConnectionClosed:
        pass
    said.close_code = socket.close_code
    return said


async def say(
    url: str, audio: Sequence[bytes], query: str = "codec=pcm_s16le", *, pause_s: float = 0.0, stop: bool = True
) -> Conversation:
    """One session: audio as fast as it is taken (or with a pause between messages), stop, listen to the end."""
    async with connect(f"{url}/ws/stream?{query}", max_size=None) as socket:
        listener = asyncio.create_task(listen(socket))
        try:
            for message in audio:
                await socket.send(message)
                await asyncio.sleep(pause_s)
            if stop:
                await socket.send('{"type":"stop"}')
        except ConnectionClosed:
            pass
        return await listener
