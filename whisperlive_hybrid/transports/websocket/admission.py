"""What the live doors take from the settings: who may come in, and what holds when a client says nothing."""

from __future__ import annotations

from collections.abc import Mapping

from whisperlive_hybrid.config import Settings
from whisperlive_hybrid.engine.languages import parse_language
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.ops.auth import check_host, check_key, check_origin, one_value
from whisperlive_hybrid.transports.live_door import LiveTerms
from whisperlive_hybrid.transports.websocket.listener import Admit


def admission(settings: Settings) -> Admit:
    """Origin, Host header and API key, in this order."""

    def admit(headers: Mapping[str, str], query: Mapping[str, str], origin: str | None) -> None:
        host = one_value(headers, "Host")
        check_origin(settings, origin, host)
        check_host(settings, host)
        check_key(settings, headers, query)

    return admit


def live_terms(settings: Settings) -> LiveTerms:
    """What live clients are granted. Raises BadInput when the default language is none."""
    return LiveTerms(
        LiveOptions(language=parse_language(settings.language), speech=settings.speech_options()),
        time_limit_s=settings.max_connection_time_s or None,
        client_models=settings.whisperlive_models == "client",
        raw_pcm=settings.raw_pcm_input,
    )
