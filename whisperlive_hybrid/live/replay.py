"""The events of one session: numbered when they go out, kept for a client that comes back. Pure.

Two lists. `waiting` holds events that nobody has taken yet; as long as an event waits, a newer one may make it
superfluous (a slow client gets the newest tentative text and every final, not every step between). An event gets its
number when it is taken, so numbers have no gaps. Taken events stay in a ring; a client that resumes after event n is
given again all that came after it. What is said to a connection and not to the session (`resumed`, a takeover) repeats
the number of the event before it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from whisperlive_hybrid.errors import NotFound
from whisperlive_hybrid.live import events
from whisperlive_hybrid.live.events import Ack, Event, Heartbeat, Partial, Status

RING_EVENTS: Final = 2048
"""Taken events kept: several minutes of a lively session. A broken connection loses seconds, not minutes, of them."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """An event with its number in the session, from 1."""

    number: int
    event: Event


class EventLog:
    """What a session has to tell and has told."""

    def __init__(self, ring_events: int = RING_EVENTS) -> None:
        self._taken: deque[Numbered] = deque(maxlen=ring_events)
        self._next = 1
        """Number of the next event taken for the first time."""
        self._again: deque[Numbered] = deque()
        """Taken events that the present client has to be given again, before all waiting ones."""
        self._waiting: list[Event] = []

    @property
    def last_number(self) -> int:
        """Number of the newest event taken, 0 when there is none."""
        return self._next - 1

    @property
    def n_waiting(self) -> int:
        """Events nobody has taken yet."""
        return len(self._waiting) + len(self._again)

    def push(self, event: Event) -> None:
        """Add an event; waiting ones that it makes superfluous go."""
        match event:
            case Ack() | Heartbeat() | Status():
                self._waiting = [e for e in self._waiting if type(e) is not type(event)]
            case Partial():
                event = self._merge_partial(event)
            case events.Final():
                self._waiting = [
                    e for e in self._waiting if not (isinstance(e, Partial) and e.segment == event.segment)
                ]
            case _:
                pass
        self._waiting.append(event)

    def _merge_partial(self, event: Partial) -> Partial:
        """`event` with the words of waiting partials of its segment, which leave the list."""
        older = [e for e in self._waiting if isinstance(e, Partial) and e.segment == event.segment]
        if older:
            self._waiting = [e for e in self._waiting if e not in older]
            event = replace(event, append="".join(e.append for e in older) + event.append)
        return event

    def take(self) -> Numbered | None:
        """The next event to send, or None."""
        if self._again:
            return self._again.popleft()
        if not self._waiting:
            return None
        numbered = Numbered(self._next, self._waiting.pop(0))
        self._next += 1
        self._taken.append(numbered)
        return numbered

    def rewind(self, last_event: int) -> None:
        """Give all events after number `last_event` again.

        Raises NotFound when some of them are no longer kept, or were never sent.
        """
        oldest = self._taken[0].number if self._taken else self._next
        if last_event > self.last_number or last_event < oldest - 1:
            raise NotFound(
                f"Events after number {last_event} are not kept; those after {oldest - 1} to {self.last_number} are.",
                kind="event",
                id=str(last_event),
                code="events_gone",
            )
        self._again = deque(n for n in self._taken if n.number > last_event)
