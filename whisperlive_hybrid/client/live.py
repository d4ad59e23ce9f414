"""One live session over a WebSocket that may break: reconnects, resumes, and sends again what was not yet final."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from .errors import ClientError, ConnectionLost, ServerUnreachable, reason_of
from .outbox import Outbox

FINAL_CODES: Final = frozenset({1000, 1002, 1003, 1007, 1008, 1009, 4400, 4401, 4403, 4404, 4408, 4410})
"""Close codes after which a new connection would not help."""

PIECE_BYTES: Final = 240_000
"""Longer audio is cut into messages of this size, which whole samples of up to six channels fill."""

_QUIET_HEARTBEATS = 1.8
"""In the time of so many heartbeats not one message: the connection is given up, and within two a new one is there."""
_ANSWER_S = 20.0
"""For the answer to the first message."""
_GOODBYE_S = 3.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 5.0
_FRUITLESS_ATTEMPTS = 6
"""Connections in a row that were resumed and broke again before the server took anything."""

Event = dict[str, Any]


class LiveSession:
    """A live session: `async with LiveSession(url, codec="pcm_s16le") as session`, then send, and iterate over events.

    Events are the server's messages as dictionaries (docs/protocols/stream.md), in order and each once, however often
    the connection breaks. Two more come from here: `{"type": "connection", "state": "lost" | "resumed"}`. Where the
    second has `restored` true, another process of the server goes on: forget partial text of segments without a final,
    it comes again.
    Iteration ends after `done`. Sending and iterating raise ClientError when the session cannot go on.
    """

    def __init__(
        self,
        url: str = "ws://127.0.0.1:5050/ws/stream",
        *,
        api_key: str | None = None,
        reconnect_s: float | None = None,
        max_buffered_bytes: int = 32 * 2**20,
        **options: Any,
    ) -> None:
        """`options` are those of the protocol: codec, sample_rate, channels, language, task, model, words, vad, …

        `reconnect_s`: how long a broken connection is tried again; None is as long as the server keeps the session.
        `max_buffered_bytes`: audio kept for sending again; `send` waits when the server is so far behind.
        """
        self.url = stream_url(url)
        self.ready: Event = {}
        """The server's `ready` message."""
        self.n_resumed = 0
        """How often a broken connection was resumed."""
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._options = options
        self._reconnect_s = reconnect_s
        self._max_buffered_bytes = max_buffered_bytes
        self._outbox = Outbox()
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._something_to_send = asyncio.Event()
        self._room = asyncio.Event()
        self._last_event = 0
        self._received = 0
        self._fruitless = 0
        self._restored = False
        self._fault: ClientError | None = None
        """What the server said before it closed."""
        self._failure: BaseException | None = None
        """Why the session is over before its time."""
        self._over = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> LiveSession:
        socket = await self._open({"type": "start", **self._options}, "ready")
        self._task = asyncio.create_task(self._run(socket), name="live-session")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def send(self, audio: bytes | bytearray | memoryview) -> None:
        """Send encoded audio, any amount. Waits while the server is far behind."""
        data = bytes(audio)
        if not data:
            return
        whole = self._options.get("codec") == "opus"  # packets with their lengths: the message is the unit
        for i in range(0, len(data), len(data) if whole else PIECE_BYTES):
            while self._outbox.n_bytes >= self._max_buffered_bytes and not self._over:
                self._room.clear()
                await self._room.wait()
            self._say(data[i:] if whole else data[i : i + PIECE_BYTES])

    async def flush(self, id: str | int | None = None) -> None:
        """Ask for finals of what was said so far. With `id`, `{"type": "flushed", "id": id}` says that all are told."""
        self._say(json.dumps({"type": "flush"} | ({} if id is None else {"id": id})))

    async def stop(self) -> None:
        """No more audio: the server finalizes everything and says `done`."""
        self._say('{"type":"stop"}')

    async def close(self) -> None:
        """Leave, whatever is still under way."""
        if self._task is None:
            return
        if not self._over:
            self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        event = await self._events.get()
        if event is None:
            self._events.put_nowait(None)  # whoever asks again gets the same answer
            if self._failure is not None:
                raise self._failure
            raise StopAsyncIteration
        return event

    def _say(self, message: bytes | str) -> None:
        if self._failure is not None:
            raise self._failure
        if self._over:
            raise ClientError("This session is over.", code="session_over")
        self._outbox.add(message)
        self._something_to_send.set()

    async def _run(self, socket: ClientConnection) -> None:
        try:
            while True:
                try:
                    await self._converse(socket)
                    return
                except ConnectionClosed as closed:
                    socket = await self._resume(closed.rcvd.code if closed.rcvd is not None else 1006)
                except TimeoutError:  # open, but nothing comes through
                    socket.transport.abort()
                    socket = await self._resume(1006)
        except (ClientError, ValueError) as error:
            self._failure = error
        finally:
            self._over = True
            self._events.put_nowait(None)
            self._room.set()
            try:
                async with asyncio.timeout(_GOODBYE_S):
                    await socket.close()
            except TimeoutError:
                pass
            finally:
                socket.transport.abort()

    async def _converse(self, socket: ClientConnection) -> None:
        """Send and receive until `done`.

        Raises ConnectionClosed when the connection ends before, TimeoutError when not even heartbeats come.
        """
        quiet_s = _QUIET_HEARTBEATS * float(self.ready.get("heartbeat_s", 10.0))
        writer = asyncio.create_task(self._write(socket), name="live-session-writer")
        try:
            while True:
                async with asyncio.timeout(quiet_s):
                    event: Event = json.loads(await socket.recv())
                self._receive(event)
                if event["type"] == "done":
                    return
        finally:
            writer.cancel()
            with suppress(asyncio.CancelledError, ConnectionClosed):
                await writer

    async def _write(self, socket: ClientConnection) -> None:
        while True:
            message = self._outbox.next()
            if message is None:
                self._something_to_send.clear()
                await self._something_to_send.wait()
            else:
                await socket.send(message)

    def _receive(self, event: Event) -> None:
        if event["type"] == "error" and event.get("fatal"):
            self._fault = _fault(event)
        number = int(event.get("event", 0))
        if number <= self._last_event:  # sent again after a resume, or said to the connection only
            return
        self._last_event = number
        if event["type"] == "ack":
            if event["received"] > self._received:
                self._received, self._fruitless = event["received"], 0
            self._outbox.committed(event["committed"])
            self._room.set()
        self._events.put_nowait(event)

    async def _resume(self, code: int) -> ClientConnection:
        """A new connection to the session that closed with `code`; raises ClientError when there is none to be had."""
        self._give_up_if_final(code)
        self._events.put_nowait({"type": "connection", "state": "lost"})
        loop = asyncio.get_running_loop()
        patience_s = self._reconnect_s if self._reconnect_s is not None else float(self.ready.get("resume_s", 60.0))
        deadline = loop.time() + patience_s
        wait_s = _FIRST_WAIT_S
        self._fruitless += 1
        while self._fruitless <= _FRUITLESS_ATTEMPTS:
            # Spread out, so that the clients of a restarted server do not come all at once.
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
            try:
                socket = await self._open(
                    {
                        "type": "resume",
                        "session": self.ready["session"],
                        "token": self.ready["token"],
                        "last_event": self._last_event,
                    },
                    "resumed",
                )
            except ClientError as error:
                final = error.status in FINAL_CODES or (error.status is not None and 400 <= error.status < 500)
                if final or loop.time() >= deadline:
                    raise
                self._fault = error
                wait_s = min(max(wait_s * 2, error.retry_after_s or 0.0), _LONGEST_WAIT_S)
                continue
            self.n_resumed += 1
            self._fault = None
            self._events.put_nowait({"type": "connection", "state": "resumed", "restored": self._restored})
            return socket
        raise self._fault or ConnectionLost("The connection keeps breaking.", code="connection_lost")

    def _give_up_if_final(self, code: int) -> None:
        if code not in FINAL_CODES:
            return
        fault = self._fault or ClientError(f"The server closed the session ({code}).", code="closed")
        fault.status = code
        raise fault

    async def _open(self, greeting: Event, expected: str) -> ClientConnection:
        """Connect, send `greeting`, and read up to the `expected` answer. Raises ClientError."""
        try:
            # No pings: a server that has enough to work off does not read, but its heartbeats come all the same.
            socket = await connect(self.url, additional_headers=self._headers, max_size=2**24, ping_interval=None)
        except InvalidStatus as error:
            status = error.response.status_code
            raise ClientError(f"{self.url} answered {status}.", code="refused", status=status) from error
        except (OSError, InvalidHandshake, TimeoutError) as error:
            raise ServerUnreachable(
                f"No server answers at {self.url}: {reason_of(error)}.", code="unreachable"
            ) from error
        try:
            async with asyncio.timeout(_ANSWER_S):
                with suppress(ConnectionClosed):  # a refusal may come first, and is still to be read
                    await socket.send(json.dumps(greeting))
                while True:
                    event: Event = json.loads(await socket.recv())
                    if event["type"] == "error" and event.get("fatal"):
                        self._fault = _fault(event)
                    elif event["type"] == expected:
                        self._greeted(event)
                        return socket
        except TimeoutError as error:
            await socket.close()
            raise ServerUnreachable(f"{self.url} does not answer.", code="unreachable") from error
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd is not None else None
            fault, self._fault = self._fault, None
            fault = fault or ConnectionLost("The server closed the connection at once.", code="closed")
            fault.status = code
            raise fault from closed
        except BaseException:
            await socket.close()
            raise

    def _greeted(self, event: Event) -> None:
        if event["type"] == "ready":
            self.ready = event
            self._last_event = int(event["event"])
            self._events.put_nowait(event)
        else:
            try:
                self._outbox.resend_from(int(event["frames"]))
                self._restored = bool(event.get("restored"))
                # A server that was started again has taken less than the one before had.
                self._received = min(self._received, int(event["frames"]))
            except ValueError as error:
                raise ClientError(str(error), code="protocol_error", status=1002) from error


def stream_url(url: str) -> str:
    """The WebSocket address for what people write: host, http address, with or without path."""
    if "://" not in url:
        url = f"ws://{url}"
    scheme, host, path, query, _ = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(scheme, scheme)
    return urlunsplit((scheme, host, path if path.strip("/") else "/ws/stream", query, ""))


def _fault(event: Event) -> ClientError:
    return ClientError(
        str(event.get("message", "")), code=str(event.get("code", "error")), retry_after_s=event.get("retry_after_s")
    )
