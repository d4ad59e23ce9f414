"""Voice activity for all streams of the server: while one call runs in its thread, the next collects.

Live streams go first. A file's block is scored in slices of `SLICE` frames, one slice a call, files taking turns: a
live frame waits for a file at most as long as one slice takes (about 2 ms), and files always get on. While no live
stream is open, slices are as large as a file's blocks, which saves a fifth of a file's cost.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from whisperlive_hybrid.audio.samples import EMPTY, Samples
from whisperlive_hybrid.errors import Conflict, Unavailable
from whisperlive_hybrid.speech.silero import FRAME, START, FramesDue, Scored, Silero, VadState
from whisperlive_hybrid.speech.vad_snapshot import pack, unpack

log = logging.getLogger(__name__)

Priority: TypeAlias = Literal["live", "file"]

SLICE: Final = 64
"""Most frames of one stream in one call while anybody is live."""
FILE_SLICE: Final = 320
"""Most frames of a file in one call while nobody is."""

_NONE = np.zeros(0, np.float32)


@dataclass(eq=False, slots=True)
class _Request:
    """Frames that somebody waits for, and what is scored of them."""

    stream: VadStream
    samples: Samples
    answer: asyncio.Future[NDArray[np.float32]]
    scored: list[NDArray[np.float32]] = field(default_factory=list)
    n_done: int = 0

    def due(self, n_frames: int) -> FramesDue:
        """The next slice of at most so many frames."""
        begin = self.n_done * FRAME
        return FramesDue(self.stream.state, self.samples[begin : begin + n_frames * FRAME])


class VadStream:
    """The voice activity of one stream. One call of `probabilities` at a time."""

    def __init__(self, batcher: VadBatcher, priority: Priority, snapshot: bytes | None = None) -> None:
        self.state: VadState = START
        self.priority = priority
        self._batcher = batcher
        self._remainder: Samples = EMPTY
        if snapshot is not None:
            self.state, self._remainder = unpack(snapshot)
        self._request: _Request | None = None
        self._closed = False

    async def probabilities(self, samples: Samples) -> NDArray[np.float32]:
        """Probability of speech for every complete 512-sample frame so far: float32 [n_frames], n_frames may be 0.

        What is left over is kept for the next call. A cancelled call's frames are left out of the stream.
        Raises Conflict when the stream is closed or already asked, Unavailable when the server's VAD is closed.
        """
        if self._closed:
            raise Conflict("This voice activity stream is closed.", code="vad_stream_closed")
        if self._request is not None:
            raise Conflict("This voice activity stream is already being asked.", code="vad_stream_busy")
        heard = np.concatenate([self._remainder, samples]) if len(self._remainder) else samples
        whole = len(heard) // FRAME * FRAME
        self._remainder = heard[whole:].copy()
        if not whole:
            return _NONE
        self._request = request = _Request(self, heard[:whole], asyncio.get_running_loop().create_future())
        try:
            self._batcher._add(request)
            return await request.answer
        finally:
            self._request = None

    @property
    def unscored(self) -> int:
        """Samples heard of the frame that is not complete yet."""
        return len(self._remainder)

    def snapshot(self) -> bytes:
        """The state between two calls of `probabilities`, which `VadBatcher.open` goes on from exactly.

        Raises Conflict while a call is waiting.
        """
        if self._request is not None:
            raise Conflict("This voice activity stream is being asked.", code="vad_stream_busy")
        return pack(self.state, self._remainder)

    def close(self) -> None:
        """Forget the stream; a call that waits raises Conflict. May be called at any time, more than once."""
        if not self._closed:
            self._closed = True
            self._batcher._forget(self)
        self._remainder = EMPTY
        if self._request is not None and not self._request.answer.done():
            self._request.answer.set_exception(
                Conflict("This voice activity stream was closed.", code="vad_stream_closed")
            )


class VadBatcher:
    """The server's one voice activity detector. Lives on one event loop; costs nothing while no frame is due."""

    def __init__(self, silero: Silero | None = None) -> None:
        self._silero = silero
        self._live: deque[_Request] = deque()
        self._files: deque[_Request] = deque()
        self._n_live = 0
        """Live streams that are open."""
        self._thread: ThreadPoolExecutor | None = None
        self._driver: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vad")
        if self._silero is None:
            self._silero = await asyncio.get_running_loop().run_in_executor(self._thread, Silero)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        thread, self._thread = self._thread, None
        self._fail([*self._live, *self._files], Unavailable("The server is shutting down.", code="shutting_down"))
        if self._driver is not None:
            await self._driver
        if thread is not None:
            thread.shutdown()

    def open(self, priority: Priority = "live", snapshot: bytes | None = None) -> VadStream:
        """A new stream that has heard nothing, or goes on from `snapshot`. Raises BadInput (bad_snapshot)."""
        stream = VadStream(self, priority, snapshot)
        self._n_live += priority == "live"
        return stream

    def _forget(self, stream: VadStream) -> None:
        self._n_live -= stream.priority == "live"

    def _add(self, request: _Request) -> None:
        if self._thread is None:
            raise Unavailable("Voice activity detection is not running.", code="shutting_down")
        (self._live if request.stream.priority == "live" else self._files).append(request)
        if self._driver is None:
            self._driver = asyncio.create_task(self._drive(), name="vad")

    async def _drive(self) -> None:
        """Run calls until nothing is due."""
        loop = asyncio.get_running_loop()
        try:
            while (requests := self._next_call()) and self._thread is not None and self._silero is not None:
                n_frames = SLICE if self._n_live else FILE_SLICE
                due = [request.due(n_frames) for request in requests]
                try:
                    scored = await loop.run_in_executor(self._thread, self._silero.score, due)
                except Exception as error:
                    log.exception("voice activity call failed")
                    failure = Unavailable(f"Voice activity detection failed: {error}", code="vad_failed")
                    self._fail(requests, failure)
                else:
                    self._hand_out(requests, scored)
        finally:
            self._driver = None

    def _next_call(self) -> list[_Request]:
        """All live requests and one file's; those that nobody waits for any more are dropped."""
        requests = [request for request in self._live if not request.answer.done()]
        self._live.clear()
        while self._files:
            request = self._files.popleft()
            if not request.answer.done():
                requests.append(request)
                break
        return requests

    def _hand_out(self, requests: list[_Request], scored: list[Scored]) -> None:
        """Give results to those that have all, and queue the others' next slice (behind the other files')."""
        for request, result in zip(requests, scored, strict=True):
            if request.answer.done():  # cancelled or closed meanwhile
                continue
            request.stream.state = result.state
            request.scored.append(result.probabilities)
            request.n_done += len(result.probabilities)
            if request.n_done * FRAME < len(request.samples):
                (self._live if request.stream.priority == "live" else self._files).append(request)
            elif len(request.scored) == 1:
                request.answer.set_result(request.scored[0])
            else:
                request.answer.set_result(np.concatenate(request.scored))

    @staticmethod
    def _fail(requests: list[_Request], error: Unavailable) -> None:
        for request in requests:
            if not request.answer.done():
                request.answer.set_exception(error)
