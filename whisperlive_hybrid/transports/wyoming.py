"""The Wyoming protocol, as Home Assistant speaks it: what its events mean here. Pure.

    describe                                   → info
    transcribe, audio-start, audio-chunk …,    → transcript-start, transcript-chunk for each utterance,
    audio-stop                                   transcript, transcript-stop
    ping                                       → pong

A connection may ask for one transcript after the other; each is a session of its own. What comes before a transcript
is told waits for it. Events that nobody knows are passed over, as the protocol wants it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from whisperlive_hybrid import __version__
from whisperlive_hybrid.audio.pcm import MAX_CHANNELS
from whisperlive_hybrid.audio.resampler import MAX_RATE, MIN_RATE
from whisperlive_hybrid.engine.languages import LANGUAGES, parse_language
from whisperlive_hybrid.errors import BadInput, HybridError
from whisperlive_hybrid.live import events
from whisperlive_hybrid.live.commands import Audio, Command, LiveOptions, Start, Stop
from whisperlive_hybrid.live.replay import Numbered
from whisperlive_hybrid.transports.connection import Dialect, Message, Refusal, Reply
from whisperlive_hybrid.transports.wyoming_frames import BrokenStream, Frame, Framer, encode

NAME: Final = "whisperlive-hybrid"
IDLE_S: Final = 600.0
"""A connection without a word is closed after this."""
MAX_AHEAD: Final = 2**21
"""Bytes of events that may come while a transcript is still being made."""
MAX_TERMS: Final = 200
MAX_TEXT: Final = 2000
CLOSE_PROTOCOL_ERROR: Final = 1002
"""No WebSocket's, but what the connection is closed with anyway."""


class WyomingDialect(Dialect):
    """One connection's wire. `models`: (name, whether it knows more than English) of those that can be asked for."""

    open_within_s = IDLE_S

    def __init__(self, defaults: LiveOptions, models: Callable[[], Sequence[tuple[str, bool]]]) -> None:
        self._defaults = replace(defaults, codec="pcm_s16le", interim=False, words=False)
        self._options = self._defaults
        self._models = models
        self._framer = Framer()
        self._ahead: list[Frame] = []
        """Came after `audio-stop`, for when its transcript is told."""
        self._ahead_bytes = 0
        self._format: tuple[int, int, int] | None = None
        """Of the running turn's audio, once it has begun."""
        self._stopped = False
        self._texts: list[str] = []
        self._language: str | None = None

    def next_turn(self) -> None:
        """The transcript is told: what comes next is another one's."""
        self._options, self._format, self._stopped = self._defaults, None, False
        self._texts, self._language = [], None

    def opening(self) -> list[Command | Reply]:
        """See Dialect: what came while the transcript before was being made."""
        frames, self._ahead, self._ahead_bytes = self._ahead, [], 0
        return self._obey(frames)

    def default_start(self) -> LiveOptions:
        """See Dialect."""
        return self._options

    def receive(self, message: Message) -> list[Command | Reply]:
        """See Dialect. Codes of BadInput: wrong_order, unsupported_audio, bad_option. Raises BrokenStream."""
        assert isinstance(message, bytes)
        frames = self._framer.feed(message)
        self.amid_audio = self._framer.amid_payload and not frames
        return self._obey(frames)

    def _obey(self, frames: Sequence[Frame]) -> list[Command | Reply]:
        done: list[Command | Reply] = []
        for frame in frames:
            if self._stopped:
                self._ahead.append(frame)
                self._ahead_bytes += len(frame.payload) + 1000
                if self._ahead_bytes > MAX_AHEAD:
                    raise BrokenStream("too much came while the transcript before was still being made")
                continue
            try:
                done += self._commands(frame)
            except BadInput as error:
                done.append(Reply([_error(error.message, error.code)]))
        return done

    def _commands(self, frame: Frame) -> list[Command | Reply]:
        match frame.type:
            case "describe":
                return [Reply([encode("info", info(self._models()))])]
            case "ping":
                return [Reply([encode("pong", {"text": frame.data.get("text")})])]
            case "transcribe":
                if self._format is not None:
                    raise BadInput("transcribe comes before the audio", code="wrong_order")
                self._options = _options(frame.data, self._defaults)
                return []
            case "audio-start":
                return self._begin(frame.data)
            case "audio-chunk":
                begun = self._begin(frame.data) if self._format is None else []
                if begun or _audio_format(frame.data) == self._format:
                    return [*begun, Audio(frame.payload)] if frame.payload else begun
                raise BadInput("the audio is not what audio-start said", code="wrong_order")
            case "audio-stop":
                begun = [] if self._format is not None else self._begin({"rate": 16_000, "width": 2, "channels": 1})
                self._stopped = True
                return [*begun, Stop()]
        return []

    def _begin(self, data: Mapping[str, Any]) -> list[Command | Reply]:
        if self._format is not None:
            raise BadInput("audio-stop comes before another audio-start", code="wrong_order")
        rate, width, channels = _audio_format(data)
        if width != 2:
            raise BadInput(f"samples have a width of 2 bytes, not {width}", param="width", code="unsupported_audio")
        self._format = rate, width, channels
        self._options = replace(self._options, sample_rate=rate, channels=channels)
        return [Start(self._options)]

    def send(self, event: Numbered) -> list[Message]:
        """See Dialect."""
        match event.event:
            case events.Final(text=text, language=language):
                started = [] if self._texts else [self._start_of(language)]
                told = (" " if self._texts else "") + text.strip()
                self._texts.append(told)
                return [*started, encode("transcript-chunk", {"text": told})]
            case events.Done():
                started = [] if self._texts else [self._start_of(self._options.language)]
                whole: dict[str, Any] = {"text": "".join(self._texts)}
                if self._language is not None:
                    whole["language"] = self._language
                return [*started, encode("transcript", whole), encode("transcript-stop")]
            case events.Failed(code=code, message=message):
                return [_error(message, code)]
        return []

    def _start_of(self, language: str | None) -> bytes:
        self._language = language
        return encode("transcript-start", {"language": language} if language else None)

    def refuse(self, error: HybridError) -> Refusal:
        """See Dialect: an `error`, then the end."""
        return Refusal([_error(error.message, error.code)], CLOSE_PROTOCOL_ERROR, error.code)


