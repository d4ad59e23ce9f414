"""The live session for programs without an event loop: the same session, on a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from types import TracebackType
from typing import Any, TypeVar

from .live import Event, LiveSession

_T = TypeVar("_T")


class BlockingLiveSession:
    """`with BlockingLiveSession(url, codec="pcm_s16le") as session`: as LiveSession, every call waits.

    One thread may send while another iterates over the events.
    """

    def __init__(self, url: str = "ws://127.0.0.1:5050/ws/stream", **options: Any) -> None:
        """Arguments are those of LiveSession."""
        self._url, self._options = url, options
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="live-session", daemon=True)
        self._session: LiveSession | None = None

    @property
    def ready(self) -> Event:
        """The server's `ready` message."""
        return self._open_session().ready

    def __enter__(self) -> BlockingLiveSession:
        self._thread.start()
        try:
            self._session = self._wait_for(self._start())
        except BaseException:
            self._end_loop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._wait_for(self._open_session().close())
        finally:
            self._end_loop()

    def send(self, audio: bytes | bytearray | memoryview) -> None:
        """Send encoded audio, any amount."""
        self._wait_for(self._open_session().send(audio))

    def flush(self) -> None:
        """Ask for finals of what was said so far."""
        self._wait_for(self._open_session().flush())

    def stop(self) -> None:
        """No more audio."""
        self._wait_for(self._open_session().stop())

    def __iter__(self) -> Iterator[Event]:
        while (event := self._wait_for(self._next())) is not None:
            yield event

    async def _start(self) -> LiveSession:
        return await LiveSession(self._url, **self._options).__aenter__()

    async def _next(self) -> Event | None:
        return await anext(self._open_session(), None)

    def _open_session(self) -> LiveSession:
        if self._session is None:
            raise RuntimeError("the session is entered by `with`")
        return self._session

    def _wait_for(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
