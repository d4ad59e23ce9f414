"""Signatures of webhooks, as Standard Webhooks has them (https://www.standardwebhooks.com)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = (16, 64)
"""Least and most."""


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A key that receivers share."""

    key: bytes

    @classmethod
    def parse(cls, text: str) -> Secret:
        """From `whsec_` and base64. Raises ValueError, which tells nothing of the secret."""
        try:
            key = base64.b64decode(text.strip().removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not SECRET_BYTES[0] <= len(key) <= SECRET_BYTES[1]:
            raise ValueError(f"a secret is {PREFIX} and the base64 of {SECRET_BYTES[0]} to {SECRET_BYTES[1]} bytes")
        return cls(key)


def new_secret() -> str:
    """A secret as it is written down."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signed_headers(id: str, body: bytes, now: int, keys: Sequence[Secret]) -> dict[str, str]:
    """The headers of a webhook, with a signature for each of the secrets (more than one while they are changed)."""
    signed = f"{id}.{now}.".encode() + body
    signatures = (base64.b64encode(hmac.new(key.key, signed, hashlib.sha256).digest()).decode() for key in keys)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(now),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
