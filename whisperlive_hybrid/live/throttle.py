"""How fast one client's audio is worked off: a leaky bucket, in seconds of audio. Pure.

Whoever sends faster than anybody speaks keeps decoders and voice activity at work that others share. What a client has
saved up while it was cut off passes at any speed; after that a stream is let in at a multiple of real time.
"""

from __future__ import annotations


class Throttle:
    """See above. `speed`: times real time, 0 for any; `burst_s` of audio pass at any speed."""

    def __init__(self, speed: float, burst_s: float, now: float) -> None:
        self._speed = speed
        self._burst_s = burst_s
        self._level_s = 0.0
        self._at = now

    def wait_s(self, audio_s: float, now: float) -> float:
        """`audio_s` more are there: how long to wait before they are worked off."""
        if self._speed <= 0:
            return 0.0
        self._level_s = max(0.0, self._level_s - (now - self._at) * self._speed) + audio_s
        self._at = now
        return max(0.0, self._level_s - self._burst_s) / self._speed
