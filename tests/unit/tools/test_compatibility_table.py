"""The compatibility page says what the tables say, and the tables name tests that exist."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tools.compatibility_table import PAGE, ROOT, SUPPORT, Table, page, read_tables

TABLES = read_tables()


@cache
def functions(path: Path) -> frozenset[str]:
    """Test functions of a file; those of a class as Class::function."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}::{n.name}" for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return frozenset(name for name in found if name.rpartition("::")[2].startswith("test_"))


def test_the_page_says_what_the_tables_say() -> None:
    assert PAGE.read_text() == page(TABLES), "run `make docs`"


@pytest.mark.parametrize("table", TABLES, ids=lambda t: t.source)
def test_the_tests_that_show_it_exist(table: Table) -> None:
    for row in table.rows:
        for test in row.tests:
            path, _, name = test.partition("::")
            assert (ROOT / path).is_file(), f"{row.name}: {path}"
            if path.endswith(".py"):
                assert name in functions(ROOT / path), f"{row.name}: {test}"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('part = "a"\nname = "b"\nsupport = "maybe"', "support is one of"),
        ('part = "a"\nname = "b"\nsupport = "yes"', "which test shows it"),
        ('part = "a"\nname = "b"\nsupport = "no"\n[[row]]\npart = "a"\nname = "b"\nsupport = "no"', "more than once"),
    ],
)
def test_tables_that_claim_what_nothing_shows_are_refused(row: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(f'title = "X"\nabout = "x"\n[[row]]\n{row}\n')
    with pytest.raises(ValueError, match=says):
        read_tables(tmp_path)


def test_a_table_becomes_a_section(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(
        'title = "X, live"\nabout = "About."\n[[row]]\npart = "message"\nname = "a"\nsupport = "no"\nnote = "b | c"\n'
    )
    text = page(read_tables(tmp_path))
    assert "- [X, live](#x-live): 1 no" in text
    assert "**Message**" in text and "| `a` | no | b \\| c |" in text
    assert set(SUPPORT) == {"yes", "partly", "ignored", "no"}
