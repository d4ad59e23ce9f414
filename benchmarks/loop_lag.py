"""Event-loop lag of a server under live sessions and uploads at once.

python -m benchmarks.loop_lag --sessions 20 --uploads 4
"""

from __future__ import annotations

import argparse
import asyncio

import httpx
import numpy as np

from benchmarks.live_load import speak_all
from benchmarks.material import Conversation, add_arguments, conversations, wav
from benchmarks.report import table
from tests.support.running_server import running_server


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--uploads", type=int, default=4)
    parser.add_argument("--model", default="digits")
    args = parser.parse_args()
    said = conversations(args.recordings, args.sessions, args.seconds)
    with running_server(model=args.model) as server:
        done, health = asyncio.run(_load(server.live_url, server.http_url, said, args.uploads))
        lag = health["loop_lag_ms"]
    table(
        f"Event-loop lag, {args.sessions} live sessions and {args.uploads} uploads at once for {args.seconds:.0f} s",
        ["p50 ms", "p99 ms", "max ms", "files transcribed meanwhile"],
        [[lag["p50"], lag["p99"], lag["max"], done]],
    )


Health = dict[str, dict[str, float]]


async def _load(
    live: str, http: str, said: list[Conversation], uploads: int
) -> tuple[int, dict[str, dict[str, float]]]:
    """Speak in all sessions; meanwhile each uploader posts a five-minute file again and again."""
    long_file = wav(np.concatenate([c.samples for c in said])[: 300 * 16000])
    speaking = asyncio.create_task(speak_all(live, [c.samples for c in said]))
    done = 0

    async def upload(client: httpx.AsyncClient) -> None:
        nonlocal done
        while not speaking.done():
            answer = await client.post(f"{http}/transcribe", files={"file": ("long.wav", long_file)}, timeout=600)
            answer.raise_for_status()
            done += 1

    async with httpx.AsyncClient() as client:
        uploaders = [asyncio.create_task(upload(client)) for _ in range(uploads)]
        await speaking
        health = (await client.get(f"{http}/health")).json()
        await asyncio.gather(*uploaders)
    return done, health


if __name__ == "__main__":
    main()
