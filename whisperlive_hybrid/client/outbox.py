"""What a live session still has to say, and what it may have to say again. Pure: no socket, no clock.

The server counts binary messages (frames) from the start of the session and tells how many are *committed*: their text
is final. Until then a frame is kept here, because a server that lost the connection may ask for it once more.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

Message: TypeAlias = bytes | str
"""Binary messages are audio, text messages are JSON."""


@dataclass(frozen=True, slots=True)
class _Entry:
    message: Message
    frame: int
    """The frame's number; of a text message the number of frames before it."""


class Outbox:
    """Messages of one session in order, with a mark up to where they are sent on the present connection."""

    def __init__(self) -> None:
        self._entries: deque[_Entry] = deque()
        self._sent = 0
        """How many of the entries are sent."""
        self._n_frames = 0
        self._n_bytes = 0

    @property
    def n_bytes(self) -> int:
        """Bytes of audio kept."""
        return self._n_bytes

    @property
    def n_frames(self) -> int:
        """Frames added since the session began."""
        return self._n_frames

    def add(self, message: Message) -> None:
        """Append a frame or a text message."""
        self._entries.append(_Entry(message, self._n_frames))
        if isinstance(message, bytes):
            self._n_frames += 1
            self._n_bytes += len(message)

    def next(self) -> Message | None:
        """The next message to send, now counted as sent; None when all are."""
        if self._sent == len(self._entries):
            return None
        self._sent += 1
        return self._entries[self._sent - 1].message

    def committed(self, n_frames: int) -> None:
        """Forget frames before number `n_frames`, and text messages before the last of them.

        A text message behind the last frame stays: a `stop` holds until the server says `done`.
        """
        while self._sent > 0 and self._entries[0].frame < n_frames:
            message = self._entries.popleft().message
            self._sent -= 1
            if isinstance(message, bytes):
                self._n_bytes -= len(message)

    def resend_from(self, n_frames: int) -> None:
        """A new connection: everything from frame number `n_frames` on is to be sent (again).

        Raises ValueError when the server asks for a frame it has committed, or for one that does not exist yet.
        """
        oldest = next((e.frame for e in self._entries if isinstance(e.message, bytes)), self._n_frames)
        if not oldest <= n_frames <= self._n_frames:
            raise ValueError(f"frame {n_frames} was asked for; {oldest} to {self._n_frames} are kept")
        self._sent = next((i for i, e in enumerate(self._entries) if e.frame >= n_frames), len(self._entries))
