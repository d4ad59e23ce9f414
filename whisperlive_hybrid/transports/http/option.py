"""What an option on the wire is: doors declare theirs, requests are read by them and described from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["text", "number", "integer", "flag", "choice", "list", "object"]


@dataclass(frozen=True, slots=True)
class Option:
    """One option on the wire. `low` and `high` bound numbers, `accepted` the values of a choice or list."""

    name: str
    kind: Kind
    help: str
    low: float | None = None
    high: float | None = None
    accepted: tuple[str, ...] = ()
