"""Live events as lines of text: finals scroll; on a terminal the tail below them is rewritten as it changes."""

from __future__ import annotations

import json
from typing import Any, TextIO

from whisperlive_hybrid.cli.terminal import CLEAR_LINE, can_rewrite, columns, dim, last_columns


class Captions:
    """Writes captions to `out`. In a pipe only what is final is written, a line at a time."""

    def __init__(self, out: TextIO, *, jsonl: bool = False) -> None:
        """`jsonl`: every event as a line of JSON instead."""
        self._out = out
        self._jsonl = jsonl
        self._rewrite = can_rewrite(out) and not jsonl
        self._committed: dict[int, str] = {}
        """Committed text of segments that are not final yet."""
        self._n_lines = 0

    @property
    def n_lines(self) -> int:
        """Finals with text so far."""
        return self._n_lines

    def show(self, event: dict[str, Any]) -> None:
        """Show one event of the server."""
        kind = event["type"]
        if kind == "final" and event["text"].strip():
            self._n_lines += 1
        if self._jsonl:
            self._write(json.dumps(event, ensure_ascii=False) + "\n")
        elif kind == "final":
            self._committed.pop(event["segment"], None)
            text = event["text"].strip()
            self._write((CLEAR_LINE if self._rewrite else "") + (f"{text}\n" if text else ""))
        elif kind == "partial" and self._rewrite:
            committed = self._committed.get(event["segment"], "") + event["append"]
            self._committed[event["segment"]] = committed
            self._write(CLEAR_LINE + tail(committed, event["tentative"], columns() - 1))
        elif kind == "connection" and event.get("restored"):
            self._committed.clear()  # what is not final comes again

    def clear(self) -> None:
        """Take the tentative tail away."""
        if self._rewrite:
            self._write(CLEAR_LINE)

    def _write(self, text: str) -> None:
        if text:
            self._out.write(text)
            self._out.flush()


def tail(committed: str, tentative: str, limit: int) -> str:
    """The end of the caption in one line of at most `limit` columns, the tentative part faint."""
    shown = last_columns(committed + tentative, limit)
    n_steady = max(0, len(shown) - len(tentative))
    return shown[:n_steady] + dim(shown[n_steady:])
