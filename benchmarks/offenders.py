"""Clients nobody wants, one kind at a time, as a process of its own: `python -m benchmarks.offenders KIND URL SECONDS`.

It runs at the lowest priority, so that what it costs the others is the server's doing and not its own appetite for CPU.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from benchmarks.live_load import MESSAGE_S
from benchmarks.material import conversations, pcm
from whisperlive_hybrid.audio.samples import SAMPLE_RATE

QUERY: Final = "/ws/stream?codec=pcm_s16le&language=en"
Offend = Callable[[str, float], Awaitable[int]]
"""(url, monotonic time of the end) → how many offences."""


def _speech() -> bytes:
    return pcm(conversations(None, 1, 20.0)[0].samples)


async def deaf(url: str, until: float) -> int:
    """Speaks at real-time pace, asks for much, and never reads a byte."""
    address = url.removeprefix("ws://").partition("/")[0].split(":")
    tight = socket.socket()
    tight.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    tight.connect((address[0], int(address[1])))
    speech, step, n = _speech(), int(MESSAGE_S * SAMPLE_RATE) * 2, 0
    async with connect(url + QUERY, sock=tight, max_queue=1, ping_interval=None, close_timeout=0.1) as connection:
        connection.transport.pause_reading()
        while time.monotonic() < until:
            for i in range(20):
                await connection.send(json.dumps({"type": "ping", "id": f"{n}-{i}" + "x" * 500}))
            await connection.send(speech[n * step % len(speech) :][:step])
            n += 1
            await asyncio.sleep(MESSAGE_S)
        connection.transport.abort()
    return n


async def flood_speech(url: str, until: float) -> int:
    """Speech as fast as the socket takes it."""
    speech = _speech()
    return await _flood(url, until, [_frame(BINARY, speech[i : i + 32_000]) for i in range(0, len(speech), 32_000)])


async def flood_crumbs(url: str, until: float) -> int:
    """Speech of one sample a message."""
    speech = _speech()[:64_000]
    return await _flood(url, until, [_frame(BINARY, speech[i : i + 2]) for i in range(0, len(speech), 2)])


async def flood_pings(url: str, until: float) -> int:
    """Pings without an end."""
    return await _flood(url, until, [_text({"type": "ping", "id": n}) for n in range(5000)])


async def flood_flushes(url: str, until: float) -> int:
    """A moment of speech and a flush, again and again: a final is asked for each time."""
    return await _flood(url, until, [_frame(BINARY, _speech()[:16_000]), _text({"type": "flush"})] * 20)


async def flood_nonsense(url: str, until: float) -> int:
    """Text that is no JSON, types nobody knows."""
    return await _flood(url, until, [_frame(TEXT, b"{"), _text({"type": "1"})] * 2500)


async def flood_parts(url: str, until: float) -> int:
    """Messages of a mebibyte that hold a third of a million empty lists."""
    return await _flood(url, until, [_frame(TEXT, b'{"type":"1","a":[' + b"[]," * 349_000 + b"[]]}")])


async def flood_control(url: str, until: float) -> int:
    """WebSocket pings, whose pongs nobody reads."""
    return await _flood(url, until, [_frame(PING, b"x" * 60)] * 5000, reads=False)


async def flood_fragments(url: str, until: float) -> int:
    """One text message in pieces of nothing, without an end."""
    return await _flood(url, until, [_frame(CONTINUATION, b"", last=False)] * 5000, first=b"\x01\x80\0\0\0\0")


CONTINUATION, TEXT, BINARY, PING = 0, 1, 2, 9


def _frame(kind: int, data: bytes, *, last: bool = True) -> bytes:
    """A client's WebSocket frame, masked with zeros."""
    n = len(data)
    if n < 126:
        length = bytes([0x80 | n])
    elif n < 2**16:
        length = bytes([0xFE]) + n.to_bytes(2, "big")
    else:
        length = bytes([0xFF]) + n.to_bytes(8, "big")
    return bytes([kind | 0x80 * last]) + length + bytes(4) + data


def _text(message: dict[str, object]) -> bytes:
    return _frame(TEXT, json.dumps(message).encode())


