"""How much of the server one client may take up: requests a minute, requests at once, bytes a second. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

MAX_CLIENTS: Final = 20_000
"""That are remembered at once; the one that was quiet for longest is forgotten first."""
PERIOD_S: Final = 60.0
FAIR_SHARE: Final = 2
"""A client may have so many times as much as is left free."""
SHORT: Final = 4
"""Less than one of so many free is little."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a request, and what the client has left."""

    taken: bool
    limit: int
    """Requests a minute."""
    remaining: int
    """That would be taken now."""
    reset_s: float
    """Until all of them are there again."""
    retry_after_s: float
    """Until the next one is taken; 0 where it would be now."""


class RequestRate:
    """So many requests a minute of each client, all of them at once if it likes.

    The generic cell rate algorithm (ITU-T I.371, annex A): of each client one number, the time at which it will have
    paid for what it has had. Each request costs a `limit`th of a minute, and nobody may owe more than a minute.
    """

    def __init__(self, limit: int, *, max_clients: int = MAX_CLIENTS) -> None:
        self.limit = limit
        self._cost_s = PERIOD_S / limit
        self._max_clients = max_clients
        self._paid_at: dict[str, float] = {}
        """In the order in which clients were last heard; who has paid need not be remembered."""

    def take(self, client: str, now: float) -> Verdict:
        """A request of this client. One that is not taken costs nothing."""
        paid_at = max(self._paid_at.get(client, now), now)
        taken = paid_at + self._cost_s <= now + PERIOD_S + 1e-9
        if taken:
            paid_at += self._cost_s
            self._paid_at.pop(client, None)
            self._paid_at[client] = paid_at
            self._forget(now)
        return self._verdict(paid_at, now, taken)

    def look(self, client: str, now: float) -> Verdict:
        """What this client has left."""
        return self._verdict(max(self._paid_at.get(client, now), now), now, taken=True)

    @property
    def n_clients(self) -> int:
        """That are remembered."""
        return len(self._paid_at)

    def _verdict(self, paid_at: float, now: float, taken: bool) -> Verdict:
        owed_s = paid_at - now
        retry_after_s = max(0.0, owed_s + self._cost_s - PERIOD_S)
        remaining = int((PERIOD_S - owed_s) / self._cost_s + 1e-9)
        return Verdict(taken, self.limit, remaining, owed_s, retry_after_s)

    def _forget(self, now: float) -> None:
        """One or two each time, so that the table shrinks without a sweep."""
        for client in list(self._first(2)):
            if self._paid_at[client] <= now or len(self._paid_at) > self._max_clients:
                del self._paid_at[client]

    def _first(self, n: int) -> list[str]:
        found = []
        for client in self._paid_at:
            found.append(client)
            if len(found) == n:
                break
        return found


class Places:
    """Places that clients take for a while: so many in all, and so many of one client.

    Where the latter is not fixed, a client may have twice as many as are left free (the dynamic thresholds of Choudhury
    and Hahne, 1998): alone two thirds of all, and whoever comes next still finds some, however many came before.
    """

    def __init__(self, most: int, per_client: int | None = None) -> None:
        self.most = most
        self._per_client = per_client
        """None is a fair share, 0 is no limit."""
        self._taken: Counter[str] = Counter()
        self._n_taken = 0

    @property
    def n_taken(self) -> int:
        """By all clients."""
        return self._n_taken

    @property
    def is_full(self) -> bool:
        """Nobody gets one."""
        return self._n_taken >= self.most

    @property
    def is_short(self) -> bool:
        """Less than a quarter is free."""
        return (self.most - self._n_taken) * SHORT < self.most

    def taken_by(self, client: str) -> int:
        """How many this client has."""
        return self._taken[client]

    def limit_of(self, client: str) -> int:
        """How many this client may have, as things are."""
        if self._per_client:
            return self._per_client
        if self._per_client == 0:
            return self.most
        # The largest share for which it still held when the last of them was taken.
        return (FAIR_SHARE * (self.most - self._n_taken + self._taken[client]) + FAIR_SHARE) // (FAIR_SHARE + 1)

    def has_room_for(self, client: str) -> bool:
        """Whether this client gets another."""
        return not self.is_full and self._taken[client] < self.limit_of(client)

    def take(self, client: str) -> None:
        """This client has another."""
        self._taken[client] += 1
        self._n_taken += 1

    def give_back(self, client: str) -> None:
        """The inverse of `take`."""
        self._n_taken -= 1
        self._taken[client] -= 1
        if self._taken[client] <= 0:
            del self._taken[client]


class UploadPace:
    """Whether an upload gets on: bytes over a window of the time that was spent waiting for it."""

    def __init__(self, least_per_s: float, window_s: float) -> None:
        self._least = least_per_s * window_s
        self._window_s = window_s
        self._waited_s = 0.0
        self._received_before = 0

    def is_slow(self, waited_s: float, received: int) -> bool:
        """After another wait, with so many bytes received in all. Said once of each window that brought too little."""
        self._waited_s += waited_s
        if self._waited_s < self._window_s:
            return False
        least = self._least * self._waited_s / self._window_s
        slow = received - self._received_before < least
        self._waited_s, self._received_before = 0.0, received
        return slow
