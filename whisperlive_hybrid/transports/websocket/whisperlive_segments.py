"""What a WhisperLive client is shown: the completed segments so far and the one that is being spoken. Pure.

Each message lists the newest completed segments, oldest first, then at most one that is not completed. Clients key on
what they have seen, so a segment that was shown keeps its start, and one that is completed never changes, but for a
speaker's name: it is encoded once, since it is sent again in every message. Python's client writes the last text it saw
uncompleted into its subtitles unless the last completed segment has the same: so a segment is shown with its final text
before it is completed.

Finals come in the order of their segments, partials of the next segment before them, maybe; those wait, since only one
uncompleted segment may be shown.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeAlias

from whisperlive_hybrid.engine.hypothesis import Word
from whisperlive_hybrid.live import events

Texts: TypeAlias = list[str]
"""The segments of one message, each as JSON."""
MAX_COMPLETED: Final = 500
"""Completed segments kept (as the original does); a client may ask for all that are."""


@dataclass(slots=True)
class _Spoken:
    """A segment that has no final yet. Times are milliseconds."""

    start: int
    end: int
    committed: str = ""
    text: str = ""


@dataclass(slots=True)
class _Completed:
    """A segment that has its final."""

    number: int
    fields: dict[str, Any]
    json: str


class ShownSegments:
    """The segments that are to be sent, a list for each message. `last_n` completed ones in each; 0 is all."""

    def __init__(self, last_n: int) -> None:
        self._last_n = last_n
        self._completed: deque[_Completed] = deque(maxlen=MAX_COMPLETED)
        self._told_until = 0
        """End of the newest completed segment, milliseconds."""
        self._spoken: dict[int, _Spoken] = {}
        """In the order of their numbers."""
        self._shown: tuple[int, str] | None = None
        """Number and text of the uncompleted segment that was shown last."""

    def partial(self, event: events.Partial) -> list[Texts]:
        """More of a running segment was heard."""
        spoken = self._spoken.get(event.segment)
        if spoken is None:
            spoken = self._spoken[event.segment] = _Spoken(max(_ms(event.start), self._told_until), 0)
        spoken.committed += event.append
        spoken.text = _text(spoken.committed + event.tentative)
        spoken.end = max(_ms(event.end), spoken.start + 1)
        return self._show_spoken()

    def final(self, event: events.Final) -> list[Texts]:
        """A segment has its text. Without text nothing was said after all."""
        spoken = self._spoken.pop(event.segment, None)
        text = _text(event.text)
        if not text:
            return self._withdraw(event.segment, spoken)
        start = max(_ms(event.start), self._told_until) if spoken is None else spoken.start
        # The next segment may repeat the last moment of this one, and has been shown with its start.
        end = max(start + 1, min([_ms(event.end), *(s.start for s in self._spoken.values())]))
        lists = [] if self._shown == (event.segment, text) else [self._list(_segment(start, end, text))]
        fields = _completed(start, end, text, event.words)
        self._completed.append(_Completed(event.segment, fields, json.dumps(fields)))
        self._told_until, self._shown = end, None
        return [*lists, *(self._show_spoken() or [self._list()])]

    def named(self, event: events.SpeakerNamed) -> list[Texts]:
        """Speakers of completed segments are known, or known better."""
        names = dict(event.also)
        if event.speaker is not None:
            names[event.segment] = event.speaker
        changed = False
        for segment in self._completed:
            name = names.get(segment.number)
            if name is not None and segment.fields.get("speaker") != name:
                segment.fields = _with_speaker(segment.fields, name)
                segment.json = json.dumps(segment.fields)
                changed = True
        return (self._show_spoken() or [self._list()]) if changed else []

    def _show_spoken(self) -> list[Texts]:
        """The oldest uncompleted segment, if it has a text."""
        if not self._spoken:
            return []
        number, spoken = next(iter(self._spoken.items()))
        if not spoken.text:
            return []
        self._shown = number, spoken.text
        return [self._list(_segment(spoken.start, spoken.end, spoken.text))]

    def _withdraw(self, number: int, spoken: _Spoken | None) -> list[Texts]:
        """What was shown of a segment is not to be seen any more, nor to be the last that a client remembers."""
        lists: list[Texts] = []
        if spoken is not None and self._shown is not None and self._shown[0] == number:
            if self._completed:
                last = self._completed[-1].fields
                again = {key: last[key] for key in ("start", "end", "text")}
                lists = [self._list({**again, "completed": False}), self._list()]
            else:
                lists = [[json.dumps(_segment(spoken.start, spoken.end, ""))]]
            self._shown = None
        return [*lists, *self._show_spoken()]

    def _list(self, spoken: dict[str, Any] | None = None) -> Texts:
        n = len(self._completed)
        newest = islice(self._completed, max(0, n - self._last_n) if self._last_n else 0, n)
        return [*(segment.json for segment in newest), *([] if spoken is None else [json.dumps(spoken)])]


def _ms(seconds: float) -> int:
    return round(1000 * seconds)


def _time(ms: int) -> str:
    return f"{ms / 1000:.3f}"


def _text(text: str) -> str:
    """With the space before it that clients join segments by."""
    text = text.strip()
    return f" {text}" if text else ""


def _segment(start: int, end: int, text: str, *, completed: bool = False) -> dict[str, Any]:
    return {"start": _time(start), "end": _time(end), "text": text, "completed": completed}


def _completed(start: int, end: int, text: str, words: Sequence[Word] | None) -> dict[str, Any]:
    segment = _segment(start, end, text, completed=True)
    if words is not None:
        segment["words"] = [
            {
                "word": word.text,
                "start": _time(_ms(word.start)),
                "end": _time(_ms(word.end)),
                "probability": round(word.probability, 4),
            }
            for word in words
        ]
    return segment


def _with_speaker(segment: dict[str, Any], name: str) -> dict[str, Any]:
    """The name stands between `completed` and `words`."""
    named = {key: value for key, value in segment.items() if key not in ("speaker", "words")}
    named["speaker"] = name
    if "words" in segment:
        named["words"] = segment["words"]
    return named