def _error(text: str, code: str) -> bytes:
    return encode("error", {"text": text, "code": code})


def _options(data: Mapping[str, Any], base: LiveOptions) -> LiveOptions:
    """What `transcribe` asks for. A vad_sensitivity has no effect: the client says when the audio ends."""
    language, name = data.get("language"), data.get("name")
    if not isinstance(language, str | None) or not isinstance(name, str | None):
        raise BadInput("language and name are texts", param="language", code="bad_option")
    terms = [t for key in ("transcript_names", "transcript_terms") for t in _terms(data.get(key))]
    return replace(
        base,
        language=parse_language(language) if language else base.language,
        model=name or None,
        hotwords=", ".join(terms)[:MAX_TEXT] or None,
    )


def _terms(value: Any) -> list[str]:
    return [t for t in value[:MAX_TERMS] if isinstance(t, str) and t.strip()] if isinstance(value, list) else []


def _audio_format(data: Mapping[str, Any]) -> tuple[int, int, int]:
    """(rate, width, channels)."""
    rate = _whole(data, "rate", MIN_RATE, MAX_RATE)
    return rate, _whole(data, "width", 1, 8), _whole(data, "channels", 1, MAX_CHANNELS)


def _whole(data: Mapping[str, Any], name: str, low: int, high: int) -> int:
    value = data.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return value
    raise BadInput(f"{name} is a whole number from {low} to {high}", param=name, code="unsupported_audio")


def info(models: Sequence[tuple[str, bool]]) -> dict[str, Any]:
    """What `describe` is answered: one program that turns speech into text."""
    everything = list(LANGUAGES)

    def artifact(name: str, description: str, made_by: tuple[str, str], version: str | None) -> dict[str, Any]:
        attribution = {"name": made_by[0], "url": made_by[1]}
        return {
            "name": name,
            "attribution": attribution,
            "installed": True,
            "description": description,
            "version": version,
        }

    whisper = ("OpenAI", "https://github.com/openai/whisper")
    program = artifact(NAME, "Whisper on one shared engine", ("WhisperLive Hybrid", ""), __version__)
    program["models"] = [
        {**artifact(name, name, whisper, None), "languages": everything if multilingual else ["en"]}
        for name, multilingual in models
    ]
    program["supports_transcript_streaming"] = True
    nothing: dict[str, Any] = {domain: [] for domain in ("tts", "handle", "intent", "wake", "mic", "snd")}
    return {"asr": [program], **nothing}
