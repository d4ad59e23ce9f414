"""Who a client is, as far as limits go: an API key, or an address where no key is asked for. Pure.

Either becomes a digest, which may lie in a database and be compared, but names nobody.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final, Self, TypeAlias

from whisperlive_hybrid.errors import BadInput

Client: TypeAlias = str
"""A digest of CLIENT_CHARS characters; the first says of what: `k` of a key, `a` of an address."""
CLIENT_CHARS: Final = 32
IPV6_PREFIX: Final = 64
"""What one subscriber has to himself (RFC 6177); he may change the rest of his addresses as he likes."""
_DOMAIN: Final = b"whisperlive-hybrid client 1\n"
_WITH_PORT: Final = re.compile(r"\[(?P<v6>[^\]]*)\](?::\d{1,5})?|(?P<v4>\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}")
_Address: TypeAlias = IPv4Address | IPv6Address


def client_of_key(key: str) -> Client:
    """The client that has this key."""
    return _digest("k", key)


def is_key(client: Client) -> bool:
    """Whether it is one that has a key, which is the same wherever it calls from."""
    return client.startswith("k")


def client_of_address(address: str) -> Client:
    """The client at this address, which may also be none (a Unix socket); of IPv6 the network counts."""
    found = parse_address(address)
    if found is None:
        return _digest("a", "")
    if found.version == 6:
        return _digest("a", str(ip_network((found, IPV6_PREFIX), strict=False)))
    return _digest("a", str(found))


@dataclass(frozen=True, slots=True)
class Proxies:
    """Proxies whose word on where a request comes from counts."""

    networks: tuple[Any, ...] = ()
    """IPv4Network or IPv6Network."""

    @classmethod
    def parse(cls, listed: str) -> Self:
        """Addresses and networks, comma-separated; `none` adds nothing. Raises BadInput for what is neither."""
        networks = []
        for part in (p.strip() for p in listed.split(",")):
            if part in ("", "none"):
                continue
            try:
                networks.append(ip_network(part, strict=False))
            except ValueError:
                raise BadInput(f"{part[:64]!r} is no address and no network", param="TRUSTED_PROXIES") from None
        return cls(tuple(networks))

    def address_of(self, peer: str, headers: Mapping[str, str]) -> str:
        """Where a request comes from that `peer` has sent.

        Each proxy adds to X-Forwarded-For, at its end, whom it was called by. So the last one that is no trusted proxy
        is the client; what stands before it, anybody could have written.
        """
        for hop in [*_listed(all_values(headers, "X-Forwarded-For")), peer][::-1]:
            address = parse_address(hop)
            if address is None:
                return peer  # "unknown", or nonsense: whoever wrote it is the client
            peer = str(address)
            if not any(address in network for network in self.networks):
                break
        return peer


def parse_address(text: str) -> _Address | None:
    """An address as proxies write it, with a port or without; None for anything else. IPv4 in IPv6 is IPv4."""
    text = text.strip()
    if found := _WITH_PORT.fullmatch(text):
        text = found["v6"] or found["v4"]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def all_values(headers: Any, name: str) -> list[str]:
    """Every value of a header, in order, from aiohttp's mapping, websockets', or a plain one."""
    for method in ("getall", "get_all"):
        if hasattr(headers, method):
            return list(headers.getall(name, [])) if method == "getall" else list(headers.get_all(name))
    value = headers.get(name)
    return [] if value is None else [value]


def _listed(values: Iterable[str]) -> list[str]:
    return [part.strip() for value in values for part in value.split(",") if part.strip()]


def _digest(kind: str, text: str) -> Client:
    data = _DOMAIN + f"{kind}\n{text}".encode("utf-8", "surrogatepass")
    return kind + hashlib.sha256(data).hexdigest()[: CLIENT_CHARS - 1]
