"""From what a session tells to the items of the Realtime API: one for each turn of a speaker. Pure.

With turn detection an item is one stretch of speech; without, it is everything between two commits, and so may have
several utterances. Either way it is a range of the session's segments: open while it grows, closed when it is
committed, complete once the final of its last segment is there. Deltas are told in the order of segments, however early
the words of the next one are known, and never taken back: what a final corrects stands in `completed` only.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field

from whisperlive_hybrid.engine.hypothesis import Word
from whisperlive_hybrid.live.events import Final, Partial, SpeechState
from whisperlive_hybrid.live.transcript import Token, joined, key_of, n_covered, split_words
from whisperlive_hybrid.transports.realtime_settings import Json
from whisperlive_hybrid.transports.websocket.realtime_events import RealtimeEvents


@dataclass(slots=True)
class _Item:
    """One turn: segments from `next` on are to come, up to `last` (None: nobody knows yet)."""

    id: str
    next: int
    """The first segment that has no final yet."""
    last: int | None = None
    started_s: float = 0.0
    seconds: float = 0.0
    """Of its audio, once it is committed."""
    told: str = ""
    """Deltas of the segment `next`."""
    early: dict[int, str] = field(default_factory=dict)
    """Words of later segments that may be told once that one's turn comes."""
    any_told: str = ""
    """The end of what was told before that segment."""
    texts: list[str] = field(default_factory=list)
    words: list[Word] | None = None
    """None where nobody asked for them."""
    languages: list[str] = field(default_factory=list)
    failed: str | None = None

    @property
    def complete(self) -> bool:
        """All its finals are there."""
        return self.last is not None and self.next > self.last


class Turns:
    """The items of one session. Methods return the events to send."""

    def __init__(self, events: RealtimeEvents, *, manual: bool, beta: bool) -> None:
        self.beta = beta
        self._events = events
        self._items: list[_Item] = []
        """Those that are not complete, oldest first."""
        self._previous: str | None = None
        """The newest item that was committed."""
        self._manual = manual
        self._open: _Item | None = None
        """The item that grows."""
        if manual:
            self._begin(0, 0.0)

    # --- what the session tells ------------------------------------------------------------------------------------

    def speech(self, state: SpeechState) -> list[Json]:
        """Speech began or stopped; nobody asks without turn detection."""
        if self._manual:
            return []
        if state.state == "started":
            item = self._begin(state.segment, state.at)
            return [self._events.speech_started(item.id, state.at)]
        opened, self._open = self._open, None
        if opened is None:
            return []
        stopped = self._events.speech_stopped(opened.id, state.at)
        if opened not in self._items:  # it was cleared
            return [stopped]
        return [stopped, *self._commit(opened, state.segment, state.at - opened.started_s)]

    def partial(self, partial: Partial) -> list[Json]:
        """Words that are not taken back."""
        item = self._item_of(partial.segment)
        if item is None or not partial.append:
            return []
        if partial.segment != item.next:
            item.early[partial.segment] = item.early.get(partial.segment, "") + partial.append
            return []
        return self._tell(item, partial.append)

    def fail(self, segment: int, message: str) -> list[Json]:
        """The segment's final, which follows, is what partials had."""
        item = self._item_of(segment)
        if item is not None:
            item.failed = message
        return []

    def final(self, final: Final) -> list[Json]:
        """The text of a segment."""
        item = self._item_of(final.segment)
        if item is None:
            return []
        told = self._tell(item, rest_after(item.told, final.text))
        if final.text:
            item.texts.append(final.text)
            if final.language not in (*item.languages, "und"):
                item.languages.append(final.language)
        if final.words is not None:
            item.words = [*(item.words or ()), *final.words]
        item.next = final.segment + 1
        item.any_told, item.told = item.told or item.any_told, ""
        if item.next in item.early:
            told += self._tell(item, item.early.pop(item.next))
        return told + self._complete(item)

    # --- what the client has asked for -----------------------------------------------------------------------------

    def commit(self, segment: int, *, spoken: bool, seconds: float) -> list[Json]:
        """The client's commit was carried out before `segment`; `spoken`: it ended an utterance."""
        if self._manual:
            opened = self._open
            assert opened is not None
            told = self._commit(opened, segment - 1, seconds)
            self._begin(segment, 0.0)
            return told
        if spoken:
            return []  # that utterance's item has just been committed
        return self._commit(self._begin(segment, 0.0, opened=False), segment - 1, seconds)

    def clear(self, segment: int) -> list[Json]:
        """What was said before `segment` and is not committed is forgotten."""
        if self._open is not None and self._open in self._items:
            self._items.remove(self._open)
        if self._manual:
            self._begin(segment, 0.0)
        return [self._events.event("input_audio_buffer.cleared")]

    def switch(self, segment: int, *, manual: bool) -> list[Json]:
        """Turn detection is off or on from `segment` on. What was not committed until then is an item, if it speaks."""
        if manual == self._manual:
            return []
        told: list[Json] = []
        if self._manual and self._open is not None:
            if self._open.next < segment or self._open.texts:
                told = self._commit(self._open, segment - 1, 0.0)
            else:
                self._items.remove(self._open)
        self._manual, self._open = manual, None
        if manual:
            self._begin(segment, 0.0)
        return told

    # --- items -----------------------------------------------------------------------------------------------------

    def _begin(self, segment: int, at_s: float, *, opened: bool = True) -> _Item:
        item = _Item(self._events.item_id(), segment, started_s=at_s)
        self._items.append(item)
        if opened:
            self._open = item
        return item

    def _item_of(self, segment: int) -> _Item | None:
        for item in self._items:
            if item.next <= segment and (item.last is None or segment <= item.last):
                return item
        return None

    def _commit(self, item: _Item, last: int, seconds: float) -> list[Json]:
        item.last, item.seconds = last, seconds
        previous, self._previous = self._previous, item.id
        return [*self._events.committed(item.id, previous, beta=self.beta), *self._complete(item)]

    def _complete(self, item: _Item) -> list[Json]:
        if not item.complete:
            return []
        self._items.remove(item)
        if item.failed is not None:
            return [self._events.failed(item.id, item.failed)]
        text = ""
        for each in item.texts:
            text += _glue(text, each) + each
        return [self._events.completed(item.id, text, item.seconds, item.languages, item.words)]

    def _tell(self, item: _Item, text: str) -> list[Json]:
        if not text:
            return []
        delta = text if item.told else _glue(item.any_told, text) + text
        item.told += text
        return [self._events.delta(item.id, delta)]


def rest_after(told: str, final: str) -> str:
    """What `final` says beyond the deltas `told`, as it follows them."""
    if final.startswith(told):
        return final[len(told) :]
    before, after = ([Token(word, key_of(word)) for word in split_words(text)] for text in (told, final))
    return joined(after[n_covered(before, after) :])


def _glue(before: str, after: str) -> str:
    """What goes between two utterances: nothing where either border is of a script that is written without spaces."""
    if not before or not after:
        return ""
    wide = any(unicodedata.east_asian_width(c) in "WF" for c in (before[-1], after[0]))
    return "" if wide else " "
