"""Who a session talks to: the log of what it has told, and the connection that reads it, while there is one."""

from __future__ import annotations

import logging
from typing import Final

from whisperlive_hybrid.live.events import Event, Failed
from whisperlive_hybrid.live.link import Link
from whisperlive_hybrid.live.parting import Closing
from whisperlive_hybrid.live.replay import EventLog, Numbered

log = logging.getLogger(__name__)

MAX_WAITING_EVENTS: Final = 256
"""Events a client has not fetched: finals, mostly, because newer partials replace older ones. More is a slow client."""


class Audience:
    """See above. `session_id` is for the server's log."""

    def __init__(self, session_id: str, events: EventLog) -> None:
        self.log = events
        self._session_id = session_id
        self._link: Link | None = None

    @property
    def present(self) -> bool:
        """Somebody is connected."""
        return self._link is not None

    def hold(self, link: Link) -> None:
        """`link` is the connection from now on; the one before is closed."""
        before, self._link = self._link, link
        if before is not None:
            _tell_taken_over(before)

    def let_go(self, link: Link) -> bool:
        """The connection of `link` is gone; whether it was the one that counts."""
        if self._link is not link:
            return False
        self._link = None
        return True

    def push(self, event: Event) -> Numbered | None:
        """Queue an event; what it became if it is to be kept, else None. Who does not read is disconnected."""
        numbered = self.log.push(event)
        if self._link is not None:
            if self.log.n_waiting > MAX_WAITING_EVENTS:
                log.info("live session %s: client reads too slowly, connection closed", self._session_id)
                self._link.end(Closing(1013, "reading too slowly"))
            self._link.wake()
        return numbered

    def wake(self) -> None:
        """Something may be read now that waited for its checkpoint."""
        if self._link is not None:
            self._link.wake()

    def end(self, closing: Closing) -> None:
        """Close the connection, and do without."""
        link, self._link = self._link, None
        if link is not None:
            link.end(closing)

    def lose(self) -> None:
        """Another process talks to the client now."""
        if self._link is not None:
            _tell_taken_over(self._link)


def _tell_taken_over(link: Link) -> None:
    message = "A newer connection has resumed this session."
    link.end(Closing(4410, "taken over"), Failed("taken_over", message, fatal=True))
