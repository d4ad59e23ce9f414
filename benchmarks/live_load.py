"""Live sessions at real-time pace, by an absolute schedule: a late message is never waited for twice."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from websockets.asyncio.client import connect

from benchmarks.material import pcm
from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples

MESSAGE_S = 0.5


@dataclass
class Heard:
    """What one session was told: events with the seconds since its first message, and its final text."""

    events: list[tuple[float, dict[str, object]]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The finals in order of their segments."""
        finals = [e for _, e in self.events if e["type"] == "final"]
        return " ".join(str(e["text"]) for e in sorted(finals, key=lambda e: int(str(e["segment"]))))


async def speak(url: str, samples: Samples, *, delay_s: float = 0.0, pace: float = 1.0, query: str = "") -> Heard:
    """Send `samples` (float32 [n], 16 kHz) as 500 ms PCM messages at `pace` times real time, then stop.

    Returns everything the server said until it closed.
    """
    await asyncio.sleep(delay_s)
    heard = Heard()
    address = f"{url}/ws/stream?codec=pcm_s16le&language=en{query}"
    async with connect(address, max_size=2**20) as socket:
        start = time.monotonic()

        async def listen() -> None:
            async for message in socket:
                heard.events.append((time.monotonic() - start, json.loads(message)))

        listener = asyncio.create_task(listen())
        step = int(MESSAGE_S * SAMPLE_RATE)
        for i in range(0, len(samples), step):
            block = samples[i : i + step]
            due = start + (i + len(block)) / SAMPLE_RATE / pace
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await socket.send(pcm(block))
        await socket.send('{"type":"stop"}')
        await listener
    return heard


async def speak_all(url: str, streams: Sequence[Samples], *, spread_s: float = 0.5) -> list[Heard]:
    """All streams at once, their starts spread over `spread_s` so that their messages do not fall together."""
    n = len(streams)
    return list(await asyncio.gather(*(speak(url, s, delay_s=spread_s * i / max(1, n)) for i, s in enumerate(streams))))
