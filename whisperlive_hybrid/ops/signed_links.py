"""Links that open one thing for a while: for players, which cannot send an API key.

The key itself never stands in an address, where histories and the logs of proxies would keep it. A link is signed with
the HMAC-SHA256 of its path and its end under an API key; nothing is stored, so any process with the same keys knows it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

from whisperlive_hybrid.errors import Unauthorized

_SIGNED: Final = b"whisperlive-hybrid link 1\n"


def signed_link(path: str, key: str, expires_at: int) -> str:
    """The path with what opens it until `expires_at` (seconds since 1970)."""
    return f"{path}?{urlencode({'expires': expires_at, 'signature': _signature(path, str(expires_at), key)})}"


def is_open(path: str, query: Mapping[str, str], keys: Sequence[str], now: float) -> bool:
    """Whether the query opens the path with one of these keys; all are tried, each in constant time.

    Raises Unauthorized (link_expired) for a link that did so once.
    """
    expires, signature = query.get("expires", ""), query.get("signature", "")
    if not (expires.isascii() and expires.isdigit() and len(expires) < 16 and signature.isascii()):
        return False
    if not any([hmac.compare_digest(_signature(path, expires, key), signature) for key in keys]):
        return False
    if now >= int(expires):
        raise Unauthorized("This link has expired; ask for a new one.", code="link_expired")
    return True


def _signature(path: str, expires: str, key: str) -> str:
    signed = _SIGNED + f"{path}\n{expires}".encode()
    return hmac.new(key.encode("utf-8", "surrogatepass"), signed, hashlib.sha256).hexdigest()
