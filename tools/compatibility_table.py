"""Writes docs/compatibility.md from the tables of tests/conformance/tables: what of each protocol is supported.

python -m tools.compatibility_table            write it
python -m tools.compatibility_table --check    say whether it is out of date

A table is a TOML file: `title`, `about`, and a `[[row]]` for each field and message with `part`, `name`, `support`
(one of SUPPORT), `note`, and `tests`, the test functions that show it. Whatever is said to be supported names at least
one; a test of this tool looks whether they exist.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
TABLES: Final = ROOT / "tests/conformance/tables"
PAGE: Final = ROOT / "docs/compatibility.md"
SUPPORT: Final = {"yes": "yes", "partly": "partly", "ignored": "accepted, no effect", "no": "no"}
_SHOWN: Final = ("yes", "partly")
"""What has to be shown by a test."""


@dataclass(frozen=True, slots=True)
class Row:
    """One field or message of a protocol."""

    part: str
    """Which message or group it belongs to."""
    name: str
    support: str
    note: str
    tests: tuple[str, ...]
    """`path/of/test_file.py::test_function`."""


@dataclass(frozen=True, slots=True)
class Table:
    """One protocol."""

    source: str
    title: str
    about: str
    rows: tuple[Row, ...]


def read_tables(folder: Path = TABLES) -> list[Table]:
    """All tables, by file name. Raises ValueError for one that does not keep to the form."""
    return [_read(path) for path in sorted(folder.glob("*.toml"))]


def _read(path: Path) -> Table:
    values = tomllib.loads(path.read_text())
    rows = tuple(
        Row(row["part"], row["name"], row["support"], row.get("note", ""), tuple(row.get("tests", ())))
        for row in values["row"]
    )
    for row in rows:
        if row.support not in SUPPORT:
            raise ValueError(f"{path.name}: {row.name}: support is one of {', '.join(SUPPORT)}")
        if row.support in _SHOWN and not row.tests:
            raise ValueError(f"{path.name}: {row.name}: which test shows it?")
    names = [(row.part, row.name) for row in rows]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"{path.name}: {twice} stand there more than once")
    return Table(path.name, values["title"], values["about"], rows)


def page(tables: Sequence[Table]) -> str:
    """docs/compatibility.md."""
    lines = [
        "# Compatibility",
        "",
        "<!-- written by `make docs` from tests/conformance/tables -->",
        "",
        "What of each protocol this server speaks, field by field. Whatever is said to be supported is shown by a",
        "test, mostly by one that runs the protocol's real client against the real server.",
        "",
        *(f"- [{t.title}](#{_anchor(t.title)}): {_count(t.rows)}" for t in tables),
    ]
    for table in tables:
        lines += ["", f"## {table.title}", "", table.about.strip()]
        for part in dict.fromkeys(row.part for row in table.rows):
            lines += ["", f"**{part[0].upper()}{part[1:]}**", "", "| | supported | |", "|---|---|---|"]
            lines += [
                f"| {_cell(_code(row.name))} | {SUPPORT[row.support]} | {_cell(row.note)} |"
                for row in table.rows
                if row.part == part
            ]
    return "\n".join(lines) + "\n"


def _count(rows: Iterable[Row]) -> str:
    numbers = {name: sum(row.support == name for row in rows) for name in SUPPORT}
    return ", ".join(f"{n} {SUPPORT[name]}" for name, n in numbers.items() if n)


def _code(name: str) -> str:
    return name if "`" in name else f"`{name}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _anchor(title: str) -> str:
    """As GitHub makes it of a heading."""
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")


def main() -> int:
    """Write the page, or say that it is out of date."""
    text = page(read_tables())
    if "--check" in sys.argv[1:]:
        if not PAGE.exists() or PAGE.read_text() != text:
            print(f"{PAGE.relative_to(ROOT)} is out of date: run `make docs`")
            return 1
        return 0
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
