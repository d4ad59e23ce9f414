"""Fetching a file from a URL for a caller, without being a tunnel into the networks the server stands in.

What is checked is the address that is really dialled: a guard makes the socket of every connection, so literals in any
notation, names that resolve to private addresses, names that resolve differently the second time, and redirects all
meet it. Names are not judged at all.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import unquote

import aiohttp
from yarl import URL

from whisperlive_hybrid import __version__
from whisperlive_hybrid.errors import BadInput, UndecodableAudio
from whisperlive_hybrid.transports.http.disk import IncomingFile, StoredFile, incoming_file, too_large
from whisperlive_hybrid.transports.http.uploads import Upload, UploadRules

AddrInfo: TypeAlias = tuple[Any, ...]
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_REDIRECTS = 3
MAX_URL_CHARS = 2048
CONNECT_S = 10.0
STALL_S = 30.0
TOTAL_S = 300.0
"""All hops and the whole body."""
_PORTS = {"http": 80, "https": 443}
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
        if url.port == _PORTS.get(url.scheme):
            at_port |= {host, bracketed}
        return bool(at_port & self.names)


@asynccontextmanager
async def fetch_upload(url: str, rules: UploadRules, allowed: AllowedHosts) -> AsyncIterator[Upload]:
    """The file behind `url` as an upload; gone when the block ends.

    Raises BadInput (bad_url, url_not_allowed, url_unreachable, url_status, …), TooLarge, DiskFull.
    """
    target = _parse(url)
    async with incoming_file(rules.folder, rules.max_bytes) as incoming:
        try:
            async with asyncio.timeout(TOTAL_S):
                await _follow(target, incoming, rules, allowed)
        except TimeoutError as e:
            raise _unreachable(f"It took longer than {TOTAL_S:g} s.") from e
        await incoming.flush()
        if incoming.size == 0:
            raise UndecodableAudio("The file at this URL is empty.", param="url", code="empty_file")
        name = unquote(target.path.rsplit("/", 1)[-1])
        yield Upload(
            StoredFile(incoming.path, incoming.size), "".join(c for c in name if c.isprintable())[:255], fields=()
        )


async def _follow(target: URL, incoming: IncomingFile, rules: UploadRules, allowed: AllowedHosts) -> None:
    for _ in range(MAX_REDIRECTS + 1):
        trusted = allowed.trusts(target)
        _check_shape(target, trusted)
        following = await _get(target, trusted, incoming, rules)
        if following is None:
            return
        if target.scheme == "https" and following.scheme == "http":
            raise _not_allowed("The URL redirects from https to http.")
        target = following
    raise _unreachable(f"It redirects more than {MAX_REDIRECTS} times.")


async def _get(target: URL, trusted: bool, incoming: IncomingFile, rules: UploadRules) -> URL | None:
    """One hop: the body into `incoming`, or where to go instead."""
    connector = aiohttp.TCPConnector(
        socket_factory=_any_socket if trusted else _guarded_socket, force_close=True, use_dns_cache=False
    )
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=STALL_S),
        headers={"User-Agent": f"whisperlive-hybrid/{__version__}", "Accept-Encoding": "identity", "Accept": "*/*"},
        max_line_size=8190,
    )
    try:
        async with session, session.get(target, allow_redirects=False) as answer:
            if answer.status in (301, 302, 303, 307, 308):
                return _location(answer)
            _check_answer(answer, rules.max_bytes)
            async for chunk in answer.content.iter_any():
                await incoming.write(chunk)
            return None
    except aiohttp.ClientConnectorError as e:
        if _caused_by_guard(e):
            raise _not_allowed("Only public addresses can be fetched from.") from e
        raise _unreachable("It does not answer.") from e
    except (aiohttp.ClientError, TimeoutError, UnicodeError) as e:
        raise _unreachable("It does not answer as a web server should.") from e


def _parse(url: str) -> URL:
    try:
        target = URL(url.strip())
        target.host, target.port  # noqa: B018  (what is wrong with them shows only when they are asked for)
    except ValueError as e:
        raise _bad_url("This is not a URL.") from e
    if len(url) > MAX_URL_CHARS:
        raise _bad_url(f"The URL is longer than {MAX_URL_CHARS} characters.")
    return target


def _check_shape(target: URL, trusted: bool) -> None:
    if target.scheme not in _PORTS:
        raise _bad_url(f"{target.scheme or 'A URL without a scheme'} cannot be fetched.")
    if not target.host:
        raise _bad_url("The URL names no host.")
    if target.user is not None or target.password is not None:
        raise _bad_url("A URL with a user name or password is not taken.")
    if not trusted and target.port not in _PORTS.values():
        raise _not_allowed("Only ports 80 and 443 can be fetched from.")


def _location(answer: aiohttp.ClientResponse) -> URL:
    try:
        target = answer.url.join(URL(answer.headers["Location"][:MAX_URL_CHARS]))
        target.host, target.port  # noqa: B018
        return target
    except (KeyError, ValueError) as e:
        raise _unreachable("It redirects to nowhere.") from e


def _check_answer(answer: aiohttp.ClientResponse, max_bytes: int) -> None:
    if answer.status != 200:
        raise BadInput(f"The URL answers with status {answer.status}.", param="url", code="url_status")
    encoding = answer.headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity":
        raise BadInput("The URL answers with compressed content nobody asked for.", param="url", code="encoded_body")
    if (answer.content_length or 0) > max_bytes:
        raise too_large(max_bytes)


def _guarded_socket(info: AddrInfo) -> socket.socket:
    if not is_public(info[4][0]):
        raise AddressRefused("not a public address")
    return _any_socket(info)


def _any_socket(info: AddrInfo) -> socket.socket:
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


def _caused_by_guard(error: aiohttp.ClientConnectorError) -> bool:
    # Several refused addresses of one name come back as one new OSError that names each.
    return isinstance(error.os_error, AddressRefused) or "not a public address" in str(error.os_error)


def _bad_url(message: str) -> BadInput:
    return BadInput(message, param="url", accepted=("http://…", "https://…"), code="bad_url")


def _not_allowed(message: str) -> BadInput:
    return BadInput(message, param="url", code="url_not_allowed")


def _unreachable(message: str) -> BadInput:
    return BadInput(f"The URL cannot be fetched: {message}", param="url", code="url_unreachable")
