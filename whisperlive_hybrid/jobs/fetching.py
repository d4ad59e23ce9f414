"""Fetching a file from a URL for a caller, without being a tunnel into the networks the server stands in (see
ops/egress.py: what is checked is the address that is really dialled)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import aiohttp
from yarl import URL

from whisperlive_hybrid import __version__
from whisperlive_hybrid.errors import BadInput, UndecodableAudio
from whisperlive_hybrid.ops.egress import (
    MAX_URL_CHARS,
    PORTS,
    AllowedHosts,
    any_socket,
    caused_by_guard,
    guarded_socket,
)
from whisperlive_hybrid.storage.incoming import IncomingFile, incoming_file, too_large

MAX_REDIRECTS = 3
CONNECT_S = 10.0
STALL_S = 30.0
TOTAL_S = 300.0
"""All hops and the whole body."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that was fetched."""

    file: IncomingFile
    name: str
    """The last part of the URL's path; may be empty."""


@asynccontextmanager
async def fetch_file(
    url: str, folder: Path, max_bytes: int, allowed: AllowedHosts, *, floor: int | None = None
) -> AsyncIterator[Fetched]:
    """The file behind `url` in `folder`; gone when the block ends, unless it was moved elsewhere.

    Raises BadInput (bad_url, url_not_allowed, url_unreachable, url_status, …), TooLarge, DiskFull.
    """
    target = _parse(url)
    async with incoming_file(folder, max_bytes, floor=floor) as incoming:
        try:
            async with asyncio.timeout(TOTAL_S):
                await _follow(target, incoming, max_bytes, allowed)
        except TimeoutError as e:
            raise _unreachable(f"It took longer than {TOTAL_S:g} s.") from e
        await incoming.flush()
        if incoming.size == 0:
            raise UndecodableAudio("The file at this URL is empty.", param="url", code="empty_file")
        name = unquote(target.path.rsplit("/", 1)[-1])
        yield Fetched(incoming, "".join(c for c in name if c.isprintable())[:255])


async def _follow(target: URL, incoming: IncomingFile, max_bytes: int, allowed: AllowedHosts) -> None:
    for _ in range(MAX_REDIRECTS + 1):
        trusted = allowed.trusts(target)
        _check_shape(target, trusted)
        following = await _get(target, trusted, incoming, max_bytes)
        if following is None:
            return
        if target.scheme == "https" and following.scheme == "http":
            raise _not_allowed("The URL redirects from https to http.")
        target = following
    raise _unreachable(f"It redirects more than {MAX_REDIRECTS} times.")


async def _get(target: URL, trusted: bool, incoming: IncomingFile, max_bytes: int) -> URL | None:
    """One hop: the body into `incoming`, or where to go instead."""
    connector = aiohttp.TCPConnector(
        socket_factory=any_socket if trusted else guarded_socket, force_close=True, use_dns_cache=False
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
            _check_answer(answer, max_bytes)
            async for chunk in answer.content.iter_any():
                await incoming.write(chunk)
            return None
    except aiohttp.ClientConnectorError as e:
        if caused_by_guard(e):
            raise _not_allowed(
                "Only public addresses are fetched from; the server's URL_ALLOW_HOSTS can list others."
            ) from e
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
    if target.scheme not in PORTS:
        raise _bad_url(f"{target.scheme or 'A URL without a scheme'} cannot be fetched.")
    if not target.host:
        raise _bad_url("The URL names no host.")
    if target.user is not None or target.password is not None:
        raise _bad_url("A URL with a user name or password is not taken.")
    if not trusted and target.port not in PORTS.values():
        raise _not_allowed("Only ports 80 and 443 are fetched from; the server's URL_ALLOW_HOSTS can list this host.")


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


def _bad_url(message: str) -> BadInput:
    return BadInput(message, param="url", accepted=("http://…", "https://…"), code="bad_url")


def _not_allowed(message: str) -> BadInput:
    return BadInput(message, param="url", code="url_not_allowed")


def _unreachable(message: str) -> BadInput:
    return BadInput(f"The URL cannot be fetched: {message}", param="url", code="url_unreachable")
