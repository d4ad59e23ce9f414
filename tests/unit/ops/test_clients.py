from __future__ import annotations

import pytest
from multidict import CIMultiDict
from websockets.datastructures import Headers

from whisperlive_hybrid.errors import BadInput
from whisperlive_hybrid.ops.clients import (
    CLIENT_CHARS,
    Proxies,
    client_of_address,
    client_of_key,
    parse_address,
)

PROXIES = Proxies.parse("127.0.0.1, ::1, 10.0.0.0/8, fd00::/8")


def test_a_key_is_not_in_its_digest() -> None:
    client = client_of_key("secret1")

    assert len(client) == CLIENT_CHARS
    assert "secret1" not in client
    assert client == client_of_key("secret1") != client_of_key("secret2")
    assert client_of_key("192.0.2.1") != client_of_address("192.0.2.1")
    assert client_of_key("\udcff")  # a key of bytes that are no text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
        ("fe80::1%eth0", "fe80::1"),
        ("", "no address"),
    ],
)
def test_addresses_of_one_client(one: str, other: str) -> None:
    assert client_of_address(one) == client_of_address(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("192.0.2.1", "192.0.2.2"), ("2001:db8:1:2::1", "2001:db8:1:3::1"), ("192.0.2.1", "")],
)
def test_addresses_of_two_clients(one: str, other: str) -> None:
    assert client_of_address(one) != client_of_address(other)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.9", "198.51.100.1", "192.0.2.9"),  # nobody's proxy: what it writes is its own invention
        ("127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "203.0.113.5, 198.51.100.1", "198.51.100.1"),  # the first one the client wrote itself
        ("127.0.0.1", "198.51.100.1, 10.1.2.3", "198.51.100.1"),  # two proxies, both ours
        ("127.0.0.1", "10.9.9.9, 10.1.2.3", "10.9.9.9"),  # a client in our own network
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", "unknown", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1, unknown", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1:50123", "198.51.100.1"),
        ("::1", "[2001:db8::1]:50123", "2001:db8::1"),
        ("::ffff:127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("", "198.51.100.1", ""),  # a Unix socket
    ],
)
def test_the_client_is_the_last_hop_that_is_no_trusted_proxy(peer: str, forwarded: str | None, address: str) -> None:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}

    assert PROXIES.address_of(peer, headers) == address


@pytest.mark.parametrize("mapping", [CIMultiDict, Headers])
def test_a_header_that_comes_twice_is_one_list(mapping: type) -> None:
    """A client may send one of its own; a proxy that adds another line instead of a comma must not make it count."""
    headers = mapping([("x-forwarded-for", "203.0.113.5"), ("X-Forwarded-For", "198.51.100.1")])

    assert PROXIES.address_of("127.0.0.1", headers) == "198.51.100.1"
    assert PROXIES.address_of("127.0.0.1", mapping()) == "127.0.0.1"


def test_without_proxies_nobody_is_believed() -> None:
    assert Proxies.parse("none") == Proxies.parse(" , ") == Proxies()
    assert Proxies().address_of("127.0.0.1", {"X-Forwarded-For": "198.51.100.1"}) == "127.0.0.1"


def test_proxies_are_addresses() -> None:
    with pytest.raises(BadInput, match="'caddy' is no address"):
        Proxies.parse("10.0.0.1, caddy")


@pytest.mark.parametrize("text", ["", "localhost", "1.2.3", "[::1", "1.2.3.4:port", "::1]:80"])
def test_what_is_no_address(text: str) -> None:
    assert parse_address(text) is None
