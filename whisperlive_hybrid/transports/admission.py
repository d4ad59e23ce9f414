"""Who may open a WebSocket, as the settings have it: one rule for all paths on both ports."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeAlias

from whisperlive_hybrid.config import Settings
from whisperlive_hybrid.ops.auth import check_host, check_key, check_origin, one_value
from whisperlive_hybrid.ops.limits import ClientLimits, check

Admit: TypeAlias = Callable[[Mapping[str, str], Mapping[str, str], str | None], None]
"""(headers, query, origin): raises Unauthorized or Refused for a caller that may not come in."""

Identify: TypeAlias = Callable[[Mapping[str, str], Mapping[str, str], str | None], str]
"""(headers, query, peer address) of a caller that was let in: which client it is. Counts its request; raises OverLimit
when it makes too many."""


def identification(settings: Settings, limits: ClientLimits) -> Identify:
    """Clients as the HTTP port knows them."""

    def identify(headers: Mapping[str, str], query: Mapping[str, str], peer: str | None) -> str:
        client = limits.client_of(check_key(settings, headers, query, now=time.time()), peer, headers)
        check(limits.count(client))
        return client

    return identify


def admission(settings: Settings) -> Admit:
    """Origin, Host header and API key (or a client secret), in this order."""

    def admit(headers: Mapping[str, str], query: Mapping[str, str], origin: str | None) -> None:
        host = one_value(headers, "Host")
        check_origin(settings, origin, host)
        check_host(settings, host)
        check_key(settings, headers, query, now=time.time())

    return admit
