from __future__ import annotations

import re

import pytest

from tools.file_page import build


def test_the_page_is_what_its_parts_make() -> None:
    assert build.PAGE.read_text(encoding="utf-8") == build.page(), "run `make docs`"


def test_every_part_is_in_the_page_once() -> None:
    named = re.findall(r"<!-- part (\S+) -->", (build.FOLDER / "page.html").read_text(encoding="utf-8"))
    assert sorted(named) == sorted(path.name for path in build.FOLDER.iterdir() if path.suffix in (".css", ".js"))


def test_a_part_cannot_end_its_element(tmp_path: build.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.html").write_text("<!-- part a.js -->")
    (tmp_path / "a.js").write_text("'</SCRIPT>'")
    monkeypatch.setattr(build, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"a\.js"):
        build.page()
