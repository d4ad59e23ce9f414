from __future__ import annotations

import io
import json

import pytest

from whisperlive_hybrid.cli.progress import ProgressLine, clock, line_of
from whisperlive_hybrid.cli.terminal import width
from whisperlive_hybrid.jobs.transcript import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def half(done: float = 900.0) -> Progress:
    return Progress("transcribing", done, 1800.0)


def test_the_line() -> None:
    line = line_of("talk.mp3", Progress("transcribing", 756, 1800), 54.0, 79)
    assert line == "talk.mp3  42 % [#############.................] 12:36/30:00  14x  ETA 1:15"


@pytest.mark.parametrize("limit", [20, 40, 60, 80, 200])
@pytest.mark.parametrize("name", ["a.wav", "会議の録音データ.wav", "x" * 100])
def test_the_line_fits(name: str, limit: int) -> None:
    assert width(line_of(name, half(), 30.0, limit)) <= limit


def test_an_unknown_length_gives_no_percentage() -> None:
    assert line_of("a", Progress("decoding", 65.0, None), 10.0, 80) == "a  decoding  1:05  6x"


def test_an_early_estimate_is_not_shown() -> None:
    assert "ETA" not in line_of("a", half(), 2.0, 80)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (65, "1:05"), (3605, "1:00:05"), (-3, "0:00")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_on_a_terminal_the_bar_comes_late_moves_seldom_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    line = ProgressLine(out)
    line.start("a", 0.0)
    line.update(half(), 0.4)
    assert out.getvalue() == ""
    line.update(half(), 0.5)
    line.update(half(), 0.55)
    line.update(half(), 0.65)
    assert out.getvalue().count("a  50 %") == 2
    line.clear()
    assert out.getvalue().endswith("\r\x1b[K")


def test_elsewhere_there_is_nothing() -> None:
    out = io.StringIO()
    line = ProgressLine(out)
    line.start("a", 0.0)
    line.update(half(), 60.0)
    line.clear()
    assert out.getvalue() == ""


def test_plain_progress_is_a_line_every_ten_seconds() -> None:
    out = io.StringIO()
    line = ProgressLine(out, "plain")
    line.start("a", 0.0)
    for now in range(0, 31):
        line.update(half(), float(now))
    assert out.getvalue().count("\n") == 3


def test_progress_for_programs() -> None:
    out = io.StringIO()
    line = ProgressLine(out, "json")
    line.start("a", 0.0)
    line.update(half(), 1.0)
    assert json.loads(out.getvalue()) == {"file": "a", "stage": "transcribing", "done_s": 900.0, "total_s": 1800.0}


def test_a_dumb_terminal_is_not_drawn_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    out = Terminal()
    line = ProgressLine(out)
    line.start("a", 0.0)
    line.update(half(), 5.0)
    assert out.getvalue() == ""


def test_a_note_takes_the_bar_away_and_is_not_repeated_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    line = ProgressLine(out)
    line.start("a", 0.0)
    line.update(half(), 1.0)
    line.note("Lost.", 2.0)
    line.note("Lost.", 3.0)
    line.note("Full.", 4.0)
    line.note("Lost.", 12.0)
    assert out.getvalue().partition("a  50 %")[2].split("\r\x1b[K")[1] == "Lost.\nFull.\nLost.\n"
