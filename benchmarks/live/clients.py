"""Sessions at real-time pace by an absolute schedule, over each system's wire.

A message is due when the last of its audio has been spoken. One that is sent late does not make the next ones late, and
latency counts from the schedule, so that a server that stalls its clients is not flattered ("coordinated omission").
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from benchmarks.live.wire import Message, Update, our_updates, whisperlive_updates
from tests.support.encoded_audio import length_prefixed, opus_packets
from whisperlive_hybrid.audio.samples import SAMPLE_RATE, Samples

READY_WITHIN_S = 60.0


class Refused(Exception):
    """The server would not take another session."""


class Dialect(Protocol):
    """How a system's client talks."""

    @property
    def message_s(self) -> float:
        """Audio in one message, in seconds."""

    @property
    def goodbye(self) -> str | bytes:
        """No more audio comes."""

    def address(self, url: str) -> str:
        """Where to connect to."""

    def hello(self, number: int) -> str | None:
        """The first message, if there is one."""

    def is_ready(self, message: dict[str, Any]) -> bool:
        """The server takes audio from now on. Raises Refused when it says that it will not."""

    def payloads(self, samples: Samples) -> list[bytes]:
        """The audio (float32 [n], 16 kHz) in messages of `message_s`."""

    def updates(self, messages: Sequence[Message]) -> list[Update]:
        """What was on the screen."""


@dataclass(frozen=True)
class Hybrid:
    """`/ws/stream`: float32 samples like WhisperLive's own client, or Opus as our page sends it."""

    opus: bool = False
    message_s: float = 0.256
    goodbye: str | bytes = '{"type":"stop"}'

    def address(self, url: str) -> str:
        """With the options in the query."""
        return f"{url}/ws/stream?codec={'opus' if self.opus else 'pcm_f32le'}&sample_rate=16000&language=en"

    def hello(self, number: int) -> str | None:
        """None: the query says it all."""
        return None

    def is_ready(self, message: dict[str, Any]) -> bool:
        """After `ready`."""
        if message.get("type") == "error" and message.get("fatal"):
            raise Refused(f"{message.get('code')}: {message.get('message')}")
        return message.get("type") == "ready"

    def payloads(self, samples: Samples) -> list[bytes]:
        """25 packets of 20 ms in each message, or raw samples."""
        if not self.opus:
            return _float32(samples, self.message_s)
        packets = opus_packets(samples, rate=SAMPLE_RATE)
        n = round(self.message_s / 0.02)
        return [length_prefixed(packets[i : i + n]) for i in range(0, len(packets), n)]

    def updates(self, messages: Sequence[Message]) -> list[Update]:
        """Of partials and finals."""
        return our_updates(messages)


@dataclass(frozen=True)
class WhisperLive:
    """What WhisperLive's Python client sends: 4096 float32 samples a message, voice activity detection on.

    options: keys of its first message that its client lets the user set.
    """

    options: tuple[tuple[str, Any], ...] = ()
    message_s: float = 0.256
    goodbye: str | bytes = b"END_OF_AUDIO"

    def address(self, url: str) -> str:
        """Any path will do."""
        return url

    def hello(self, number: int) -> str | None:
        """The session's settings."""
        settings = {"uid": f"bench-{number}", "language": "en", "task": "transcribe", "model": "small", "use_vad": True}
        return json.dumps(settings | dict(self.options))

    def is_ready(self, message: dict[str, Any]) -> bool:
        """After SERVER_READY."""
        if message.get("status") in ("WAIT", "ERROR"):
            raise Refused(f"{message['status']}: {message.get('message')}")
        return message.get("message") == "SERVER_READY"

    def payloads(self, samples: Samples) -> list[bytes]:
        """Raw samples."""
        return _float32(samples, self.message_s)

    def updates(self, messages: Sequence[Message]) -> list[Update]:
        """Of completed and open segments."""
        return whisperlive_updates(messages)


