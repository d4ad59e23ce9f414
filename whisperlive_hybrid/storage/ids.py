"""Names of what is stored: `clip_01JG…`, sortable by the time they were given (ULID, https://github.com/ulid/spec)."""

from __future__ import annotations

import re
import secrets
import time
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["clip", "job", "batch", "msg"]

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ID: Final = re.compile(rf"(clip|job|batch|msg)_[{_ALPHABET}]{{26}}")


def new_id(kind: Kind, now_s: float | None = None) -> str:
    """A new name. `now_s` is Unix time."""
    number = int((time.time() if now_s is None else now_s) * 1000) << 80 | secrets.randbits(80)
    return f"{kind}_" + "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def is_id(text: str, *kinds: Kind) -> bool:
    """Whether `text` can be the name of something of these kinds."""
    found = _ID.fullmatch(text)
    return found is not None and found[1] in kinds
