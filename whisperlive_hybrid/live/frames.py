"""Which binary messages a session has taken, and which of them a client may forget. Pure.

A message is known by its number: the first binary message of a session is 0. Where it ends on the session's audio clock
is known once it is decoded; it is committed once everything before that position is final text or was not speech.
"""

from __future__ import annotations

from collections import deque


class FrameLedger:
    """Binary messages in order. Memory: one integer per message that is taken and not yet committed."""

    def __init__(self) -> None:
        self._received = 0
        self._decoded = 0
        self._committed = 0
        self._ends: deque[int] = deque()
        """End positions (samples) of the messages from `_committed` to `_decoded`."""

    @property
    def received(self) -> int:
        """Messages taken since the session began; also the number of the next one."""
        return self._received

    @property
    def committed(self) -> int:
        """Messages whose text is final, or which held no speech."""
        return self._committed

    def take(self) -> int:
        """One more message is in the server's hands; returns its number."""
        self._received += 1
        return self._received - 1

    def decoded(self, end: int) -> None:
        """The oldest message not decoded yet ends before sample `end` (it may have held none)."""
        if self._decoded == self._received:
            raise ValueError("more messages decoded than were taken")
        if self._ends and end < self._ends[-1]:
            raise ValueError(f"message ends at {end}, before the one it follows ({self._ends[-1]})")
        self._decoded += 1
        self._ends.append(end)

    def settle(self, position: int) -> int:
        """Everything before sample `position` is final; returns how many messages are committed now."""
        while self._ends and self._ends[0] <= position:
            self._ends.popleft()
            self._committed += 1
        return self._committed
