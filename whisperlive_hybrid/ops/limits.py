"""What one client may have of this process: requests a minute and requests at once. Both listeners share it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Self

from whisperlive_hybrid.config import Settings
from whisperlive_hybrid.errors import OverLimit, Refused
from whisperlive_hybrid.ops.clients import Client, Proxies, client_of_address, client_of_key
from whisperlive_hybrid.ops.rates import Places, RequestRate, Verdict

SPARE_REQUESTS: Final = 16
"""Uploads under way beside the files that run and wait."""
RETRY_AFTER_S: Final = 5.0


class ClientLimits:
    """Counts what clients have, and says no. Not safe for threads: it belongs to one event loop."""

    def __init__(
        self,
        *,
        places: Places,
        rate: RequestRate | None = None,
        proxies: Proxies | None = None,
        min_upload_speed: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.places = places
        """Requests that send or wait for files."""
        self.rate = rate
        self.min_upload_speed = min_upload_speed
        """Bytes a second, while places are short; 0 is any."""
        self._proxies = proxies or Proxies()
        self._clock = clock

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the settings have it."""
        most = settings.max_file_jobs + settings.max_queued_files + SPARE_REQUESTS
        per_minute = settings.client_requests_per_minute
        return cls(
            places=Places(most, settings.client_requests_at_once),
            rate=RequestRate(per_minute) if per_minute else None,
            proxies=Proxies.parse(settings.trusted_proxies),
            min_upload_speed=settings.min_upload_speed,
        )

    def client_of(self, key: str | None, peer: str | None, headers: Mapping[str, str]) -> Client:
        """Who has sent a request: whoever has the key it was let in by, or who is at the address it comes from."""
        if key is not None:
            return client_of_key(key)
        return client_of_address(self._proxies.address_of(peer or "", headers))

    def count(self, client: Client) -> Verdict | None:
        """A request of this client; None where they are not counted. See `check`."""
        return None if self.rate is None else self.rate.take(client, self._clock())

    def look(self, client: Client) -> Verdict | None:
        """As `count`, without a request."""
        return None if self.rate is None else self.rate.look(client, self._clock())

    @contextmanager
    def place(self, client: Client) -> Iterator[None]:
        """For a request that sends or waits for files. Raises Refused (full) or OverLimit (too_many_at_once)."""
        places = self.places
        if places.is_full:
            raise Refused(
                f"{places.n_taken} files are being worked on; that is all this server takes.",
                retry_after_s=RETRY_AFTER_S,
            )
        if not places.has_room_for(client):
            used, limit = places.taken_by(client), places.limit_of(client)
            raise OverLimit(
                f"This client has {used} requests under way, of {limit} that it may have at once; "
                "send the next when one of them is done.",
                code="too_many_at_once",
                limit=limit,
                used=used,
                retry_after_s=RETRY_AFTER_S,
            )
        places.take(client)
        try:
            yield
        finally:
            places.give_back(client)


def check(verdict: Verdict | None) -> None:
    """Raises OverLimit (too_many_requests) for a request that is not taken."""
    if verdict is not None and not verdict.taken:
        raise OverLimit(
            f"A client may make {verdict.limit} requests a minute, and this one has made them; "
            f"the next is taken in {math.ceil(verdict.retry_after_s)} s.",
            code="too_many_requests",
            limit=verdict.limit,
            used=verdict.limit,
            retry_after_s=verdict.retry_after_s,
        )
