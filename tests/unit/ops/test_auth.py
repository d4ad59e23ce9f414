from __future__ import annotations

from collections.abc import Mapping

import pytest
from multidict import CIMultiDict
from websockets.datastructures import Headers

from whisperlive_hybrid.config import Settings
from whisperlive_hybrid.errors import Unauthorized
from whisperlive_hybrid.ops.auth import (
    accepted_subprotocol,
    check_host,
    check_key,
    check_origin,
    host_name,
    is_loopback,
    origin_allowed,
)


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[call-arg, arg-type]


KEYED = settings(api_key="alpha, beta")


@pytest.mark.parametrize("mapping", [CIMultiDict, Headers])
@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer beta"},
        {"Authorization": "bearer alpha"},
        {"Authorization": "Token beta"},
        {"X-API-Key": "alpha"},
        {"api-key": "alpha"},
        {"sec-websocket-protocol": "token, beta"},
        {"Sec-WebSocket-Protocol": "realtime, openai-insecure-api-key.alpha"},
    ],
)
def test_a_known_key_passes(mapping: type, headers: dict[str, str]) -> None:
    check_key(KEYED, mapping(headers), {})


@pytest.mark.parametrize("query", [{"token": "alpha"}, {"api_key": "beta"}])
def test_a_known_key_passes_in_the_query(query: Mapping[str, str]) -> None:
    check_key(KEYED, {}, query)


@pytest.mark.parametrize(
    ("headers", "query", "code"),
    [
        ({}, {}, "key_missing"),
        ({"Authorization": "Basic alpha"}, {}, "key_missing"),
        ({"Authorization": "Bearer "}, {}, "key_missing"),
        ({"Authorization": "Bearer alpha, beta"}, {}, "key_unknown"),
        ({"Authorization": "Bearer alph"}, {}, "key_unknown"),
        ({"X-API-Key": "ALPHA"}, {}, "key_unknown"),
        ({"X-API-Key": "\udcff"}, {}, "key_unknown"),
        ({}, {"token": "gamma"}, "key_unknown"),
        ({"Sec-WebSocket-Protocol": "chat, alpha"}, {}, "key_missing"),
    ],
)
def test_anything_else_does_not(headers: dict[str, str], query: dict[str, str], code: str) -> None:
    with pytest.raises(Unauthorized) as refused:
        check_key(KEYED, CIMultiDict(headers), query)
    assert refused.value.code == code
    assert "alpha" not in refused.value.message


def test_a_header_sent_twice_is_no_key() -> None:
    headers = Headers([("X-API-Key", "alpha"), ("X-API-Key", "wrong")])
    with pytest.raises(Unauthorized):
        check_key(KEYED, headers, {})


def test_without_keys_everyone_passes() -> None:
    check_key(settings(), {}, {})
    check_key(settings(api_key=" , "), {}, {})


def test_the_subprotocol_answered_is_never_the_key() -> None:
    assert accepted_subprotocol(CIMultiDict({"Sec-WebSocket-Protocol": "token, alpha"})) == "token"
    assert accepted_subprotocol(CIMultiDict({"Sec-WebSocket-Protocol": "openai-insecure-api-key.a, realtime"})) == (
        "realtime"
    )
    assert accepted_subprotocol(CIMultiDict()) is None


@pytest.mark.parametrize(
    ("cors", "origin", "host", "allowed"),
    [
        ("", None, "localhost:8080", True),
        ("", "http://localhost:8080", "localhost:5050", True),
        ("", "https://stt.example.org", "STT.example.org", True),
        ("", "http://[::1]:8080", "[::1]:5050", True),
        ("", "https://evil.example", "localhost:8080", False),
        ("", "https://localhost.evil.example", "localhost:8080", False),
        ("", "null", "localhost:8080", False),
        ("null", "null", "localhost:8080", True),
        ("null", "https://evil.example", "localhost:8080", False),
        ("https://a.example, https://b.example/", "https://B.example", "localhost", True),
        ("https://a.example", "http://a.example", "localhost", False),
        ("https://a.example", "https://a.example:444", "localhost", False),
        ("*", "https://evil.example", None, True),
        ("", "http://[", "localhost", False),
        ("", "", "", False),
    ],
)
def test_origins(cors: str, origin: str | None, host: str | None, allowed: bool) -> None:
    current = settings(cors_origins=cors)
    assert origin_allowed(current, origin, host) is allowed
    if allowed:
        check_origin(current, origin, host)
    else:
        with pytest.raises(Unauthorized) as refused:
            check_origin(current, origin, host)
        assert refused.value.code == "origin_refused"


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:5050", "[::1]:8080", "page.localhost"])
def test_loopback_without_key_answers_to_its_own_names(host: str) -> None:
    check_host(settings(), host)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "10.0.0.1", "", None])
def test_loopback_without_key_refuses_other_names(host: str | None) -> None:
    with pytest.raises(Unauthorized) as refused:
        check_host(settings(), host)
    assert refused.value.code == "host_refused"


@pytest.mark.parametrize(
    "values",
    [
        {"api_key": "alpha"},
        {"app_host": "0.0.0.0"},
        {"cors_origins": "*"},
        {"cors_origins": "https://stt.example.org"},
    ],
)
def test_where_the_address_is_not_the_protection_any_name_will_do(values: dict[str, str]) -> None:
    check_host(settings(**values), "stt.example.org")


@pytest.mark.parametrize("origin", ["chrome-extension://abc", "moz-extension://1-2-3", "safari-web-extension://x"])
def test_a_browser_s_extension_may_open_a_socket_unless_nobody_may(origin: str) -> None:
    check_origin(settings(), origin, "localhost:5050")
    check_origin(settings(cors_origins="https://a.example"), origin, "localhost:5050")
    with pytest.raises(Unauthorized):
        check_origin(settings(cors_origins="none"), origin, "localhost:5050")
    with pytest.raises(Unauthorized):
        check_origin(settings(), f"https://{origin}", "localhost:5050")


def test_names() -> None:
    assert host_name("Example.org:80") == "example.org"
    assert host_name("[::1]:80") == "::1"
    assert host_name("[") is None
    assert is_loopback("127.8.8.8")
    assert not is_loopback("localhost.example.org")
