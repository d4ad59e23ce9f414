"""How far a session is with its client's audio: what to acknowledge, and when to write a checkpoint. Pure.

`received` is told soon. `committed` is told only once a checkpoint holds it, since a client forgets what is committed:
a process that died must not have to ask for it. Each final has its checkpoint; in silence one comes now and then.
"""

from __future__ import annotations

from typing import Final

from whisperlive_hybrid.live.events import Ack
from whisperlive_hybrid.live.frames import FrameLedger, Mark

ACK_INTERVAL_S: Final = 0.5
SILENT_INTERVAL_S: Final = 5.0
"""Between checkpoints that no final asks for."""


class Progress:
    """See above. `silent_interval_s`: 0 where a checkpoint costs nothing."""

    def __init__(self, now: float, begin: Mark | None = None, silent_interval_s: float = SILENT_INTERVAL_S) -> None:
        self.frames = FrameLedger(begin)
        self._silent_interval_s = silent_interval_s
        self._written = self._asked = self.frames.committed
        """Messages that are committed in a checkpoint: one that is written, one that is asked for."""
        self._asked_at = now - silent_interval_s
        self._acked = Ack(self.frames.received, self._written)
        self._acked_at = now

    def checkpoint_due(self, now: float) -> bool:
        """Messages were committed, and no checkpoint has been asked for lately."""
        return self.frames.committed > self._asked and now >= self._asked_at + self._silent_interval_s

    def ask(self, now: float) -> Mark:
        """A checkpoint is being written: the place it is to name."""
        self._asked, self._asked_at = self.frames.committed, now
        return self.frames.settled

    def written(self, frames: int) -> None:
        """A checkpoint that names `frames` messages is safe."""
        self._written = max(self._written, frames)

    def not_written(self) -> None:
        """It could not be written: ask again after the interval."""
        self._asked = self._written

    def ack(self, now: float, *, force: bool = False) -> Ack | None:
        """What to tell, if that is news; not too often unless forced."""
        ack = Ack(self.frames.received, self._written)
        if ack == self._acked or not (force or now >= self._acked_at + ACK_INTERVAL_S):
            return None
        self._acked, self._acked_at = ack, now
        return ack

    def next_deadline(self) -> float | None:
        """When `ack` or `checkpoint_due` would have something to say, if nothing else happens."""
        times = []
        if self._acked.received != self.frames.received or self._acked.committed != self._written:
            times.append(self._acked_at + ACK_INTERVAL_S)
        if self.frames.committed > self._asked:
            times.append(self._asked_at + self._silent_interval_s)
        return min(times, default=None)
