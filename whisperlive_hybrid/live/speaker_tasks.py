"""The speakers of one session's segments: each is listened to behind its final, in order, and told as an event."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from whisperlive_hybrid.audio.samples import Samples
from whisperlive_hybrid.diarization.clustering import KnownVoice
from whisperlive_hybrid.diarization.speaker_book import Book, BookRules, Named, add
from whisperlive_hybrid.diarization.turns import KnownSpeaker
from whisperlive_hybrid.diarization.voices import Region, pieces_of
from whisperlive_hybrid.errors import HybridError, Refused
from whisperlive_hybrid.live.actions import Listen
from whisperlive_hybrid.live.events import Event, Failed, SpeakerNamed

log = logging.getLogger(__name__)

MAX_WAITING: Final = 32
"""Segments of one session that wait for their speakers; more go without."""
LAST_WAIT_S: Final = 15.0
"""A session that is over waits so long for the speakers of its last segments."""


class Listener(Protocol):
    """What the live room needs of the diarization room."""

    async def warm(self) -> None:
        """Be ready soon. Raises Unavailable."""
        ...

    async def regions_of_segment(self, samples: Samples) -> list[Region]:
        """Voices in float32 [n]. Raises Refused, Unavailable."""
        ...

    async def learn(self, speaker: KnownSpeaker) -> KnownVoice:
        """A known speaker's voice. Raises BadInput, Unavailable."""
        ...


class SpeakerTasks:
    """See above. `tell` is given the events; `on_idle` is called when no segment waits any more.

    `book` is what is remembered of the voices: a value, replaced with every segment. Where a segment's speaker is not
    known within `within_s`, that nobody is known yet is told first.
    """

    def __init__(
        self,
        owner: str,
        listener: Listener,
        book: Book,
        *,
        max_speakers: int | None,
        within_s: float | None = None,
        tell: Callable[[Event], None],
        on_idle: Callable[[], None],
        rules: BookRules | None = None,
    ) -> None:
        self.book = book
        self._owner = owner
        self._listener = listener
        self._max_speakers = max_speakers
        self._within_s = within_s
        self._tell = tell
        self._on_idle = on_idle
        self._rules = rules or BookRules()
        self._waiting: deque[tuple[Listen, asyncio.Task[list[Region]]]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._warming = asyncio.create_task(self._warm(), name=f"live {owner} speakers warm up")
        self._complained = False
        self._closed = False

    @property
    def idle(self) -> bool:
        """No segment waits for its speaker."""
        return self._task is None

    def start(self, listen: Listen) -> None:
        """Find out who speaks in a segment."""
        if len(self._waiting) >= MAX_WAITING:
            self._nobody(listen.segment, "speakers_full", f"{MAX_WAITING} segments wait for their speakers already.")
            return
        hearing = asyncio.create_task(
            self._listener.regions_of_segment(listen.samples), name=f"live {self._owner} segment {listen.segment}"
        )
        self._waiting.append((listen, hearing))
        if self._within_s is not None:
            asyncio.get_running_loop().call_later(self._within_s, self._tell_late, listen)
        if self._task is None and not self._closed:
            self._task = asyncio.create_task(self._drive(), name=f"live {self._owner} speakers")

    def _tell_late(self, listen: Listen) -> None:
        if not self._closed and any(waiting is listen for waiting, _ in self._waiting):
            self._tell(SpeakerNamed(listen.segment, None, 0.0))

    def give_up(self) -> None:
        """Nobody waits any longer: what waits goes without a speaker."""
        for listen, hearing in self._waiting:
            hearing.cancel()
            self._nobody(listen.segment, "speakers_late", "it takes too long.")
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def close(self) -> None:
        """Cancel all."""
        self._closed = True
        tasks = [self._warming, *(hearing for _, hearing in self._waiting)]
        if self._task is not None:
            tasks.append(self._task)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _warm(self) -> None:
        try:
            await self._listener.warm()
        except HybridError as error:
            self._complain(error.code, error.message)

    async def _drive(self) -> None:
        while self._waiting:
            listen, hearing = self._waiting[0]
            try:
                regions = await hearing
                await self._add(listen, regions)
            except HybridError as error:
                full = isinstance(error, Refused)
                self._nobody(listen.segment, error.code, error.message, again=full)
            except Exception:
                log.exception("live session %s: the speaker of segment %d", self._owner, listen.segment)
                self._nobody(listen.segment, "internal_error", "Our fault; the server's log says more.")
            self._waiting.popleft()
        self._task = None
        self._on_idle()

    async def _add(self, listen: Listen, regions: Sequence[Region]) -> None:
        pieces = [piece for region in regions for piece in pieces_of(region.moved(listen.start), self._rules.change)]
        # A few milliseconds of arithmetic, which is more than the event loop should wait.
        self.book, named = await asyncio.to_thread(
            add, self.book, listen.segment, pieces, self._rules, self._max_speakers
        )
        self._tell(event_of(named))

    def _nobody(self, segment: int, code: str, message: str, *, again: bool = False) -> None:
        self._complain(code, message)
        self._complained = self._complained and not again
        self._tell(SpeakerNamed(segment, None, 0.0))

    def _complain(self, code: str, message: str) -> None:
        """Say what is wrong once, not with every segment."""
        if not self._complained:
            self._complained = True
            self._tell(Failed(code, f"Speakers cannot be told apart: {message}", fatal=False))


def event_of(named: Named) -> SpeakerNamed:
    """What a client is told."""
    return SpeakerNamed(named.segment, named.speaker, round(named.confidence, 3), named.also, named.turns)


def all_again(book: Book) -> SpeakerNamed | None:
    """All that is remembered, for a client that may have missed it; None if that is nothing."""
    newest: dict[int, str | None] = {}
    for piece in book.newest:
        name = book.name_of(piece.speaker)
        newest[piece.segment] = newest.get(piece.segment) or name
    if not newest:
        return None
    *earlier, (segment, speaker) = newest.items()
    return SpeakerNamed(segment, speaker, 0.0, tuple(earlier))
