"""Files to samples: a short-lived child process decodes, this side counts, waits and reaps.

    async for block in decode_file(path, DecodeLimits()):
        ...

Accepted: WAV, MP3, FLAC, M4A/MP4/MOV, Ogg (Opus, Vorbis, FLAC), WebM/Matroska, AAC, MPEG, AIFF, CAF, AMR, AU, WMA. The
first or best audio stream is taken; video is not looked at. A file that breaks off gives what can be decoded and ends
normally; one whose header cannot be read is an error.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av

from whisperlive_hybrid.audio import file_process
from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples, from_s16
from whisperlive_hybrid.errors import HybridError, NotFound, TooLarge, Unavailable, UndecodableAudio

FORMATS = ("wav", "mp3", "flac", "m4a", "mp4", "ogg", "opus", "webm", "mpeg", "mpga", "aac")
"""What error messages name as accepted; aiff, amr, au, caf, wma and others work as well."""
BLOCK_SAMPLES = 5 * SAMPLE_RATE
_SITE_PACKAGES = str(Path(av.__file__).parent.parent)
_INHERITED = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
"""Environment a Python may need to start at all; the child gets nothing else."""
_EXIT_S = 2.0
"""Time a child that has sent its last message gets to exit."""
_LEAST_BITS_PER_S = 500
"""A file with fewer per declared second declares nonsense, or is a bomb; both are measured by decoding."""


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What decoding one file may cost."""

    max_audio_s: float = 14_400.0
    """Audio after decoding; more raises TooLarge."""
    cpu_s: int = 600
    """CPU time of the child."""
    wall_s: float = 900.0
    """Time spent waiting for the child. Time the reader takes between blocks does not count."""
    memory_bytes: int = 1 << 30
    """Address space of the child."""
    max_channels: int = 8


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What a file says of itself. `duration_s` is a claim, good for progress bars only; None when there is none."""

    container: str
    codec: str
    sample_rate: int
    channels: int
    duration_s: float | None


async def decode_file(
    path: Path, limits: DecodeLimits | None = None, *, on_info: Callable[[FileInfo], None] | None = None
) -> AsyncGenerator[Samples]:
    """Blocks of at most 5 s of samples: float32 [n]. `on_info` is called once, before the first block.

    Closing the iterator or cancelling its reader kills the child and reaps it. Memory is bounded whatever the length.
    Raises NotFound (no such file), TooLarge (too_long) or UndecodableAudio: empty_file, not_audio, truncated,
    empty_audio, no_audio_stream, unsupported_codec, unsupported_channels, unsupported_rate, encrypted,
    undecodable_audio, decode_timeout, decode_memory, decoder_crashed.
    """
    limits = limits or DecodeLimits()
    with _open(path) as file:
        size = os.fstat(file.fileno()).st_size
        child = await _Child.start(file, limits)
    left = int(limits.max_audio_s * SAMPLE_RATE)
    try:
        async with aclosing(child.messages()) as messages:
            async for kind, payload in messages:
                if kind == b"s":
                    left -= len(payload) // 2
                    if left < 0:
                        raise _too_long(limits)
                    if payload:
                        yield from_s16(payload)
                elif kind == b"i":
                    info = _parse_info(payload)
                    if _honestly_too_long(info, size, limits):
                        raise _too_long(limits)
                    if on_info is not None:
                        on_info(info)
    finally:
        await child.end()


class _Child:
    """The running decoder and the pipe it writes to."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        transport: asyncio.ReadTransport,
        wall_s: float,
    ) -> None:
        self._process = process
        self._reader = reader
        self._transport = transport
        self._wall_left_s = wall_s
        self._finished = False

    @classmethod
    async def start(cls, file: BinaryIO, limits: DecodeLimits) -> _Child:
        """Start the child on an open file: that descriptor and the pipe are all it gets."""
        read_end, write_end = os.pipe()
        reader = asyncio.StreamReader(limit=2 * BLOCK_SAMPLES)
        transport: asyncio.ReadTransport | None = None
        arguments = (os.getpid(), limits.cpu_s, limits.memory_bytes, limits.max_channels, BLOCK_SAMPLES)
        pipe = os.fdopen(read_end, "rb", buffering=0)
        try:
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), pipe
            )
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                "-S",
                file_process.__file__,
                _SITE_PACKAGES,
                *map(str, arguments),
                stdin=file,
                stdout=write_end,
                stderr=asyncio.subprocess.DEVNULL,
                env={name: os.environ[name] for name in _INHERITED if name in os.environ},
                cwd=os.sep,
                start_new_session=True,
            )
        except BaseException:
            pipe.close() if transport is None else transport.close()
            raise
        finally:
            os.close(write_end)
        return cls(process, reader, transport, limits.wall_s)

    async def messages(self) -> AsyncGenerator[tuple[bytes, bytes]]:
        """(kind, payload) of `i` and `s` messages, up to the end. Raises what the child reports or died of."""
        try:
            while True:
                head = await self._read(5)
                payload = await self._read(int.from_bytes(head[1:], "little"))
                kind = head[:1]
                self._finished = kind in (b"z", b"e")
                if kind == b"z":
                    return
                if kind == b"e":
                    raise _reported(payload)
                yield kind, payload
        except asyncio.IncompleteReadError:
            raise _died(await self._process.wait()) from None

    async def _read(self, n_bytes: int) -> bytes:
        if n_bytes > 2 * BLOCK_SAMPLES:
            raise _died(0)
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(max(0.0, self._wall_left_s)):
                return await self._reader.readexactly(n_bytes)
        except TimeoutError:
            raise _timeout() from None
        finally:
            self._wall_left_s -= loop.time() - began

    async def end(self) -> None:
        """Kill the child if it still runs, and reap it, even while being cancelled."""
        try:
            if self._finished:  # it exits by itself now; a signal could only get in the way of reaping it
                with suppress(TimeoutError):
                    async with asyncio.timeout(_EXIT_S):
                        await self._process.wait()
        finally:
            if self._process.returncode is None:
                with suppress(ProcessLookupError):
                    self._process.kill()
            self._transport.close()
            await asyncio.shield(asyncio.ensure_future(self._process.wait()))


