"""What another process needs to go on with a session, and how it is written before the client hears of it.

A checkpoint is a place in the audio between two binary messages from which nothing but ended utterances is needed, the
decoder and the voice activity as they were there, and what the session remembers of all it has told. Finals are written
with it, one entry each, so that a client that missed them can be told again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import msgspec

from whisperlive_hybrid.diarization.speaker_book import Book
from whisperlive_hybrid.errors import HybridError, Unavailable
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.live.events import Event, Final
from whisperlive_hybrid.live.frames import Mark
from whisperlive_hybrid.live.replay import Numbered
from whisperlive_hybrid.live.state import SessionState

log = logging.getLogger(__name__)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """See above."""

    options: LiveOptions
    state: SessionState
    mark: Mark
    next_number: int
    """Of events."""
    floor: int
    """Finals up to this number are not kept."""
    book: Book | None = None
    """Whose voices are known, where speakers are told apart."""


class Written(Protocol):
    """A record as a store gives it back."""

    @property
    def body(self) -> bytes:
        """A checkpoint."""
        ...

    @property
    def entries(self) -> Sequence[tuple[int, bytes]]:
        """Finals."""
        ...


class Store(Protocol):
    """Where checkpoints are kept. All methods raise HybridError when it cannot be read or written."""

    async def create(self, id: str, secret: str, body: bytes) -> None:
        """A new record, of this process."""
        ...

    async def save(self, id: str, body: bytes, entries: Sequence[tuple[int, bytes]] = (), forget_upto: int = 0) -> bool:
        """Replace its bytes, add entries, drop the oldest. Returns once that is safe; False: it is not ours."""
        ...

    async def take(self, id: str, secret: str) -> Written | None:
        """Become its owner. None: there is none, or the secret is another one."""
        ...

    async def owns(self, id: str) -> bool:
        """It is this process's."""
        ...

    async def let_go(self, id: str) -> None:
        """Own it no longer: another may take it, and it expires."""
        ...

    async def delete(self, id: str) -> None:
        """Forget it, if it is this process's."""
        ...


def pack(checkpoint: Checkpoint) -> bytes:
    """A checkpoint as bytes."""
    return _encode(checkpoint)


def unpack(body: bytes) -> Checkpoint:
    """The checkpoint in `body`. Raises Unavailable when another version of the server wrote it."""
    return _decode(body, Checkpoint)


def pack_finals(finals: Iterable[Numbered]) -> list[tuple[int, bytes]]:
    """Finals as entries."""
    return [(n.number, _encode(n.event)) for n in finals]


def unpack_finals(entries: Iterable[tuple[int, bytes]]) -> list[Numbered]:
    """The finals in `entries`. Raises Unavailable as `unpack` does."""
    return [Numbered(number, _decode(body, Final)) for number, body in entries]


def _encode(value: Checkpoint | Event) -> bytes:
    return msgspec.msgpack.encode(value, enc_hook=_plain)


def _plain(value: object) -> float:
    """Times may be numpy's floats, which are floats to everybody else."""
    if isinstance(value, float):
        return float(value)
    raise TypeError(f"no plain form for {type(value).__name__}")


def _decode(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except (msgspec.DecodeError, ValueError) as error:
        raise Unavailable(f"The checkpoint cannot be read: {error}", code="bad_checkpoint") from None


class Checkpointer:
    """Writes one session's checkpoints, one after another; what comes meanwhile is written together.

    `on_written(checkpoint, finals, safe)`: it is safe now, or (`safe` False) cannot be written; with how many new
    finals. `on_lost()`: another process has the session; nothing more will be written. Without a `store` all is safe
    at once.
    """

    def __init__(
        self,
        id: str,
        store: Store | None,
        on_written: Callable[[Checkpoint, int, bool], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._id = id
        self._store = store
        self._on_written = on_written
        self._on_lost = on_lost
        self._pending: Checkpoint | None = None
        self._finals: list[Numbered] = []
        self._n_new = 0
        """Finals among them that nobody was told of."""
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    @property
    def idle(self) -> bool:
        """Nothing is being written."""
        return self._task is None

    def write(self, checkpoint: Checkpoint, finals: Sequence[Numbered]) -> None:
        """Write it with the new `finals`, as soon as what is being written is."""
        if self._store is None:
            self._on_written(checkpoint, len(finals), True)
            return
        self._pending = checkpoint
        self._finals = [f for f in self._finals if f.number > checkpoint.floor] + list(finals)
        self._n_new += len(finals)
        if self._task is None:
            self._task = asyncio.create_task(self._drive(self._store), name=f"live {self._id} checkpoint")

    async def close(self) -> None:
        """Finish what is to be written."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    async def _drive(self, store: Store) -> None:
        while (checkpoint := self._pending) is not None:
            finals, n_new = list(self._finals), self._n_new
            self._pending, self._n_new = None, 0
            safe = True
            try:
                kept = await store.save(self._id, pack(checkpoint), pack_finals(finals), checkpoint.floor)
            except Exception as error:  # whatever it is, the client is not to wait for it
                if not self._failing:
                    log.error(
                        "live session %s: no checkpoint can be written: %s",
                        self._id,
                        error,
                        exc_info=not isinstance(error, HybridError),
                    )
                kept, safe = True, False
            else:
                newest = finals[-1].number if finals else 0
                self._finals = [f for f in self._finals if f.number > newest]
            self._failing = not safe
            last = self._pending is None or not kept
            if last:
                self._task = None  # whoever is told may ask for the next one
            if kept:
                self._on_written(checkpoint, n_new, safe)
            else:
                self._on_lost()
            if last:
                return
