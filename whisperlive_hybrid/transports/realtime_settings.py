"""The settings of a session of OpenAI's Realtime API, for transcription, and how either dialect shows them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias

from whisperlive_hybrid.engine.languages import parse_language
from whisperlive_hybrid.engine.models import is_openai_name
from whisperlive_hybrid.live.commands import Codec, LiveOptions

AudioType: TypeAlias = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
Json: TypeAlias = dict[str, Any]

CODECS: Final[dict[AudioType, Codec]] = {
    "audio/pcm": "pcm_s16le",
    "audio/pcmu": "pcm_mulaw",
    "audio/pcma": "pcm_alaw",
}
BETA_FORMATS: Final[dict[str, AudioType]] = {
    "pcm16": "audio/pcm",
    "g711_ulaw": "audio/pcmu",
    "g711_alaw": "audio/pcma",
}
DEFAULT_RATE: Final[dict[AudioType, int]] = {"audio/pcm": 24_000, "audio/pcmu": 8_000, "audio/pcma": 8_000}
LOGPROBS: Final = "item.input_audio_transcription.logprobs"
EAGERNESS_MS: Final = {"low": 1500, "medium": 900, "auto": 900, "high": 500}
"""Silence that ends a turn with semantic_vad: nothing but silence tells here whether somebody has finished."""
MANUAL_MIN_SPEECH_MS: Final = 100
"""Where the client says when a turn ends, it also knows that something was said: shorter bursts count."""


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """How the server tells when a turn ends."""

    kind: Literal["server_vad", "semantic_vad"]
    threshold: float
    prefix_padding_ms: int
    silence_duration_ms: int
    eagerness: str = "auto"


@dataclass(frozen=True, slots=True)
class RealtimeSettings:
    """A session's settings in force. `defaults`: of a client that says nothing."""

    defaults: LiveOptions
    turn_detection: TurnDetection | None
    """None: the client commits."""
    audio_type: AudioType = "audio/pcm"
    rate: int = 24_000
    model: str | None = None
    language: str | None = None
    """As the client wrote it; empty detects."""
    languages: tuple[str, ...] = ()
    prompt: str | None = None
    keywords: tuple[str, ...] = ()
    delay: str | None = None
    logprobs: bool = False

    @classmethod
    def new(cls, defaults: LiveOptions) -> RealtimeSettings:
        """Before the first update."""
        return cls(defaults, default_turns(defaults, "server_vad"))

    @property
    def bytes_per_s(self) -> int:
        """Of its audio."""
        return self.rate * (2 if self.audio_type == "audio/pcm" else 1)

    def live_options(self) -> LiveOptions:
        """The same for the live room."""
        defaults, turns = self.defaults, self.turn_detection
        language = defaults.language if self.language is None else parse_language(self.language)
        if self.language is None and self.languages:
            language = parse_language(self.languages[0]) if len(self.languages) == 1 else None
        if turns is None:
            speech = replace(defaults.speech, min_speech_ms=min(defaults.speech.min_speech_ms, MANUAL_MIN_SPEECH_MS))
        else:
            silence_ms = turns.silence_duration_ms if turns.kind == "server_vad" else EAGERNESS_MS[turns.eagerness]
            speech = replace(
                defaults.speech,
                threshold=turns.threshold,
                pre_roll_ms=turns.prefix_padding_ms,
                min_silence_ms=silence_ms,
            )
        return replace(
            defaults,
            codec=CODECS[self.audio_type],
            sample_rate=self.rate,
            channels=1,
            language=language,
            model=None if self.model is None or is_default(self.model) else self.model,
            words=self.logprobs,
            prompt=self.prompt or defaults.prompt,
            hotwords=", ".join(self.keywords) or defaults.hotwords,
            speech=speech,
            every_final=True,
        )


def is_default(model: str) -> bool:
    """Whether a client means "whatever transcribes": a name of OpenAI's, be it of a model that does not."""
    return model == "" or is_openai_name(model) or model.lower().startswith("gpt-")


def default_turns(defaults: LiveOptions, kind: Literal["server_vad", "semantic_vad"]) -> TurnDetection:
    """Turn detection of a client that asks for nothing else: as the server's own settings have it."""
    speech = defaults.speech
    return TurnDetection(kind, speech.threshold, speech.pre_roll_ms, speech.min_silence_ms)


@dataclass(frozen=True, slots=True)
class Shown:
    """How a session's settings are shown to clients. `id`: of the session."""

    settings: RealtimeSettings
    id: str
    more: Json = field(default_factory=dict)
    """Of the object: `client_secret`, `expires_at`."""

    def ga(self) -> Json:
        """The session object of GA."""
        settings = self.settings
        format_: Json = {"type": settings.audio_type}
        if settings.audio_type == "audio/pcm" or settings.rate != DEFAULT_RATE[settings.audio_type]:
            format_["rate"] = settings.rate
        return {
            "type": "transcription",
            "object": "realtime.transcription_session",
            "id": self.id,
            "audio": {
                "input": {
                    "format": format_,
                    "transcription": self._transcription(beta=False),
                    "noise_reduction": None,
                    "turn_detection": self._turns(),
                }
            },
            "include": [LOGPROBS] if settings.logprobs else None,
            **self.more,
        }

    def beta(self) -> Json:
        """The session object of the beta."""
        settings = self.settings
        names = {audio_type: name for name, audio_type in BETA_FORMATS.items()}
        return {
            "object": "realtime.transcription_session",
            "id": self.id,
            "modalities": ["text"],
            "input_audio_format": names[settings.audio_type],
            "input_audio_transcription": self._transcription(beta=True),
            "input_audio_noise_reduction": None,
            "turn_detection": self._turns(),
            "include": [LOGPROBS] if settings.logprobs else None,
            **self.more,
        }

    def _transcription(self, *, beta: bool) -> Json:
        settings = self.settings
        shown: Json = {"model": settings.model or "whisper-1", "language": settings.language, "prompt": settings.prompt}
        if not beta:
            if settings.languages:
                shown["languages"] = list(settings.languages)
            if settings.keywords:
                shown["keywords"] = list(settings.keywords)
            if settings.delay is not None:
                shown["delay"] = settings.delay
        return shown

    def _turns(self) -> Json | None:
        turns = self.settings.turn_detection
        if turns is None:
            return None
        if turns.kind == "semantic_vad":
            return {"type": turns.kind, "eagerness": turns.eagerness}
        return {
            "type": turns.kind,
            "threshold": turns.threshold,
            "prefix_padding_ms": turns.prefix_padding_ms,
            "silence_duration_ms": turns.silence_duration_ms,
        }
