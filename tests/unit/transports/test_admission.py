from __future__ import annotations

import pytest
from websockets.datastructures import Headers

from whisperlive_hybrid.config import Settings
from whisperlive_hybrid.errors import BadInput, Unauthorized
from whisperlive_hybrid.transports.admission import admission
from whisperlive_hybrid.transports.live_door import live_terms

OURS = {"Host": "localhost:5050"}


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[call-arg, arg-type]


@pytest.mark.parametrize(
    ("configured", "headers", "query", "origin", "code"),
    [
        ({}, OURS, {}, None, None),
        ({}, OURS, {}, "http://localhost:8080", None),
        ({}, OURS, {}, "https://evil.example", "origin_refused"),
        ({}, {"Host": "rebound.example:5050"}, {}, None, "host_refused"),
        ({"api_key": "k"}, OURS, {}, None, "key_missing"),
        ({"api_key": "k"}, OURS, {"token": "x"}, None, "key_unknown"),
        ({"api_key": "k"}, OURS, {"token": "k"}, None, None),
    ],
)
def test_origin_host_and_key_decide_who_comes_in(
    configured: dict[str, str], headers: dict[str, str], query: dict[str, str], origin: str | None, code: str | None
) -> None:
    admit = admission(settings(**configured))
    if code is None:
        admit(headers, query, origin)
        return
    with pytest.raises(Unauthorized) as caught:
        admit(headers, query, origin)
    assert caught.value.code == code


def test_two_host_headers_are_none() -> None:
    doubled = Headers([("Host", "localhost:5050"), ("Host", "evil.example")])
    with pytest.raises(Unauthorized) as caught:
        admission(settings())(doubled, {}, None)
    assert caught.value.code == "host_refused"


def test_a_silent_client_gets_the_servers_settings() -> None:
    defaults = live_terms(settings(default_language="German", vad_threshold=0.7)).defaults
    assert (defaults.language, defaults.speech.threshold) == ("de", 0.7)
    with pytest.raises(BadInput):
        live_terms(settings(default_language="elvish"))
