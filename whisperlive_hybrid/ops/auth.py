"""Who may call: API keys, web origins, and the Host header of a server that asks for no key.

Both listeners ask here, before anything else is read from the request. Headers may be aiohttp's or websockets' own
mapping: names compare without case, and a name that occurs twice counts as wrong.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from itertools import pairwise
from urllib.parse import urlsplit

from whisperlive_hybrid.config import Settings
from whisperlive_hybrid.errors import Unauthorized
from whisperlive_hybrid.ops import client_secrets

_SCHEMES = ("bearer", "token")
_QUERY_NAMES = ("token", "api_key")
_HEADERS = ("X-API-Key", "api-key")
_SUBPROTOCOLS = ("token", "bearer")
_EXTENSIONS = ("chrome-extension://", "moz-extension://", "safari-web-extension://")
_SUBPROTOCOL_PREFIX = "openai-insecure-api-key."


def check_key(
    settings: Settings, headers: Mapping[str, str], query: Mapping[str, str], *, now: float | None = None
) -> str | None:
    """Let a caller with a known key pass; everyone, when no key is set. Returns the key; None when none is set.

    A key may come as `Authorization: Bearer KEY` (or `Token KEY`), `X-API-Key: KEY`, `api-key: KEY` (as Azure's clients
    send it), `?token=KEY` (or `api_key`), or, as a browser's WebSocket can, in the subprotocols `["token", KEY]`,
    `["bearer", KEY]`, `["openai-insecure-api-key.KEY"]`. Where `now` is given (seconds since 1970), a client secret
    that was made with a key and has not expired counts as that key.
    Raises Unauthorized (codes `key_missing`, `key_unknown`, `secret_expired`).
    """
    known = api_keys(settings)
    if not known:
        return None
    offered = offered_keys(headers, query)
    if not offered:
        raise Unauthorized("This server needs an API key: send it as 'Authorization: Bearer KEY'.", code="key_missing")
    if now is not None:
        for secret in offered:
            key = client_secrets.signer(secret, known)
            if key is not None:
                client_secrets.check_time(secret, now)
                return key
    # Every pair is compared, each in constant time, so that the answer's timing tells nothing about any key.
    found = [b for a in offered for b in known if hmac.compare_digest(_bytes(a), _bytes(b))]
    if not found:
        raise Unauthorized("This API key is not known here.", code="key_unknown")
    return found[0]


def api_keys(settings: Settings) -> list[str]:
    """The keys that are accepted; empty means that none is needed."""
    return _listed(settings.api_key or "")


def accepted_subprotocol(headers: Mapping[str, str]) -> str | None:
    """The subprotocol to answer a handshake with: the first one offered that is not a key.

    A browser that offered some closes the connection when none is answered.
    """
    names = _listed(one_value(headers, "Sec-WebSocket-Protocol"))
    return next((n for n in names if n.lower() in _SUBPROTOCOLS or n == "realtime"), None)


def check_origin(settings: Settings, origin: str | None, host: str | None) -> None:
    """Refuse a WebSocket that a foreign web page opened. Raises Unauthorized (code `origin_refused`).

    A browser's extension is no web page, and no web page can claim to be one: its user has installed it.
    """
    if origin is not None and origin.lower().startswith(_EXTENSIONS) and "none" not in _listed(settings.cors_origins):
        return
    if not origin_allowed(settings, origin, host):
        raise Unauthorized(
            f"Pages of {origin} may not call this server; CORS_ORIGINS lists those that may.", code="origin_refused"
        )


def origin_allowed(settings: Settings, origin: str | None, host: str | None) -> bool:
    """Whether a request with these `Origin` and `Host` headers comes from a page we trust.

    Without `Origin` it is no web page. The server's own pages are those of the same host name, whatever the port,
    because page and live socket have two. Others must stand in CORS_ORIGINS.
    """
    if origin is None:
        return True
    if not origin.isascii():  # no browser sends such a one, and no answer can repeat it
        return False
    listed = _listed(settings.cors_origins)
    if "*" in listed or origin.lower().rstrip("/") in {o.lower().rstrip("/") for o in listed}:
        return True
    ours = host_name(host)
    return ours is not None and ours == _origin_name(origin)


def check_host(settings: Settings, host: str | None) -> None:
    """Refuse names that are not ours where the address alone is the protection.

    A server on loopback that asks for no key trusts whoever reaches it. A website can make a browser reach it by
    pointing a name of its own at 127.0.0.1 (DNS rebinding), but the Host header then says that name. Hosts of
    CORS_ORIGINS are allowed too, for a proxy on the same machine. Raises Unauthorized (code `host_refused`).
    """
    listed = _listed(settings.cors_origins)
    if settings.api_key or "*" in listed or not is_loopback(settings.app_host):
        return
    name = host_name(host)
    if name is not None and (is_loopback(name) or name == settings.app_host.lower()):
        return
    if name is not None and name in {_origin_name(o) for o in listed}:
        return
    raise Unauthorized(
        f"This server answers as localhost, not as {name or 'a host without name'}. "
        "Set API_KEY, or list the page's origin in CORS_ORIGINS.",
        code="host_refused",
    )


def one_value(values: Mapping[str, str], name: str) -> str:
    """The value of `name`; empty where there is none, or where several leave open which of them counts."""
    try:
        return values.get(name) or ""
    except LookupError:  # websockets' headers refuse to choose
        return ""


def is_loopback(name: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    name = name.lower().strip("[]")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 §6.3
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def host_name(host: str | None) -> str | None:
    """The name or address in a Host header, lower-case, without port and brackets."""
    return _origin_name(f"//{host}") if host else None


def _origin_name(origin: str) -> str | None:
    try:
        return urlsplit(origin).hostname
    except ValueError:  # brackets that hold no address
        return None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # header bytes that are not UTF-8 arrive as lone surrogates


def offered_keys(headers: Mapping[str, str], query: Mapping[str, str]) -> list[str]:
    """Everything in a request that may be a key."""
    scheme, _, credential = one_value(headers, "Authorization").partition(" ")
    offered = [credential.strip()] if scheme.lower() in _SCHEMES else []
    offered.extend(one_value(headers, name).strip() for name in _HEADERS)
    offered.extend(one_value(query, name).strip() for name in _QUERY_NAMES)
    protocols = _listed(one_value(headers, "Sec-WebSocket-Protocol"))
    offered.extend(b for a, b in pairwise(protocols) if a.lower() in _SUBPROTOCOLS)
    offered.extend(p.removeprefix(_SUBPROTOCOL_PREFIX) for p in protocols if p.startswith(_SUBPROTOCOL_PREFIX))
    return [key for key in offered if key]


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
