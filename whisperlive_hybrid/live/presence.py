"""Whether the client of a session is there, and what is due while it is silent. Pure."""

from __future__ import annotations


class Presence:
    """Three clocks, in seconds: heartbeats to the client, how long it may say nothing at all (`idle_s`), and when it
    will not go on with what it was saying (`flush_after_s`; None: it may pause as long as it likes)."""

    def __init__(self, now: float, *, heartbeat_s: float, idle_s: float, flush_after_s: float | None) -> None:
        self.idle_s = idle_s
        self._heartbeat_s = heartbeat_s
        self._flush_after_s = flush_after_s
        self._touched = self._heartbeat_at = now

    def touch(self, now: float) -> None:
        """Something came from the client."""
        self._touched = now

    def greet(self, now: float) -> None:
        """It has a new connection."""
        self._touched = self._heartbeat_at = now

    @property
    def heartbeat_at(self) -> float:
        """When the next heartbeat is due."""
        return self._heartbeat_at + self._heartbeat_s

    def beat(self, now: float) -> bool:
        """Whether a heartbeat is due; if so it counts as sent."""
        if now < self.heartbeat_at:
            return False
        self._heartbeat_at = now
        return True

    def idle_at(self, now: float, *, busy: bool) -> float:
        """When it has been silent for too long; not while the session is still busy with what it said."""
        return (now if busy else self._touched) + self.idle_s

    def quiet_at(self) -> float | None:
        """When it has sent nothing for so long that what it said is taken for complete; None: never."""
        return None if self._flush_after_s is None else self._touched + self._flush_after_s
