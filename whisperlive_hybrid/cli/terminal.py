"""What a terminal can do, and how wide text is on it."""

from __future__ import annotations

import os
import shutil
import unicodedata
from typing import TextIO

CLEAR_LINE = "\r\x1b[K"


def can_rewrite(stream: TextIO) -> bool:
    """Whether lines of `stream` can be rewritten in place."""
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


def dim(text: str) -> str:
    """`text` in the terminal's faint style, or as it is where NO_COLOR is set."""
    return text if not text or os.environ.get("NO_COLOR") else f"\x1b[2m{text}\x1b[22m"


def columns() -> int:
    """Width of the terminal."""
    return shutil.get_terminal_size().columns


def width(text: str) -> int:
    """Columns that `text` takes: two for wide East Asian characters, none for combining ones."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def last_columns(text: str, limit: int) -> str:
    """The end of `text` that fits into `limit` columns."""
    while width(text) > limit:
        text = text[1:]
    return text
