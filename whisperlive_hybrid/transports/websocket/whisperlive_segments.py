"""What a WhisperLive client is shown: the completed segments so far and the one that is being spoken. Pure.

Each message lists the newest completed segments, oldest first, then at most one that is not completed. Clients key on
what they have seen, so a segment that was shown keeps its start, and one that is completed never changes, but for a
speaker's name. Python's client writes the last text it saw uncompleted into its subtitles unless the last completed
segment has the same: so a segment is shown with its final text before it is completed.

Finals come in the order of their segments, partials of the next segment before them, maybe; those wait, since only one
uncompleted segment may be shown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from whisperlive_hybrid.engine.hypothesis import Word
from whisperlive_hybrid.live import events

Wire: TypeAlias = dict[str, Any]
"""A segment as a message has it."""
MAX_COMPLETED: Final = 500
"""Completed segments kept (as the original does); a client may ask for all that are."""


@dataclass(slots=True)
class _Spoken:
    """A segment that has no final yet. Times are milliseconds."""

    start: int
    end: int
    committed: str = ""
    text: str = ""


class ShownSegments:
    """The lists of segments that are to be sent, one message each. `last_n` completed ones in each; 0 is all."""

    def __init__(self, last_n: int) -> None:
        self._last_n = last_n
        self._completed: deque[Wire] = deque(maxlen=MAX_COMPLETED)
        self._number_of: deque[int] = deque(maxlen=MAX_COMPLETED)
        """Segment numbers of those."""
        self._told_until = 0
        """End of the newest completed segment, milliseconds."""
        self._spoken: dict[int, _Spoken] = {}
        """In the order of their numbers."""
        self._shown: tuple[int, str] | None = None
        """Number and text of the uncompleted segment that was shown last."""

    def partial(self, event: events.Partial) -> list[list[Wire]]:
        """More of a running segment was heard."""
        spoken = self._spoken.get(event.segment)
        if spoken is None:
            spoken = self._spoken[event.segment] = _Spoken(max(_ms(event.start), self._told_until), 0)
        spoken.committed += event.append
        spoken.text = _text(spoken.committed + event.tentative)
        spoken.end = max(_ms(event.end), spoken.start + 1)
        return self._show_spoken()

    def final(self, event: events.Final) -> list[list[Wire]]:
        """A segment has its text. Without text nothing was said after all."""
        spoken = self._spoken.pop(event.segment, None)
        text = _text(event.text)
        if not text:
            return self._withdraw(event.segment, spoken)
        start = max(_ms(event.start), self._told_until) if spoken is None else spoken.start
        # The next segment may repeat the last moment of this one, and has been shown with its start.
        end = max(start + 1, min([_ms(event.end), *(s.start for s in self._spoken.values())]))
        lists = [] if self._shown == (event.segment, text) else [self._list(_segment(start, end, text))]
        self._completed.append(_completed(start, end, text, event.words))
        self._number_of.append(event.segment)
        self._told_until, self._shown = end, None
        return [*lists, *(self._show_spoken() or [self._list()])]

    def named(self, event: events.SpeakerNamed) -> list[list[Wire]]:
        """Speakers of completed segments are known, or known better."""
        names = dict(event.also)
        if event.speaker is not None:
            names[event.segment] = event.speaker
        changed = False
        for i, number in enumerate(self._number_of):
            name = names.get(number)
            if name is not None and self._completed[i].get("speaker") != name:
                self._completed[i] = _with_speaker(self._completed[i], name)
                changed = True
        return (self._show_spoken() or [self._list()]) if changed else []

    def _show_spoken(self) -> list[list[Wire]]:
        """The oldest uncompleted segment, if it has a text."""
        if not self._spoken:
            return []
        number, spoken = next(iter(self._spoken.items()))
        if not spoken.text:
            return []
        self._shown = number, spoken.text
        return [self._list(_segment(spoken.start, spoken.end, spoken.text))]

    def _withdraw(self, number: int, spoken: _Spoken | None) -> list[list[Wire]]:
        """What was shown of a segment is not to be seen any more, nor to be the last that a client remembers."""
        lists: list[list[Wire]] = []
        if spoken is not None and self._shown is not None and self._shown[0] == number:
            if self._completed:
                again = {key: self._completed[-1][key] for key in ("start", "end", "text")}
                lists = [self._list({**again, "completed": False}), self._list()]
            else:
                lists = [[_segment(spoken.start, spoken.end, "")]]
            self._shown = None
        return [*lists, *self._show_spoken()]

    def _list(self, spoken: Wire | None = None) -> list[Wire]:
        newest = list(self._completed)[-self._last_n :] if self._last_n else list(self._completed)
        return newest if spoken is None else [*newest, spoken]


def _ms(seconds: float) -> int:
    return round(1000 * seconds)


def _time(ms: int) -> str:
    return f"{ms / 1000:.3f}"


def _text(text: str) -> str:
    """With the space before it that clients join segments by."""
    text = text.strip()
    return f" {text}" if text else ""


def _segment(start: int, end: int, text: str, *, completed: bool = False) -> Wire:
    return {"start": _time(start), "end": _time(end), "text": text, "completed": completed}


def _completed(start: int, end: int, text: str, words: Sequence[Word] | None) -> Wire:
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


def _with_speaker(segment: Wire, name: str) -> Wire:
    """The name stands between `completed` and `words`."""
    named = {key: value for key, value in segment.items() if key not in ("speaker", "words")}
    named["speaker"] = name
    if "words" in segment:
        named["words"] = segment["words"]
    return named
