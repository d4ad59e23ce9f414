"""Transcripts told while they grow: pieces whose join is the text in the end. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal, Protocol

from whisperlive_hybrid.engine.hypothesis import Segment
from whisperlive_hybrid.jobs.cues import Cue, cues
from whisperlive_hybrid.jobs.formats import VTT_HEAD, srt_cue, vtt_cue


class Growing(Protocol):
    """A text in the making. What `add` and `end` return joins to `text`; what was returned never changes."""

    @property
    def text(self) -> str:
        """Everything that was returned."""
        ...

    def add(self, segments: Sequence[Segment]) -> str:
        """What more can be told once these segments are final."""
        ...

    def end(self) -> str:
        """The rest."""
        ...


class GrowingText:
    """Plain text without a space at either end: that of `Transcript.text`."""

    def __init__(self) -> None:
        self.text = ""
        self._held = ""

    def add(self, segments: Sequence[Segment]) -> str:
        """White space waits until more text follows it."""
        text = "".join(s.text for s in segments)
        pending = self._held + text if self.text else text.lstrip()
        piece = pending.rstrip()
        self._held = pending[len(piece) :]
        self.text += piece
        return piece

    def end(self) -> str:
        """Nothing."""
        return ""


class GrowingSubtitles:
    """The file that `to_srt` or `to_vtt` writes. The newest cue waits, since the next may move its end."""

    def __init__(self, format_: Literal["srt", "vtt"]) -> None:
        self.text = ""
        self._format = format_
        self._n_cues = 0
        self._held: Cue | None = None

    def add(self, segments: Sequence[Segment]) -> str:
        """All cues but the last."""
        ready = cues(segments, after=self._held)
        self._held = ready.pop() if ready else None
        return self._write(ready)

    def end(self) -> str:
        """The last cue."""
        held, self._held = self._held, None
        return self._write([] if held is None else [held])

    def _write(self, done: Sequence[Cue]) -> str:
        piece = VTT_HEAD if self._format == "vtt" and not self.text else ""
        for cue in done:
            self._n_cues += 1
            piece += srt_cue(self._n_cues, cue) if self._format == "srt" else vtt_cue(cue)
        self.text += piece
        return piece


_NAMELESS: Final = re.compile(r"SPEAKER_(\d+)")


class GrowingDialogue:
    """`A: text`, a line each time somebody else speaks."""

    def __init__(self) -> None:
        self.text = ""
        self._speaker: str | None = None

    def add(self, segments: Sequence[Segment]) -> str:
        """Whole segments."""
        piece = ""
        for segment in segments:
            text = segment.text.strip()
            if not text:
                continue
            name = short_name(segment.speaker)
            if name == self._speaker:
                piece += f" {text}"
            else:
                piece += f"{chr(10) if self.text or piece else ''}{name}: {text}"
            self._speaker = name
        self.text += piece
        return piece

    def end(self) -> str:
        """Nothing."""
        return ""


def short_name(speaker: str | None) -> str:
    """A speaker's name; of one without, a letter: A for SPEAKER_00, and ? where nobody is known to speak."""
    nameless = _NAMELESS.fullmatch(speaker or "")
    if nameless is None:
        return speaker or "?"
    number = int(nameless[1])
    return chr(ord("A") + number) if number < 26 else speaker or ""
