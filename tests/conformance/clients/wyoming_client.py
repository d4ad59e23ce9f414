"""Runs in an environment that has the wyoming package: carries out what standard input describes, prints what came.

Input is JSON: `port`, and `steps` on one connection: ["describe"], ["ping", TEXT], ["transcribe", OPTIONS],
["audio", PATH, RATE, BYTES OF A CHUNK], ["until", EVENT TYPE].
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from wyoming.asr import Transcribe, Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong

KNOWN = (Info, Pong, Transcript, TranscriptStart, TranscriptChunk, TranscriptStop, Error)


def plain(event: Event) -> dict[str, Any]:
    """The event as the package's own class reads it."""
    kind = next(k for k in KNOWN if k.is_type(event.type))
    return {"type": event.type, **kind.from_event(event).event().data}


async def step(client: AsyncTcpClient, what: list[Any], heard: list[dict[str, Any]]) -> None:
    match what:
        case ["describe"]:
            await client.write_event(Describe().event())
        case ["ping", text]:
            await client.write_event(Ping(text).event())
        case ["transcribe", options]:
            await client.write_event(Transcribe(**options).event())
        case ["audio", path, rate, n_bytes]:
            data = Path(path).read_bytes()
            await client.write_event(AudioStart(rate, 2, 1).event())
            for i in range(0, len(data), n_bytes):
                await client.write_event(AudioChunk(rate, 2, 1, data[i : i + n_bytes]).event())
            await client.write_event(AudioStop().event())
        case ["until", kind]:
            while True:
                event = await asyncio.wait_for(client.read_event(), 60)
                heard.append({"type": "closed"} if event is None else plain(event))
                if event is None or event.type == kind:
                    return


async def main() -> None:
    call = json.load(sys.stdin)
    heard: list[dict[str, Any]] = []
    async with AsyncTcpClient("127.0.0.1", call["port"]) as client:
        for what in call["steps"]:
            await step(client, what, heard)
    print(json.dumps(heard))


if __name__ == "__main__":
    asyncio.run(main())
