"""Connections that a caller makes the server open: never into the networks the server stands in.

What is checked is the address that is really dialled: a guard makes the socket of every connection, so literals in any
notation, names that resolve to private addresses, names that resolve differently the second time, and redirects all
meet it. Names are not judged at all.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import aiohttp
from yarl import URL

from whisperlive_hybrid.errors import BadInput

AddrInfo: TypeAlias = tuple[Any, ...]
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

PORTS: Final = {"http": 80, "https": 443}
"""Schemes that are dialled, and the ports of public hosts."""
MAX_URL_CHARS: Final = 2048
_SHAPES: Final = ("http://…", "https://…")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")
_IPV4_COMPATIBLE = ipaddress.IPv6Network("::/96")


class AddressRefused(OSError):
    """The address of a connection is not public."""


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """Private hosts an operator trusts: `name`, `name:port`, lower case."""

    names: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str) -> AllowedHosts:
        """From the comma-separated setting."""
        return cls(frozenset(part.strip().lower() for part in text.split(",") if part.strip()))

    def trusts(self, url: URL) -> bool:
        """Whether the host, or the host at this port, is listed. A host without port is trusted on the usual ones."""
        host = (url.host or "").lower()
        bracketed = f"[{host}]" if ":" in host else host
        at_port = {f"{bracketed}:{url.port}"}
        if url.port == PORTS.get(url.scheme):
            at_port |= {host, bracketed}
        return bool(at_port & self.names)


def guarded_socket(info: AddrInfo) -> socket.socket:
    """aiohttp's `socket_factory` for targets that a caller names. Raises AddressRefused."""
    if not is_public(info[4][0]):
        raise AddressRefused("not a public address")
    return any_socket(info)


def any_socket(info: AddrInfo) -> socket.socket:
    """The same for targets that the operator trusts."""
    return socket.socket(info[0], info[1], info[2])


def is_public(text: str) -> bool:
    """Whether an address as the kernel would dial it lies on the public internet, addresses inside it included."""
    try:
        address: Address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return all(a.is_global and not a.is_multicast and not a.is_reserved for a in _layers(address))


def _layers(address: Address) -> list[Address]:
    """The address and the IPv4 addresses that its form carries to a gateway."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.scope_id is not None or address in _NAT64_LOCAL or address in _IPV4_COMPATIBLE:
        return [ipaddress.IPv6Address("::1")]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address in _NAT64:
        return [ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)]
    layers: list[Address] = [address]
    if address.sixtofour is not None:
        layers.append(address.sixtofour)
    if address.teredo is not None:
        layers.extend(address.teredo)
    return layers


def caused_by_guard(error: aiohttp.ClientConnectorError) -> bool:
    """Whether a connection failed because the guard refused it."""
    # Several refused addresses of one name come back as one new OSError that names each.
    return isinstance(error.os_error, AddressRefused) or "not a public address" in str(error.os_error)


async def check_target(url: str, allowed: AllowedHosts, *, param: str) -> None:
    """Refuse, before anything is dialled, a URL that could not be dialled anyway: wrong, unknown, or not public.

    This only tells a caller early. What counts is the guard above: names may resolve differently later. Raises
    BadInput about `param`: bad_url, url_not_allowed, url_unreachable.
    """
    try:
        target = URL(url)
        host, port = target.host, target.port
    except ValueError as e:
        raise BadInput("This is not a URL.", param=param, accepted=_SHAPES, code="bad_url") from e
    if len(url) > MAX_URL_CHARS or target.scheme not in PORTS or not host or target.user or target.password:
        message = f"A URL is http or https with a host, no user name, and at most {MAX_URL_CHARS} characters."
        raise BadInput(message, param=param, accepted=_SHAPES, code="bad_url")
    if allowed.trusts(target):
        return
    if port not in PORTS.values():
        raise _not_dialled("Only ports 80 and 443 are dialled", param)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as e:
        raise BadInput(f"There is no host {host[:128]!r}.", param=param, code="url_unreachable") from e
    if not all(is_public(str(info[4][0])) for info in found):
        raise _not_dialled("Only public addresses are dialled", param)


def _not_dialled(rule: str, param: str) -> BadInput:
    setting = "URL_ALLOW_HOSTS" if param == "url" else "WEBHOOK_ALLOW_HOSTS"
    return BadInput(f"{rule}; the server's {setting} can list this host.", param=param, code="url_not_allowed")
