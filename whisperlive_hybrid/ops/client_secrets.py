"""Client secrets: keys for a short time, which a page may have where the API key stays on its server.

`ek_` BODY `.` SIGNATURE, both base64url: a JSON object with the time of expiry and what the secret's maker wants to be
known of its bearer, and the HMAC-SHA256 of it under an API key. Nothing is stored, so any process with the same keys
knows them, and they end with the key that they were made with.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from whisperlive_hybrid.errors import Unauthorized

PREFIX: Final = "ek_"
MAX_CHARS: Final = 7000
"""It travels in a header, and servers take lines of 8 KiB."""
_SIGNED: Final = b"whisperlive-hybrid client secret 1\n"


def issue(key: str, expires_at: int, claims: dict[str, Any]) -> str:
    """A secret that is good until `expires_at` (seconds since 1970). Without keys on the server `key` is empty."""
    body = {"exp": expires_at, "id": secrets.token_urlsafe(9), **claims}
    text = _encode(msgspec.json.encode(body))
    return f"{PREFIX}{text}.{_encode(_signature(text, key))}"


def signer(secret: str, keys: Sequence[str]) -> str | None:
    """Which of these keys made it; None where none did. All are tried, each in constant time."""
    text, dot, signature = secret.removeprefix(PREFIX).partition(".")
    if not dot or not secret.startswith(PREFIX) or not secret.isascii():
        return None
    found = [key for key in keys if hmac.compare_digest(_encode(_signature(text, key)), signature)]
    return found[0] if found else None


def check_time(secret: str, now: float) -> None:
    """Raises Unauthorized (secret_expired). Of a secret that is signed."""
    expires_at = claims_of(secret).get("exp")
    if not isinstance(expires_at, int) or now >= expires_at:
        raise Unauthorized("This client secret has expired; ask for a new one.", code="secret_expired")


def claims_of(secret: str) -> dict[str, Any]:
    """What it says of its bearer; empty for what is no secret. Whether it is signed is another question."""
    text, dot, _ = secret.removeprefix(PREFIX).partition(".")
    if not dot or not secret.startswith(PREFIX):
        return {}
    try:
        claims = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _signature(text: str, key: str) -> bytes:
    return hmac.new(key.encode("utf-8", "surrogatepass"), _SIGNED + text.encode(), hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