async def _flood(url: str, until: float, frames: list[bytes], *, first: bytes = b"", reads: bool = True) -> int:
    """Send the frames over and over as fast as the socket takes them, past the client library: its own cost is not
    the bound. Connects again when it is shut out. Returns how many frames were sent."""
    n, block = 0, b"".join(frames)
    while time.monotonic() < until:
        with suppress(OSError, WebSocketException):
            connection = await connect(url + QUERY, ping_interval=None)
            reader = asyncio.create_task(_swallow(connection))
            out = connection.transport
            if not reads:
                out.pause_reading()
            out.write(first)
            while time.monotonic() < until and not out.is_closing():
                if out.get_write_buffer_size() > 2 * len(block):
                    await asyncio.sleep(0.001)
                else:
                    out.write(block)
                    n += len(frames)
                    await asyncio.sleep(0)
            reader.cancel()
            if not out.is_closing():
                out.abort()
            await connection.wait_closed()
        await asyncio.sleep(0.05)
    return n


async def _swallow(connection: ClientConnection) -> None:
    with suppress(WebSocketException):
        async for _ in connection:
            pass


async def garbage(url: str, until: float) -> int:
    """Random bytes as WebM, Ogg, Opus and PCM, ten connections a second."""
    noise = np.random.default_rng(0).bytes(100_000)
    codecs = ("webm-opus", "ogg-opus", "opus", "pcm_f32le")
    heads = (b"\x1a\x45\xdf\xa3", b"OggS\0\2", b"\x00\x10", b"")

    async def once(n: int) -> None:
        with suppress(OSError, WebSocketException, TimeoutError):
            async with (
                asyncio.timeout(2.0),
                connect(f"{url}/ws/stream?codec={codecs[n % 4]}", close_timeout=0.1) as connection,
            ):
                at = random.randrange(50_000)
                for i in range(3):
                    await connection.send((heads[n % 4] if i == 0 else b"") + noise[at : at + 20_000])
                await connection.recv()
                await connection.recv()

    return await _at_rate(10.0, until, once)


async def churn(url: str, until: float) -> int:
    """Twenty connections a second, dropped without a word: some before they say anything, some in mid-speech."""
    speech = _speech()[:64_000]

    async def once(n: int) -> None:
        with suppress(OSError, WebSocketException, TimeoutError):
            async with asyncio.timeout(2.0):
                connection = await connect(url + QUERY)
                for i in range(n % 4):
                    await connection.send(speech[i * 16_000 : (i + 1) * 16_000])
                connection.transport.abort()

    return await _at_rate(20.0, until, once)


async def _at_rate(per_s: float, until: float, once: Callable[[int], Awaitable[None]]) -> int:
    n, tasks, due = 0, set(), time.monotonic()
    while due < until:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        tasks.add(asyncio.ensure_future(once(n)))
        tasks = {t for t in tasks if not t.done()}
        n, due = n + 1, due + 1 / per_s
    await asyncio.gather(*tasks, return_exceptions=True)
    return n


OFFENDERS: Final[dict[str, Offend]] = {
    "stops reading": deaf,
    "floods with speech": flood_speech,
    "floods with crumbs": flood_crumbs,
    "floods with pings": flood_pings,
    "floods with flushes": flood_flushes,
    "floods with nonsense": flood_nonsense,
    "floods with empty lists": flood_parts,
    "floods with control frames": flood_control,
    "floods with fragments": flood_fragments,
    "sends garbage": garbage,
    "opens and drops 20/s": churn,
}
"""By the name they have in the table."""


def main() -> None:
    """Be a nuisance for a while; prints how many messages or connections it came to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kind", choices=OFFENDERS)
    parser.add_argument("url")
    parser.add_argument("seconds", type=float)
    args = parser.parse_args()
    os.nice(19)

    async def run() -> int:
        return await OFFENDERS[args.kind](args.url, time.monotonic() + args.seconds)

    try:
        print(asyncio.run(run()), flush=True)
    except (OSError, WebSocketException) as error:
        print(f"shut out: {error}", flush=True)


if __name__ == "__main__":
    main()
