"""Who may come in by the live doors, as the settings have it."""

from __future__ import annotations

import time
from collections.abc import Mapping

from whisperlive_hybrid.config import Settings
from whisperlive_hybrid.ops.auth import check_host, check_key, check_origin, one_value
from whisperlive_hybrid.transports.websocket.listener import Admit


def admission(settings: Settings) -> Admit:
    """Origin, Host header and API key (or a client secret), in this order."""

    def admit(headers: Mapping[str, str], query: Mapping[str, str], origin: str | None) -> None:
        host = one_value(headers, "Host")
        check_origin(settings, origin, host)
        check_host(settings, host)
        check_key(settings, headers, query, now=time.time())

    return admit
