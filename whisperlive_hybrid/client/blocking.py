"""The live session for programs without an event loop: the same session, on a loop in a thread of its own."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any

from .live import Event, LiveSession
from .loop_thread import LoopThread


class BlockingLiveSession:
    """`with BlockingLiveSession(url, codec="pcm_s16le") as session`: as LiveSession, every call waits.

    One thread may send while another iterates over the events.
    """

    def __init__(self, url: str = "ws://127.0.0.1:5050/ws/stream", **options: Any) -> None:
        """Arguments are those of LiveSession."""
        self._url, self._options = url, options
        self._loop = LoopThread("live-session")
        self._session: LiveSession | None = None

    @property
    def ready(self) -> Event:
        """The server's `ready` message."""
        return self._open_session().ready

    def __enter__(self) -> BlockingLiveSession:
        self._loop.start()
        try:
            self._session = self._loop.wait_for(self._start())
        except BaseException:
            self._loop.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._loop.wait_for(self._open_session().close())
        finally:
            self._loop.end()

    def send(self, audio: bytes | bytearray | memoryview) -> None:
        """Send encoded audio, any amount."""
        self._loop.wait_for(self._open_session().send(audio))

    def flush(self) -> None:
        """Ask for finals of what was said so far."""
        self._loop.wait_for(self._open_session().flush())

    def stop(self) -> None:
        """No more audio."""
        self._loop.wait_for(self._open_session().stop())

    def __iter__(self) -> Iterator[Event]:
        while (event := self._loop.wait_for(self._next())) is not None:
            yield event

    async def _start(self) -> LiveSession:
        return await LiveSession(self._url, **self._options).__aenter__()

    async def _next(self) -> Event | None:
        return await anext(self._open_session(), None)

    def _open_session(self) -> LiveSession:
        if self._session is None:
            raise RuntimeError("the session is entered by `with`")
        return self._session
