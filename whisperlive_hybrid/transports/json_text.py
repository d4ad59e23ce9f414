"""JSON that a live client sends. It is read on the event loop, so it must not take long. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from whisperlive_hybrid.errors import BadInput

MAX_PARTS: Final = 10_000
"""Values of one message. A mebibyte of empty lists would take a twentieth of a second; of text, next to nothing."""


def json_object(text: str | bytes, what: str = "the message") -> dict[str, Any]:
    """The object that `text` is. Raises BadInput (bad_json) for anything else, and for one of very many values."""
    n_commas = text.count(",") if isinstance(text, str) else text.count(b",")
    if n_commas >= MAX_PARTS:
        raise BadInput(f"{what} has more than {MAX_PARTS} values", code="bad_json")
    try:
        values = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise BadInput(f"{what} is not JSON: {error}", code="bad_json") from None
    if not isinstance(values, dict):
        raise BadInput(f"{what} must be a JSON object", code="bad_json")
    return values
