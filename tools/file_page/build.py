"""Puts the parts of this folder together into the page for files, which is one file so that it also works from disk.

python -m tools.file_page.build    write whisperlive_hybrid/pages/test_form.html

`page.html` names the parts where they go. Scripts share one scope and run in that order; those that say `pure` in their
first line have neither document nor clock, and are tested under node.
"""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent.parent / "whisperlive_hybrid/pages/test_form.html"
_PART = re.compile(r"<!-- part ([a-z]+\.(?:css|js)) -->")


def page() -> str:
    """The whole page. Raises ValueError for a part that would end its element too early."""
    return _PART.sub(lambda found: _element(found[1]), (FOLDER / "page.html").read_text(encoding="utf-8"))


def _element(name: str) -> str:
    text = (FOLDER / name).read_text(encoding="utf-8")
    if re.search(r"</(?:script|style)", text, re.IGNORECASE):
        raise ValueError(f"{name} may not hold the end tag of the element that it stands in")
    return f"<style>\n{text}</style>" if name.endswith(".css") else f"<script>\n'use strict';\n{text}</script>"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
