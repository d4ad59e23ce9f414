"""Which binary messages a session has taken, and which of them a client may forget. Pure.

A message is known by its number: the first binary message of a session is 0. Where it ends on the session's audio clock
is known once it is decoded; it is committed once everything before that position is final text or was not speech, and
once the end of that message, or of one behind it, is marked: a place where another process could go on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mark:
    """A place between two messages."""

    frames: int = 0
    """Messages before it."""
    position: int = 0
    """Samples before it."""
    decoder: bytes = b""
    """Snapshot of the decoder there, if any was taken."""
    vad: bytes = b""
    """The same of the voice activity."""


class FrameLedger:
    """Binary messages in order, from the mark `begin` on. Memory: the marks that are not yet committed."""

    def __init__(self, begin: Mark | None = None) -> None:
        self._settled = begin or Mark()
        self._received = self._decoded = self._settled.frames
        self._end = self._settled.position
        self._marks: deque[Mark] = deque()

    @property
    def received(self) -> int:
        """Messages taken since the session began; also the number of the next one."""
        return self._received

    @property
    def committed(self) -> int:
        """Messages whose text is final, or which held no speech."""
        return self._settled.frames

    @property
    def settled(self) -> Mark:
        """Where the committed messages end."""
        return self._settled

    @property
    def unmarked(self) -> int:
        """Samples decoded since the newest mark."""
        return self._end - (self._marks[-1] if self._marks else self._settled).position

    def take(self) -> int:
        """One more message is in the server's hands; returns its number."""
        self._received += 1
        return self._received - 1

    def decoded(self, end: int) -> None:
        """The oldest message not decoded yet ends before sample `end` (it may have held none)."""
        if self._decoded == self._received:
            raise ValueError("more messages decoded than were taken")
        if end < self._end:
            raise ValueError(f"message ends at {end}, before the one it follows ({self._end})")
        self._decoded += 1
        self._end = end

    def mark(self, decoder: bytes = b"", vad: bytes = b"") -> None:
        """Another process could go on after the newest decoded message, with these snapshots."""
        self._marks.append(Mark(self._decoded, self._end, decoder, vad))

    def settle(self, position: int) -> int:
        """Everything before sample `position` is final; returns how many messages are committed now."""
        while self._marks and self._marks[0].position <= position:
            self._settled = self._marks.popleft()
        return self._settled.frames
