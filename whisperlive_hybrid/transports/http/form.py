"""Text fields of a request, read one by one with every mistake kept, so that a caller learns of all at once."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from whisperlive_hybrid.errors import BadInput, HybridError
from whisperlive_hybrid.transports.http.errors import SeveralProblems

T = TypeVar("T")

_LIST_MARK = re.compile(r"\[\d*\]$")
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


class Form:
    """Fields by name. `name[]` and `name[0]` are `name`; a field left empty is a field not sent."""

    def __init__(self, items: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        self._problems: list[BadInput] = []
        self._dropped: list[str] = []
        self.add(items)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all fields that say something."""
        return tuple(self._values)

    def add(self, items: Iterable[tuple[str, str]]) -> None:
        """More fields."""
        for name, value in items:
            if value.strip():
                self._values.setdefault(_LIST_MARK.sub("", name), []).append(value.strip())

    def fresh(self) -> Form:
        """The same fields, with no mistake found yet."""
        return Form((name, value) for name, values in self._values.items() for value in values)

    def drop(self, *names: str) -> None:
        """Fields that were read, and are none of those who read on. What was wrong with them stays noted."""
        self._dropped.extend(names)
        for name in names:
            self._values.pop(name, None)

    def wrong(self, name: str, message: str, *, accepted: Sequence[str] = (), code: str = "bad_option") -> None:
        """Note a mistake in the field `name`."""
        self._problems.append(BadInput(message, param=name, accepted=accepted, code=code))

    def finish(self) -> None:
        """Raises BadInput if anything was wrong."""
        if len(self._problems) == 1:
            raise self._problems[0]
        if self._problems:
            raise SeveralProblems(self._problems)

    def stop_at(self, error: HybridError) -> None:
        """Raises `error` if nothing else was wrong, so that it keeps its own kind and status."""
        if not self._problems:
            raise error

    def refuse_unknown(self, known: Iterable[str]) -> None:
        """Note every field that is not `known`. Those that were dropped are options, too."""
        accepted = tuple(dict.fromkeys((*known, *self._dropped)))
        for name in self._values:
            if name not in accepted:
                near = difflib.get_close_matches(name[:64], accepted, n=1, cutoff=0.75)
                meant = f" Did you mean {near[0]!r}?" if near else ""
                self.wrong(name, f"There is no option {name[:64]!r}.{meant}", accepted=accepted, code="unknown_option")

    def text(self, name: str, *, max_chars: int = 4096) -> str | None:
        """The field as it is."""
        values = self._values.get(name)
        if values is None:
            return None
        if len(set(values)) > 1:
            self.wrong(name, f"{name} is given {len(values)} times with different values.", code="repeated_option")
            return None
        if "\0" in values[0]:
            self.wrong(name, f"{name} has a character that is none.", code="not_text")
            return None
        if len(values[0]) > max_chars:
            self.wrong(name, f"{name} has {len(values[0])} characters; {max_chars} is the limit.", code="too_long")
            return None
        return values[0]

    def number(self, name: str, low: float, high: float) -> float | None:
        """A number from `low` to `high`."""
        return self._parsed(name, lambda text: _number(name, text, low, high))

    def integer(self, name: str, low: int, high: int) -> int | None:
        """A whole number from `low` to `high`."""
        return self._parsed(name, lambda text: _integer(name, text, low, high))

    def numbers(self, name: str, low: float, high: float, *, most: int = 16) -> tuple[float, ...]:
        """Numbers from `low` to `high`, repeated, comma-separated or as a JSON list."""
        values = self.many(name, most=most)
        try:
            return tuple(_number(name, value, low, high) for value in values)
        except BadInput as problem:
            self._problems.append(problem)
            return ()

    def flag(self, name: str) -> bool | None:
        """true or false."""
        return self._parsed(name, lambda text: _flag(name, text))

    def choice(self, name: str, accepted: Sequence[str]) -> str | None:
        """One of `accepted`."""
        return self._parsed(name, lambda text: _choice(name, text, accepted))

    def many(self, name: str, accepted: Sequence[str] | None = None, *, most: int = 64) -> tuple[str, ...]:
        """All values of a list: repeated, comma-separated, or one JSON list."""
        values = [v for raw in self._values.get(name, ()) for v in _split(raw)]
        if len(values) > most:
            self.wrong(name, f"{name} has {len(values)} values; {most} is the limit.", code="too_long")
            return ()
        wrong = [v for v in values if accepted is not None and v not in accepted]
        if wrong:
            self.wrong(name, f"{name} cannot be {wrong[0][:64]!r}.", accepted=accepted or ())
        return tuple(values)

    def whole(self, name: str, *, most: int = 64) -> tuple[str, ...]:
        """All values of a list whose values may hold commas: repeated, or one JSON list."""
        values = [v for raw in self._values.get(name, ()) for v in (_split(raw) if raw.startswith("[") else [raw])]
        if len(values) > most:
            self.wrong(name, f"{name} has {len(values)} values; {most} is the limit.", code="too_long")
            return ()
        return tuple(values)

    def parsed(self, name: str, parse: Callable[[str], T]) -> T | None:
        """The field through a room's own parser, whose HybridErrors become problems of this field."""
        return self._parsed(name, parse)

    def _parsed(self, name: str, parse: Callable[[str], T]) -> T | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            return parse(text)
        except BadInput as problem:
            self._problems.append(problem)
        except HybridError as problem:
            self._problems.append(BadInput(problem.message, param=name, code=problem.code))
        return None


def _split(raw: str) -> list[str]:
    if raw.startswith("["):
        try:
            items = json.loads(raw)
        except ValueError:
            return [raw]
        if isinstance(items, list):
            return [str(item) for item in items]
    return [part for part in (p.strip() for p in raw.split(",")) if part]


def _number(name: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise BadInput(
            f"{name} is a number from {low:g} to {high:g}, not {text[:64]!r}.",
            param=name,
            accepted=(f"{low:g} to {high:g}",),
            code="bad_option",
        )
    return value


def _integer(name: str, text: str, low: int, high: int) -> int:
    value = int(text) if re.fullmatch(r"[+-]?\d{1,9}", text) else None
    if value is None or not low <= value <= high:
        raise BadInput(
            f"{name} is a whole number from {low} to {high}, not {text[:64]!r}.",
            param=name,
            accepted=(f"{low} to {high}",),
            code="bad_option",
        )
    return value


def _flag(name: str, text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise BadInput(
        f"{name} is true or false, not {text[:64]!r}.", param=name, accepted=("true", "false"), code="bad_option"
    )


def _choice(name: str, text: str, accepted: Sequence[str]) -> str:
    if text in accepted:
        return text
    raise BadInput(f"{name} cannot be {text[:64]!r}.", param=name, accepted=accepted, code=f"unknown_{name}")
