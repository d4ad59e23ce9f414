"""What a client of a live session can ask. Front doors turn their wire into these."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from whisperlive_hybrid.diarization.turns import KnownSpeaker
from whisperlive_hybrid.engine.window import Task
from whisperlive_hybrid.speech.speech import SpeechOptions

Codec: TypeAlias = Literal["opus", "ogg-opus", "webm-opus", "pcm_s16le", "pcm_f32le", "pcm_u8", "pcm_mulaw", "pcm_alaw"]


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """How a session is to be heard. Wrong values raise BadInput in the front door, never here."""

    codec: Codec | None = None
    """None: recognized from the first bytes (Ogg, WebM and WAV only)."""
    sample_rate: int = 16_000
    """Hz, of PCM and raw Opus."""
    channels: int = 1
    language: str | None = None
    task: Task = "transcribe"
    model: str | None = None
    interim: bool = True
    """Send partials."""
    words: bool = False
    """Words with times in finals and partials."""
    diarize: bool = False
    """Tell who speaks."""
    prompt: str | None = None
    hotwords: str | None = None
    speech: SpeechOptions = field(default_factory=SpeechOptions)
    every_final: bool = False
    """Tell a final of each utterance, even where no words were heard."""
    max_speakers: int | None = None
    """So many are told apart at most; None is as many as there are."""
    known_speakers: tuple[KnownSpeaker, ...] = ()
    """Speakers with names. Their voices are learnt when the session begins."""
    speakers_within_s: float | None = None
    """Where a segment's speaker takes longer, tell that nobody is known yet: for wires that wait."""


@dataclass(frozen=True, slots=True)
class Start:
    """Begin a session."""

    options: LiveOptions


@dataclass(frozen=True, slots=True)
class Audio:
    """One binary message of encoded audio."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Flush:
    """Finalize what was said so far. With an `id` it is answered by Flushed, once all that is final."""

    id: str | int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Hear what comes after it as `options` say.

    An utterance that has ended is finished as it was begun; one that runs goes on with the new options, and ends where
    they tell speech from silence in another way. Not for sessions that another process may go on with.
    """

    options: LiveOptions


@dataclass(frozen=True, slots=True)
class EndTurn:
    """Finalize what was said so far, and let no utterance after it reach back before it. Answered by TurnEnded."""

    id: str | int


@dataclass(frozen=True, slots=True)
class Discard:
    """Forget speech that has not ended: it gets no final. Answered by TurnEnded, before that speech is said to stop."""

    id: str | int


@dataclass(frozen=True, slots=True)
class Stop:
    """No more audio: finalize everything, then `done`."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Continue a session whose connection broke, after event number `last_event`."""

    session: str
    token: str
    last_event: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Answered by Pong with the same `id`."""

    id: str | int | None


Work: TypeAlias = Audio | Flush | Change | EndTurn | Discard | Stop
"""Worked off by the session, in order."""
Command: TypeAlias = Start | Work | Resume | Ping
