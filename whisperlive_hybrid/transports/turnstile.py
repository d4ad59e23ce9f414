"""How many messages a second one client may have worked off. Pure: no clock, no I/O.

A message costs the server about as much whether it says something or not. Who sends more than anybody needs waits, by
not being read: its own socket fills, and nobody else notices.
"""

from __future__ import annotations

from typing import Final

CONTROL_PER_S: Final = 20.0
"""Messages that are not audio: pings, flushes, and what makes no sense."""
CONTROL_AT_ONCE: Final = 100.0
AUDIO_PER_S: Final = 500.0
"""Ten times what a client sends that makes a message of every 20 ms."""
AUDIO_AT_ONCE: Final = 6000.0
"""Such a client after two minutes without a connection."""


class Turnstile:
    """One client's. Two buckets, one for audio and one for everything else, each refilled at its rate."""

    def __init__(self, now: float) -> None:
        self._full_at = {True: now, False: now}
        """When each bucket is full again."""

    def wait_s(self, *, audio: bool, now: float) -> float:
        """A message was read: how long to wait before the next one is."""
        per_s, at_once = (AUDIO_PER_S, AUDIO_AT_ONCE) if audio else (CONTROL_PER_S, CONTROL_AT_ONCE)
        self._full_at[audio] = max(self._full_at[audio], now) + 1 / per_s
        return max(0.0, self._full_at[audio] - now - at_once / per_s)
