from __future__ import annotations

import io
import json
from typing import Any

import pytest

from whisperlive_hybrid.cli.captions import Captions, tail

EVENTS: list[dict[str, Any]] = [
    {"type": "ready", "event": 1},
    {"type": "partial", "segment": 0, "append": "", "tentative": "one two"},
    {"type": "partial", "segment": 0, "append": "one two", "tentative": " free"},
    {"type": "partial", "segment": 0, "append": " three", "tentative": ""},
    {"type": "final", "segment": 0, "text": " one two three."},
    {"type": "final", "segment": 1, "text": ""},
    {"type": "done"},
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(out: io.StringIO, *, jsonl: bool = False) -> str:
    captions = Captions(out, jsonl=jsonl)
    for event in EVENTS:
        captions.show(event)
    captions.clear()
    return out.getvalue()


def test_in_a_pipe_only_what_is_final() -> None:
    assert shown(io.StringIO()) == "one two three.\n"


def test_on_a_terminal_finals_scroll_and_the_tail_is_rewritten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    clear = "\r\x1b[K"
    assert shown(Terminal()) == (
        f"{clear}\x1b[2mone two\x1b[22m"
        f"{clear}one two\x1b[2m free\x1b[22m"
        f"{clear}one two three"
        f"{clear}one two three.\n"
        f"{clear}{clear}"
    )


def test_text_without_a_final_is_withdrawn_when_another_process_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    captions = Captions(out)
    partial = {"type": "partial", "segment": 0, "append": "one", "tentative": ""}
    for event in (partial, {"type": "connection", "state": "resumed", "restored": True}, partial):
        captions.show(event)
    assert out.getvalue().split("\r\x1b[K") == ["", "one", "one"]


def test_jsonl_is_every_event_even_on_a_terminal() -> None:
    assert [json.loads(line) for line in shown(Terminal(), jsonl=True).splitlines()] == EVENTS


def test_the_tail_keeps_to_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert tail("one two", " three", 9) == "two three"
    assert tail("one two", " three", 4) == "hree"
    assert tail("会議", "室", 5) == "議室"
