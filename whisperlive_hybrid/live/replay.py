"""The events of one session: numbered when they go out, kept for a client that comes back. Pure.

    push ──► waiting ──number──► ready ──take──► given (a ring; a client that resumes is given it again)

As long as an event waits, a newer one may make it superfluous (a slow client gets the newest tentative text and every
final, not every step between). It gets its number when it is taken, so numbers have no gaps. A final gets its number
at once, and all that waits before it too: it is written down under that number, and not given to anybody before it is
`released`, nor is what comes behind it. What is said to a connection and not to the session (`resumed`, a takeover)
repeats the number of the event before it.

A log that goes on in another process knows the finals only. It numbers on behind all that the client has seen, so the
numbers of events that died with the first process are missing between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from whisperlive_hybrid.errors import NotFound
from whisperlive_hybrid.live import events
from whisperlive_hybrid.live.events import Ack, Event, Heartbeat, Partial, Status

RING_EVENTS: Final = 2048
"""Given events kept: several minutes of a lively session. A broken connection loses seconds, not minutes, of them."""
MAX_UNWRITTEN: Final = 1_000_000
"""A client cannot have seen so many events since the newest final."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """An event with its number in the session, from 1."""

    number: int
    event: Event


class EventLog:
    """What a session has to tell and has told."""

    def __init__(self, ring_events: int = RING_EVENTS) -> None:
        self._given: deque[Numbered] = deque()
        self._ring_events = ring_events
        self._floor = 0
        """All events after this number are kept."""
        self._last = 0
        """Number of the newest event given."""
        self._next = 1
        """The next number."""
        self._again: deque[Numbered] = deque()
        """Given events that the present client has to be given again, before all others."""
        self._ready: deque[Numbered] = deque()
        """Numbered and not given."""
        self._waiting: list[Event] = []
        self._released = 0
        """Finals up to this number may be given."""

    @classmethod
    def restored(cls, finals: Iterable[Numbered], next_number: int, floor: int, last_event: int) -> EventLog:
        """Of a session that goes on: its `finals` after number `floor`, for a client that has seen `last_event`.

        Raises NotFound when finals after `last_event` are no longer kept.
        """
        if not floor <= last_event < next_number + MAX_UNWRITTEN:
            raise _gone(last_event, floor, next_number - 1)
        log = cls()
        log._floor = last_event
        log._given.extend(n for n in finals if n.number > last_event)
        log._again.extend(log._given)
        log._next = max(next_number, last_event + 1)
        log._last = log._released = log._next - 1
        return log

    @property
    def last_number(self) -> int:
        """Number of the newest event given, 0 when there is none."""
        return self._last

    @property
    def next_number(self) -> int:
        """Number of the next event that gets one."""
        return self._next

    @property
    def floor(self) -> int:
        """A client that has seen the event of this number, or of a later one, may come back."""
        return self._floor

    @property
    def n_waiting(self) -> int:
        """New events that could be taken, or get a number. Those that a client is given again say nothing of how it
        reads: it may come back to more of them than a slow client is allowed."""
        return 0 if self._held else len(self._ready) + len(self._waiting)

    def push(self, event: Event) -> Numbered | None:
        """Add an event; waiting ones that it makes superfluous go. A final is numbered, and held until released."""
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
        if not isinstance(event, events.Final):
            return None
        for waiting in self._waiting:
            self._number(waiting)
        self._waiting = []
        return self._ready[-1]

    def release(self, number: int) -> None:
        """Finals up to `number` may be given."""
        self._released = max(self._released, number)

    def take(self) -> Numbered | None:
        """The next event to send, or None."""
        if self._again:
            return self._again.popleft()
        if self._held:
            return None
        if not self._ready:
            if not self._waiting:
                return None
            self._number(self._waiting.pop(0))
        numbered = self._ready.popleft()
        self._last = numbered.number
        self._given.append(numbered)
        if len(self._given) > self._ring_events:
            self._floor = self._given.popleft().number
        return numbered

    def rewind(self, last_event: int) -> None:
        """Give all events after number `last_event` again.

        Raises NotFound when some of them are no longer kept, or were never sent.
        """
        if not self._floor <= last_event <= self._last:
            raise _gone(last_event, self._floor, self._last)
        self._again = deque(n for n in self._given if n.number > last_event)

    @property
    def _held(self) -> bool:
        """The next event is a final that is not released."""
        if not self._ready:
            return False
        first = self._ready[0]
        return isinstance(first.event, events.Final) and first.number > self._released

    def _number(self, event: Event) -> None:
        self._ready.append(Numbered(self._next, event))
        self._next += 1

    def _merge_partial(self, event: Partial) -> Partial:
        """`event` with the words of waiting partials of its segment, which leave the list."""
        older = [e for e in self._waiting if isinstance(e, Partial) and e.segment == event.segment]
        if older:
            self._waiting = [e for e in self._waiting if e not in older]
            event = replace(event, append="".join(e.append for e in older) + event.append)
        return event


def _gone(last_event: int, floor: int, last: int) -> NotFound:
    return NotFound(
        f"Events after number {last_event} are not kept; those after {floor} to {last} are.",
        kind="event",
        id=str(last_event),
        code="events_gone",
    )
