"""What a client of a live session can be told. Times are seconds on the session's audio clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from whisperlive_hybrid.engine.hypothesis import Word
from whisperlive_hybrid.errors import HybridError, ModelUnavailable, NotFound


@dataclass(frozen=True, slots=True)
class Ready:
    """The session exists; audio may come."""

    session: str
    token: str
    settings: dict[str, Any]
    heartbeat_s: float
    resume_s: float
    protocol: int = 1


@dataclass(frozen=True, slots=True)
class Ack:
    """Binary messages taken (`received`), and those whose text is final (`committed`), since the session began."""

    received: int
    committed: int


@dataclass(frozen=True, slots=True)
class SpeechState:
    """Speech began or ended at `at`, with the first or last of the segments between."""

    state: Literal["started", "stopped"]
    at: float
    segment: int


@dataclass(frozen=True, slots=True)
class Partial:
    """Words committed now (`append`, never taken back) and the tail that may still change (`tentative`)."""

    segment: int
    start: float
    end: float
    append: str
    tentative: str
    language: str = field(default="", compare=False)
    """As it was detected in this audio, or asked for; not part of what is said."""
    language_probability: float = field(default=0.0, compare=False)
    words: tuple[Word, ...] = field(default=(), compare=False)
    """All that is shown of the segment, committed or not, with times; empty unless asked for."""


@dataclass(frozen=True, slots=True)
class Final:
    """The text of a segment, once; overwrites its partials."""

    segment: int
    start: float
    end: float
    text: str
    language: str
    model: str
    confidence: float
    words: tuple[Word, ...] | None = None
    """None unless asked for."""
    language_probability: float = field(default=0.0, compare=False)
    """1 where the language was asked for or is that of the session."""


@dataclass(frozen=True, slots=True)
class SpeakerNamed:
    """Who spoke a segment; `also` names earlier segments again as (segment, speaker).

    None: nobody can tell. Where several speak in the segment, `speaker` is who speaks longest, and `turns` are all as
    (start, end, speaker).
    """

    segment: int
    speaker: str | None
    confidence: float
    also: tuple[tuple[int, str | None], ...] = ()
    turns: tuple[tuple[float, float, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """How well the server keeps up; sent when it changes."""

    partial_interval_ms: int
    degraded: bool
    queue_ms: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Still here."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """Send again from binary message number `frames` on; the events missed follow.

    `restored`: the session goes on from its checkpoint. Text of segments without a final is withdrawn; it comes again.
    """

    frames: int
    restored: bool = False


@dataclass(frozen=True, slots=True)
class GoAway:
    """The server is shutting down."""

    reconnect_within_ms: int


@dataclass(frozen=True, slots=True)
class Pong:
    """Answer to Ping."""

    id: str | int | None


@dataclass(frozen=True, slots=True)
class Flushed:
    """All that was said before the Flush with this `id` is final and told."""

    id: str | int


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """What was said before the EndTurn or Discard with this `id` are the segments before number `segment`.

    `spoken`: an utterance ran until then.
    """

    id: str | int
    segment: int
    spoken: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """Something was wrong; a `fatal` one is followed by a close."""

    code: str
    message: str
    fatal: bool
    retry_after_s: float | None = None
    param: str | None = None
    accepted: tuple[str, ...] = ()
    segment: int | None = None
    """Which segment has failed."""


def failed_by(error: HybridError, *, fatal: bool) -> Failed:
    """What a client is told of an error."""
    about_model = isinstance(error, ModelUnavailable) or (isinstance(error, NotFound) and error.kind == "model")
    return Failed(
        error.code,
        error.message,
        fatal=fatal,
        retry_after_s=getattr(error, "retry_after_s", None),
        param="model" if about_model else getattr(error, "param", None),
        accepted=tuple(getattr(error, "accepted", ()) or getattr(error, "ways_out", ())),
    )


@dataclass(frozen=True, slots=True)
class Done:
    """Everything is final. `audio` seconds received, `segments` and `words` delivered."""

    audio: float
    segments: int
    words: int
    timing: dict[str, float] = field(default_factory=dict)


Event: TypeAlias = (
    Ready
    | Ack
    | SpeechState
    | Partial
    | Final
    | SpeakerNamed
    | Status
    | Heartbeat
    | Resumed
    | GoAway
    | Pong
    | Flushed
    | TurnEnded
    | Failed
    | Done
)
