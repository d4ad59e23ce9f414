"""Values of the diarization room. Times are seconds on the file's or session's clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_SPEAKERS: Final = 20
"""More are not told apart in one file or session."""
MAX_KNOWN: Final = 4
"""Known speakers of one request (as in OpenAI's API)."""
KNOWN_LEAST_S: Final = 2.0
KNOWN_MOST_S: Final = 10.0
"""Length of a known speaker's reference."""


@dataclass(frozen=True, slots=True)
class KnownSpeaker:
    """A speaker with a name: `audio` is an encoded file of 2 to 10 s in which nobody else speaks."""

    name: str
    audio: bytes


@dataclass(frozen=True, slots=True)
class SpeakerOptions:
    """What a caller asks of the diarization of one file. `num_speakers` goes before the other two."""

    num_speakers: int | None = None
    min_speakers: int | None = None
    max_speakers: int | None = None
    known: tuple[KnownSpeaker, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """`speaker` talks from `start` to `end`; turns of one file do not overlap."""

    start: float
    end: float
    speaker: str
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Diarization:
    """Who speaks when in a file. Without turns, `warning` may say why."""

    turns: tuple[Turn, ...] = ()
    warning: str | None = None

    @property
    def speakers(self) -> tuple[str, ...]:
        """Labels, in the order in which they first speak."""
        return tuple(dict.fromkeys(turn.speaker for turn in self.turns))


def label(number: int) -> str:
    """The name of a speaker nobody knows: SPEAKER_00 and so on, in the order in which they first speak."""
    return f"SPEAKER_{number:02}"