def _open(path: Path) -> BinaryIO:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise NotFound(f"there is no file {path.name!r}", kind="file", id=path.name) from None
    except OSError as e:
        raise UndecodableAudio(f"the file cannot be read: {e.strerror}", param="file", code="unreadable_file") from None
    if os.fstat(file.fileno()).st_size == 0:
        file.close()
        raise UndecodableAudio("the file is empty", param="file", accepted=FORMATS, code="empty_file")
    return file


def _parse_info(payload: bytes) -> FileInfo:
    container, codec, sample_rate, channels, duration = payload.decode("utf-8", "replace").split("\n")
    return FileInfo(container, codec, int(sample_rate), int(channels), float(duration) if duration else None)


def _honestly_too_long(info: FileInfo, size: int, limits: DecodeLimits) -> bool:
    """Whether the file says that it is over the limit, and is large enough for that to be true."""
    if info.duration_s is None or info.duration_s <= limits.max_audio_s * 1.02 + 1:
        return False
    bits_per_s = info.sample_rate * info.channels * 7 if info.codec.startswith("pcm_") else _LEAST_BITS_PER_S
    return size * 8 >= info.duration_s * bits_per_s


def _too_long(limits: DecodeLimits) -> TooLarge:
    return TooLarge(
        f"the audio is longer than {limits.max_audio_s:g} s", limit=limits.max_audio_s, param="file", code="too_long"
    )


def _timeout() -> UndecodableAudio:
    return UndecodableAudio("decoding the file takes too long", param="file", code="decode_timeout")


def _reported(payload: bytes) -> HybridError:
    code, _, message = payload.decode("utf-8", "replace").partition("\n")
    if code == "decoder_unavailable":
        return Unavailable(message, code=code)
    return UndecodableAudio(message, param="file", accepted=FORMATS, code=code)


def _died(return_code: int) -> UndecodableAudio:
    """The error for a child that ended without a last message."""
    if return_code in (-signal.SIGXCPU, -signal.SIGKILL):
        return _timeout()
    return UndecodableAudio(
        f"the decoder crashed on the file (status {return_code})",
        param="file",
        accepted=FORMATS,
        code="decoder_crashed",
    )
