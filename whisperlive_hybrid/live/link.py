"""A connection's hold on a live session. At most one connection holds a session."""

from __future__ import annotations

import asyncio
from typing import Protocol

from whisperlive_hybrid.errors import Conflict, HybridError
from whisperlive_hybrid.live.commands import Audio, Change, Command, Discard, EndTurn, Flush, Ping, Start, Stop, Work
from whisperlive_hybrid.live.events import Event, Failed, Pong, failed_by
from whisperlive_hybrid.live.parting import Closing
from whisperlive_hybrid.live.replay import EventLog, Numbered


class HeldSession(Protocol):
    """What a link needs of its session."""

    log: EventLog

    @property
    def closing(self) -> Closing | None:
        """How the connection is to be closed; set when everything is told."""
        ...

    async def take(self, command: Work, link: Link) -> None:
        """Add to what is to be worked off; waits while that is too much."""
        ...

    def tell(self, event: Event) -> None:
        """Queue an event for the client."""
        ...

    def touch(self) -> None:
        """The client is there."""
        ...

    def let_go(self, link: Link, *, clean: bool) -> None:
        """The connection of `link` is gone."""
        ...


class Link:
    """What a front door's loop talks to. Made by LiveService.open and .resume."""

    def __init__(self, session: HeldSession, greeting: Numbered | None = None) -> None:
        self.session = session
        self._greeting = greeting
        self._farewell: Numbered | None = None
        self._closing: Closing | None = None
        self._changed = asyncio.Event()
        self._over = asyncio.Event()

    # --- for the front door ----------------------------------------------------------------------------------------

    async def take(self, command: Command) -> None:
        """Hand a command over. Waits while the session has more audio than it can work off: then read no more.

        Raises Conflict for a Resume.
        """
        if self._closing is not None:
            return
        self.session.touch()
        match command:
            case Audio() | Flush() | Change() | EndTurn() | Discard() | Stop():
                await self.session.take(command, self)
            case Ping(id):
                self.session.tell(Pong(id))
            case Start():
                self.session.tell(Failed("already_started", "The session has been started before.", fatal=False))
            case _:
                # The client believes to speak in another session: what it sends next must not end up in this one.
                raise Conflict("Resume must be the first message of a connection.", code="already_started")

    def reject(self, error: HybridError) -> None:
        """A message made no sense; the session goes on."""
        self.session.touch()
        self.session.tell(failed_by(error, fatal=False))

    async def next(self) -> Numbered | Closing:
        """The next event for the client, or that the connection is to be closed. Waits for one of them."""
        while True:
            if self._greeting is not None:
                numbered, self._greeting = self._greeting, None
                return numbered
            if self._closing is not None:
                if self._farewell is not None:
                    numbered, self._farewell = self._farewell, None
                    return numbered
                return self._closing
            event = self.session.log.take()
            if event is not None:
                return event
            if self.session.closing is not None:
                return self.session.closing
            self._changed.clear()
            await self._changed.wait()

    async def wait_ended(self) -> None:
        """Wait until the session does not listen to this connection any more."""
        await self._over.wait()

    def let_go(self, *, clean: bool) -> None:
        """The connection is gone. `clean`: on purpose, so that nobody will come back."""
        self.session.let_go(self, clean=clean)

    # --- for the session -------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """There may be something to send."""
        self._changed.set()

    def end(self, closing: Closing, farewell: Event | None = None) -> None:
        """Close this connection; the session itself may go on."""
        if self._closing is None:
            self._closing = closing
            self._over.set()
            if farewell is not None:
                self._farewell = Numbered(self.session.log.last_number, farewell)
            self.wake()

    @property
    def ended(self) -> bool:
        """The session does not listen to this connection any more."""
        return self._closing is not None
