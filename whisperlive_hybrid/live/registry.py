"""The live sessions of this process: who may come back to which, and until when. Pure."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Generic, TypeVar

from whisperlive_hybrid.errors import NotFound

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class _Entry(Generic[T]):
    token: str
    session: T
    client: str | None = None
    expires: float | None = None
    """When it is forgotten; None while a connection holds it."""


def no_such_session(id: str) -> NotFound:
    """The same for an unknown id and a wrong token."""
    message = "There is no such session, or its token is another one; it may have expired."
    return NotFound(message, kind="session", id=id, code="no_such_session")


class Registry(Generic[T]):
    """Sessions by id. A session is held by a connection, or waits for one until it expires."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry[T]] = {}

    def add(self, id: str, token: str, session: T, client: str | None = None) -> None:
        """A new session, held by the connection that opened it, which is one of `client`."""
        self._entries[id] = _Entry(token, session, client)

    def find(self, id: str, token: str) -> T:
        """The session a client may continue.

        Raises NotFound, the same for an unknown id and a wrong token, so that ids cannot be tried out.
        """
        session = self.get(id, token)
        if session is None:
            raise no_such_session(id)
        return session

    def get(self, id: str, token: str) -> T | None:
        """The same without the error."""
        entry = self._entries.get(id)
        if entry is None or not hmac.compare_digest(entry.token.encode(), token.encode("utf-8", "replace")):
            return None
        return entry.session

    def any(self, id: str) -> T | None:
        """The session of this id, whoever asks."""
        entry = self._entries.get(id)
        return None if entry is None else entry.session

    def hold(self, id: str) -> None:
        """A connection holds the session from now on: it does not expire."""
        self._entries[id].expires = None

    def let_wait(self, id: str, until: float) -> None:
        """The session lost its connection: keep it until `until`. Nothing happens for an unknown id."""
        if id in self._entries:
            self._entries[id].expires = until

    def remove(self, id: str) -> None:
        """The session is over. Nothing happens for an unknown id."""
        self._entries.pop(id, None)

    def take_expired(self, now: float) -> list[T]:
        """Sessions that nobody came back to in time; they are forgotten."""
        expired = [(id, e) for id, e in self._entries.items() if e.expires is not None and e.expires <= now]
        for id, _ in expired:
            del self._entries[id]
        return [e.session for _, e in expired]

    def next_expiry(self) -> float | None:
        """When `take_expired` is due next."""
        return min((e.expires for e in self._entries.values() if e.expires is not None), default=None)

    def oldest_waiting(self) -> T | None:
        """The session without a connection that expires first."""
        waiting = [e for e in self._entries.values() if e.expires is not None]
        return min(waiting, key=lambda e: e.expires or 0.0).session if waiting else None

    @property
    def sessions(self) -> list[T]:
        """All sessions."""
        return [e.session for e in self._entries.values()]

    @property
    def n_held(self) -> int:
        """Sessions that a connection holds."""
        return sum(e.expires is None for e in self._entries.values())

    def n_held_by(self, client: str) -> int:
        """Sessions that connections of this client hold."""
        return sum(e.expires is None and e.client == client for e in self._entries.values())

    @property
    def n_waiting(self) -> int:
        """Sessions that wait for a connection."""
        return len(self._entries) - self.n_held
