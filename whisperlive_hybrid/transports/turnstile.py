"""How much of the server's time one client may take up. Pure: no clock, no I/O.

A message costs the server about as much whether it says something or not. Who sends more than anybody needs waits, by
not being read: its own socket fills, and nobody else notices.
"""

from __future__ import annotations

from typing import Final

CONTROL_PER_S: Final = 20.0
"""Messages that are not audio: pings, flushes, and what makes no sense."""
CONTROL_AT_ONCE: Final = 100.0
CONTROL_BYTES: Final = 2**14
"""A longer one counts as several."""
AUDIO_PER_S: Final = 500.0
"""Ten times what a client sends that makes a message of every 20 ms."""
AUDIO_AT_ONCE: Final = 6000.0
"""Such a client after two minutes without a connection."""


class Allowance:
    """So much a second, and so much at once after a while without any."""

    def __init__(self, per_s: float, at_once: float, now: float) -> None:
        self._per_s = per_s
        self._ahead_s = at_once / per_s
        self._full_at = now

    def wait_s(self, used: float, now: float) -> float:
        """`used` was taken: how long to wait before more is."""
        self._full_at = max(self._full_at, now) + used / self._per_s
        return max(0.0, self._full_at - now - self._ahead_s)


class Turnstile:
    """One client's messages: an allowance for audio and one for everything else."""

    def __init__(self, now: float) -> None:
        self._allowances = {
            True: Allowance(AUDIO_PER_S, AUDIO_AT_ONCE, now),
            False: Allowance(CONTROL_PER_S, CONTROL_AT_ONCE, now),
        }

    def wait_s(self, *, audio: bool, now: float, length: int = 0) -> float:
        """A message of such length was read: how long to wait before the next one is."""
        return self._allowances[audio].wait_s(1 if audio else 1 + length / CONTROL_BYTES, now)
