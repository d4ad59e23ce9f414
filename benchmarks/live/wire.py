"""What a client of each system shows, told from the messages it got. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.material import normalized

Message = tuple[float, Mapping[str, Any]]
"""When it came (s since the audio began), and the message."""


@dataclass(frozen=True)
class Update:
    """The text on the screen from `at_s` on, in normalized words.

    final: will not change any more. open: what follows; its first `committed` words are promised to stay until the
    final of their segment.
    """

    at_s: float
    final: tuple[str, ...]
    open: tuple[str, ...] = ()
    committed: int = 0

    @property
    def shown(self) -> tuple[str, ...]:
        """All words on the screen."""
        return self.final + self.open


def our_updates(messages: Iterable[Message]) -> list[Update]:
    """Updates of a `/ws/stream` session."""
    finals: dict[int, tuple[str, ...]] = {}
    committed: dict[int, str] = {}
    tentative: dict[int, str] = {}
    updates: list[Update] = []
    for at, message in messages:
        kind = message.get("type")
        if kind not in ("partial", "final"):
            continue
        segment = int(message["segment"])
        if kind == "final":
            finals[segment] = _words(message["text"])
        else:
            committed[segment] = committed.get(segment, "") + message.get("append", "")
            tentative[segment] = message.get("tentative", "")
        final: tuple[str, ...] = ()
        following: tuple[str, ...] = ()
        n_committed = 0
        all_final = True
        for each in sorted({*finals, *committed}):
            done = each in finals
            all_final = all_final and done
            if all_final:
                final += finals[each]
                continue
            words = finals[each] if done else _words(committed[each] + tentative[each])
            if n_committed == len(following):
                n_committed += len(words) if done else len(_words(committed[each]))
            following += words
        updates.append(Update(at, final, following, n_committed))
    return updates


def whisperlive_updates(messages: Iterable[Message]) -> list[Update]:
    """Updates of a WhisperLive session: completed segments stay, the last one that is not may change.

    A message holds the newest segments again; as its own client does, a completed one is taken once.
    """
    known: set[tuple[str, str, str]] = set()
    final: tuple[str, ...] = ()
    updates: list[Update] = []
    for at, message in messages:
        if "segments" not in message:
            continue
        open_words: tuple[str, ...] = ()
        for segment in message["segments"]:
            words = _words(segment["text"])
            if not segment.get("completed"):
                open_words = words
                continue
            key = (segment["start"], segment["end"], segment["text"])
            if key not in known:
                known.add(key)
                final += words
        updates.append(Update(at, final, open_words))
    return updates


def _words(text: str) -> tuple[str, ...]:
    return tuple(normalized(text).split())