def _float32(samples: Samples, message_s: float) -> list[bytes]:
    step = round(message_s * SAMPLE_RATE)
    return [samples[i : i + step].astype("<f4").tobytes() for i in range(0, len(samples), step)]


@dataclass
class Recording:
    """What went over one session's wire. Times are seconds since its audio began."""

    messages: list[tuple[float, str]] = field(default_factory=list)
    sent_bytes: int = 0
    late_s: float = 0.0
    """The latest that a message was sent after it was due."""
    ended: bool = False
    """The server closed the connection by itself after the goodbye."""
    error: str | None = None

    def parsed(self) -> list[Message]:
        """The messages as JSON."""
        return [(at, json.loads(text)) for at, text in self.messages]


async def converse(
    dialect: Dialect,
    url: str,
    streams: Sequence[Samples],
    *,
    spread_s: float = 2.0,
    patience_s: float = 30.0,
    on_start: Callable[[Sequence[float]], None] | None = None,
) -> list[Recording]:
    """All streams at once, each in a session of its own; every session is ready before the first audio is sent.

    The beginnings are spread over `spread_s`, so that messages do not fall together. patience_s: how long after its
    goodbye a session may take to end. on_start: told when each session's audio will begin, on the monotonic clock.
    Raises Refused, or OSError when no connection can be made.
    """
    payloads = [dialect.payloads(samples) for samples in streams]
    sockets: list[ClientConnection] = []
    try:
        for number in range(len(streams)):
            sockets.append(await _open(dialect, url, number))
        begin = time.monotonic() + 0.2
        starts = [begin + spread_s * i / len(streams) for i in range(len(streams))]
        if on_start is not None:
            on_start(starts)
        sessions = (
            _session(dialect, socket, start, messages, len(samples) / SAMPLE_RATE, patience_s)
            for socket, start, messages, samples in zip(sockets, starts, payloads, streams, strict=True)
        )
        return list(await asyncio.gather(*sessions))
    finally:
        for socket in sockets:
            socket.transport.abort()


async def _open(dialect: Dialect, url: str, number: int) -> ClientConnection:
    socket = await connect(dialect.address(url), compression=None, max_size=None, ping_interval=None, open_timeout=30)
    try:
        if (hello := dialect.hello(number)) is not None:
            await socket.send(hello)
        async with asyncio.timeout(READY_WITHIN_S):
            while not dialect.is_ready(json.loads(await socket.recv())):
                pass
    except ConnectionClosed as error:
        raise Refused(f"closed before it was ready: {error}") from error
    except TimeoutError as error:
        socket.transport.abort()
        raise Refused(f"not ready within {READY_WITHIN_S:.0f} s") from error
    except BaseException:
        socket.transport.abort()
        raise
    return socket


async def _session(  # noqa: PLR0917 - called once
    dialect: Dialect,
    socket: ClientConnection,
    start: float,
    payloads: Sequence[bytes],
    duration_s: float,
    patience_s: float,
) -> Recording:
    recording = Recording()

    async def listen() -> None:
        try:
            async for message in socket:
                text = message if isinstance(message, str) else message.decode(errors="replace")
                recording.messages.append((time.monotonic() - start, text))
            recording.ended = True
        except ConnectionClosed as error:
            recording.error = str(error)

    listener = asyncio.create_task(listen())
    try:
        for i, payload in enumerate(payloads):
            due = start + min((i + 1) * dialect.message_s, duration_s)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            recording.late_s = max(recording.late_s, time.monotonic() - due)
            await socket.send(payload)
            recording.sent_bytes += len(payload)
        await socket.send(dialect.goodbye)
        await asyncio.wait_for(listener, patience_s)
    except ConnectionClosed as error:
        recording.error = recording.error or str(error)
    except TimeoutError:
        recording.error = f"not closed {patience_s:.0f} s after the goodbye"
    finally:
        listener.cancel()
        socket.transport.abort()
    return recording
