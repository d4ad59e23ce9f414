"""Audio for a live session: 16-bit mono PCM at 16 kHz, in blocks of half a second."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np

from whisperlive_hybrid.audio.files import decode_file
from whisperlive_hybrid.audio.samples import SAMPLE_RATE
from whisperlive_hybrid.errors import Unavailable

BLOCK_S = 0.5
BLOCK_BYTES = int(BLOCK_S * SAMPLE_RATE) * 2


async def file_audio(path: Path) -> AsyncGenerator[bytes]:
    """A file, decoded as fast as it is read. Raises UndecodableAudio."""
    waiting = bytearray()
    async with aclosing(decode_file(path)) as blocks:
        async for samples in blocks:
            waiting += (np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes()
            while len(waiting) >= BLOCK_BYTES:
                yield bytes(waiting[:BLOCK_BYTES])
                del waiting[:BLOCK_BYTES]
    if waiting:
        yield bytes(waiting)


async def paced(audio: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The same blocks, each no sooner than it would have been spoken."""
    loop = asyncio.get_running_loop()
    start, n_bytes = loop.time(), 0
    async with aclosing(audio):
        async for block in audio:
            n_bytes += len(block)
            # By the time since the start: sleeping for each block alone would add up every delay.
            await asyncio.sleep(max(0.0, start + n_bytes / 2 / SAMPLE_RATE - loop.time()))
            yield block


async def standard_input() -> AsyncGenerator[bytes]:
    """Raw PCM from standard input, as it comes."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer
    )
    try:
        while block := await reader.read(BLOCK_BYTES):
            yield block
    finally:
        transport.close()


async def microphone(device: str | None, on_open: Callable[[], None] = lambda: None) -> AsyncGenerator[bytes]:
    """The microphone named by number or part of its name; None is the system's default. Raises Unavailable.

    `on_open` is called once it is heard.
    """
    try:
        import sounddevice
    except ModuleNotFoundError:
        raise Unavailable(
            "The microphone needs the sounddevice package. Try: pip install sounddevice, or pipe audio into --file -",
            code="no_microphone",
        ) from None
    except OSError as error:  # PortAudio itself is missing
        raise Unavailable(f"The microphone cannot be used: {error}. Try: --file -", code="no_microphone") from None
    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    def on_audio(data: Any, n_frames: int, time: Any, status: Any) -> None:
        loop.call_soon_threadsafe(heard.put_nowait, bytes(data))

    wanted = int(device) if device is not None and device.isdigit() else device
    try:
        stream = sounddevice.RawInputStream(
            samplerate=SAMPLE_RATE,
            channels=1,
            dtype="int16",
            blocksize=BLOCK_BYTES // 2,
            device=wanted,
            callback=on_audio,
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        raise Unavailable(f"The microphone cannot be opened: {error}", code="no_microphone") from None
    with stream:
        on_open()
        while True:
            yield await heard.get()
