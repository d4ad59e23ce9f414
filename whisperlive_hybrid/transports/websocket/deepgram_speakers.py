"""Finals that wait for their speakers, since Deepgram's wire names them within the `Results` and never again. Pure.

Order is kept: what comes behind a final that waits, waits too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from whisperlive_hybrid.diarization.assign import speakers_of
from whisperlive_hybrid.diarization.turns import Turn
from whisperlive_hybrid.engine.hypothesis import Word
from whisperlive_hybrid.live import events

FLUSHED: Final = "flushed"
"""Stands for the answer to a Finalize."""
Waiting: TypeAlias = events.Final | str


@dataclass(slots=True)
class WaitForSpeakers:
    """One session's. Without text a final has no speaker to wait for."""

    _waiting: deque[Waiting] = field(default_factory=deque)
    _named: dict[int, events.SpeakerNamed] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)

    @property
    def busy(self) -> bool:
        """A final waits."""
        return bool(self._waiting)

    def add(self, item: Waiting) -> list[Waiting]:
        """One more, in order. What may be told now."""
        self._waiting.append(item)
        return self._ready()

    def name(self, named: events.SpeakerNamed) -> list[Waiting]:
        """Who spoke a segment. What may be told now; a segment that was told is not told again."""
        if any(not isinstance(item, str) and item.segment == named.segment for item in self._waiting):
            self._named[named.segment] = named
        return self._ready()

    def give_up(self) -> list[Waiting]:
        """All that waits, without speakers where they are not known."""
        everything = list(self._waiting)
        self._waiting.clear()
        return everything

    def numbers_of(self, segment: int, words: Sequence[Word]) -> list[int | None]:
        """The number of each word's speaker, counted as they first spoke; None where nobody can tell. Asked once."""
        named = self._named.pop(segment, None)
        if named is None:
            return [None] * len(words)
        turns = [Turn(start, end, speaker) for start, end, speaker in named.turns if speaker is not None]
        if turns:
            found = speakers_of([(word.start, word.end) for word in words], turns)
        else:
            found = [named.speaker] * len(words)
        return [None if name is None else self._numbers.setdefault(name, len(self._numbers)) for name in found]

    def _ready(self) -> list[Waiting]:
        ready: list[Waiting] = []
        while self._waiting:
            item = self._waiting[0]
            if not isinstance(item, str) and item.text and item.segment not in self._named:
                break
            ready.append(self._waiting.popleft())
        return ready
