"""How far a file is, on standard error."""

from __future__ import annotations

import json
from typing import Literal, TextIO, TypeAlias

from whisperlive_hybrid.cli.terminal import CLEAR_LINE, can_rewrite, columns, last_columns, width
from whisperlive_hybrid.jobs.transcript import Progress

Mode: TypeAlias = Literal["bar", "plain", "json", "none"]

_PATIENCE_S = 0.5
"""Work that is done sooner shows no bar."""
_BAR_EVERY_S, _PLAIN_EVERY_S = 0.1, 10.0
_ETA_AFTER_S = 5.0
"""An estimate made sooner is a guess."""
_SAME_NOTE_S = 10.0


class ProgressLine:
    """Progress of one file after another. `now` is in seconds on any steady clock."""

    def __init__(self, stream: TextIO, mode: Mode | None = None) -> None:
        """`mode` None: a bar on a terminal, nothing elsewhere."""
        self._stream = stream
        self._mode: Mode = mode or ("bar" if can_rewrite(stream) else "none")
        self.name = ""
        """Of the file."""
        self._started = self._due = 0.0
        self._visible = False
        self._noted: dict[str, float] = {}

    @property
    def for_programs(self) -> bool:
        """Lines of JSON, which name their file."""
        return self._mode == "json"

    def start(self, name: str, now: float) -> None:
        """The next file."""
        self.clear()
        self.name, self._started = name, now
        self._due = now + (_PLAIN_EVERY_S if self._mode == "plain" else _PATIENCE_S)

    def update(self, progress: Progress, now: float) -> None:
        """Show `progress` when it is time to."""
        if self._mode == "none" or now < self._due:
            return
        self._due = now + (_PLAIN_EVERY_S if self._mode == "plain" else _BAR_EVERY_S)
        if self._mode == "json":
            line = {"file": self.name, "stage": progress.stage, "done_s": progress.done_s, "total_s": progress.total_s}
            self._write(json.dumps(line) + "\n")
        else:
            text = line_of(self.name, progress, now - self._started, columns() - 1 if self._mode == "bar" else 100)
            self._write(f"{CLEAR_LINE}{text}" if self._mode == "bar" else f"{text}\n")
            self._visible = self._mode == "bar"

    def note(self, text: str, now: float) -> None:
        """Write a line of its own, unless the same has just been written: several files wait for one server."""
        if self._noted.get(text, -_SAME_NOTE_S) + _SAME_NOTE_S <= now:
            self._noted[text] = now
            self.clear()
            self._write(f"{text}\n")

    def clear(self) -> None:
        """Take the bar away, before anything else is written to the terminal."""
        if self._visible:
            self._write(CLEAR_LINE)
            self._visible = False

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def line_of(name: str, progress: Progress, elapsed_s: float, limit: int) -> str:
    """`talk.mp3  42 % [#####.......] 12:40/30:00  14x  ETA 1:14`, at most `limit` columns wide."""
    done, total = progress.done_s, progress.total_s
    speed = f"  {done / elapsed_s:.0f}x" if done > 0 and elapsed_s > 0 else ""
    if not total:
        return last_columns(f"{name}  {progress.stage}" + (f"  {clock(done)}{speed}" if done else ""), limit)
    share = min(1.0, done / total)
    eta = f"  ETA {clock(elapsed_s / share - elapsed_s)}" if elapsed_s >= _ETA_AFTER_S and share > 0 else ""
    before, after = f"{name}  {share * 100:.0f} % ", f" {clock(done)}/{clock(total)}{speed}{eta}"
    room = min(30, limit - width(before) - width(after) - 2)
    if room < 5:
        return last_columns(f"{before.rstrip()}{after}", limit)
    filled = round(share * room)
    return f"{before}[{'#' * filled}{'.' * (room - filled)}]{after}"


def clock(seconds: float) -> str:
    """`1:05`, `1:00:05`."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
