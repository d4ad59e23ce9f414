"""How a session ends: what is said last, and how the connection is closed then. Pure.

goes on ──end──► ends: what was heard is made final ──all_final──┐
   │                                                             ▼
   └──say (after `stop`)──► or held for the last speakers ──► last words ──(checkpoint is safe) depart──► closing
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from whisperlive_hybrid.live.events import Event


@dataclass(frozen=True, slots=True)
class Closing:
    """The connection is to be closed with this WebSocket code."""

    code: int
    reason: str


Words: TypeAlias = tuple[Event | None, Closing]
"""An event, if there is something to tell, and how to close behind it."""


class Parting:
    """See above. What was settled on first is what is said."""

    def __init__(self) -> None:
        self.closing: Closing | None = None
        """Set when everything is told."""
        self.leaving = False
        """What runs is left to another process: only finals under way are waited for."""
        self._reason: Words | None = None
        self._held: Words | None = None
        self._last: Words | None = None

    @property
    def ending(self) -> bool:
        """It ends for another reason than `stop`; nothing more is taken from the client."""
        return self._reason is not None

    @property
    def settled(self) -> bool:
        """All is final: the last words wait for nothing but the checkpoint."""
        return self._last is not None

    def end(self, event: Event | None, closing: Closing) -> None:
        """Say this once everything that was heard is final."""
        self._reason = (event, closing)

    def leave_to_another(self, closing: Closing) -> None:
        """As `end`, but what runs is not made final."""
        self.leaving = True
        self.end(None, closing)

    def all_final(self) -> None:
        """Nothing is waited for any more: what `end` was given is said, if it was given something."""
        self._last = self._last or self._reason

    def say(self, event: Event | None, closing: Closing) -> None:
        """All is told: these are the last words."""
        self._last = self._last or (event, closing)

    def hold(self, event: Event | None, closing: Closing) -> bool:
        """As `say`, once `release` is called; whether nothing was held before."""
        if self._held is not None:
            return False
        self._held = (event, closing)
        return True

    def release(self) -> bool:
        """What is held need not wait any longer; whether it becomes the last words by that."""
        if self._held is None or self._last is not None:
            return False
        self._last = self._held
        return True

    def depart(self) -> Event | None:
        """The last words are said now; `closing` is set. Raises ValueError while there are none."""
        if self._last is None:
            raise ValueError("there are no last words yet")
        event, self.closing = self._last
        return event
