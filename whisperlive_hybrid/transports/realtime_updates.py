"""Updates of a session of OpenAI's Realtime API. Pure.

Two dialects say the same: GA nests everything under `audio.input`, beta has flat `input_audio_…` fields; both are taken
wherever they come. An update changes what it names and nothing else; null sets back. What is harmless and not to be had
here (noise reduction, `delay`, fields of conversations) is taken without a word, because clients end at any error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from whisperlive_hybrid.engine.languages import parse_language
from whisperlive_hybrid.errors import BadInput
from whisperlive_hybrid.transports.realtime_settings import (
    BETA_FORMATS,
    CODECS,
    DEFAULT_RATE,
    EAGERNESS_MS,
    LOGPROBS,
    Json,
    RealtimeSettings,
    default_turns,
)

_T = TypeVar("_T")
MIN_RATE, MAX_RATE = 8_000, 48_000
MAX_TEXT: Final = 4000
"""Characters of texts; Whisper's prompt holds about a thousand."""
MAX_LIST: Final = 100
DELAYS: Final = ("minimal", "low", "medium", "high", "xhigh")


def updated(settings: RealtimeSettings, session: Any, path: str = "session") -> RealtimeSettings:
    """`settings` with what `session` changes, in either dialect. Raises BadInput whose `param` begins with `path`."""
    given = _object(path, session)
    settings = _with_flat(settings, given, path)
    if given.get("audio") is not None:
        audio = _object(f"{path}.audio", given["audio"])
        if audio.get("input") is not None:
            settings = _with_input(settings, _object(f"{path}.audio.input", audio["input"]), f"{path}.audio.input")
    if "include" in given:
        include = _texts(f"{path}.include", given["include"])
        settings = replace(settings, logprobs=LOGPROBS in include)
    return settings


def _with_input(settings: RealtimeSettings, given: Mapping[str, Any], path: str) -> RealtimeSettings:
    if "format" in given:
        settings = _with_format(settings, given["format"], f"{path}.format")
    if "transcription" in given:
        settings = _with_transcription(settings, given["transcription"], f"{path}.transcription")
    if "turn_detection" in given:
        settings = _with_turns(settings, given["turn_detection"], f"{path}.turn_detection")
    return settings


def _with_flat(settings: RealtimeSettings, given: Mapping[str, Any], path: str) -> RealtimeSettings:
    names = {"input_audio_format": "format", "input_audio_transcription": "transcription"}
    for name, same in {**names, "turn_detection": "turn_detection"}.items():
        if name in given:
            read = {"format": _with_format, "transcription": _with_transcription, "turn_detection": _with_turns}[same]
            settings = read(settings, given[name], f"{path}.{name}")
    return settings


def _with_format(settings: RealtimeSettings, value: Any, path: str) -> RealtimeSettings:
    if value is None:
        return replace(settings, audio_type="audio/pcm", rate=DEFAULT_RATE["audio/pcm"])
    if isinstance(value, str):
        value = {"type": value}
    given = _object(path, value)
    kind = settings.audio_type
    rate = settings.rate
    if given.get("type") is not None:
        name = given["type"]
        found = BETA_FORMATS.get(name, name) if isinstance(name, str) else None
        accepted = (*CODECS, *BETA_FORMATS)
        if found not in CODECS:
            raise _wrong(f"{path}.type", name, "one of " + ", ".join(accepted), accepted)
        kind, rate = found, rate if found == kind else DEFAULT_RATE[found]
    if given.get("rate") is not None:
        rate = _whole(f"{path}.rate", given["rate"], MIN_RATE, MAX_RATE)
    return replace(settings, audio_type=kind, rate=rate)


def _with_transcription(settings: RealtimeSettings, value: Any, path: str) -> RealtimeSettings:
    if value is None:
        return replace(settings, model=None, language=None, languages=(), prompt=None, keywords=(), delay=None)
    given = _object(path, value)
    changed: Json = {}
    for name, read in _TRANSCRIPTION.items():
        if name in given:
            empty: tuple[str, ...] | None = () if name in ("languages", "keywords") else None
            changed[name] = empty if given[name] is None else read(f"{path}.{name}", given[name])
    return replace(settings, **changed)


def _language(path: str, value: Any) -> str:
    text = _text(path, value)
    try:
        parse_language(text)
    except BadInput as error:
        raise BadInput(error.message, param=path, accepted=error.accepted, code=error.code) from None
    return text


def _languages(path: str, value: Any) -> tuple[str, ...]:
    return tuple(_language(f"{path}[{i}]", text) for i, text in enumerate(_texts(path, value)))


def _delay(path: str, value: Any) -> str | None:
    return value if value in DELAYS else None


def _text(path: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(path, value, "text")
    if len(value) > MAX_TEXT:
        raise BadInput(f"{path} has more than {MAX_TEXT} characters.", param=path, code="too_long")
    return value.strip()


def _texts(path: str, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _wrong(path, value, "a list of texts")
    if len(value) > MAX_LIST or sum(len(v) for v in value if isinstance(v, str)) > MAX_TEXT:
        raise BadInput(f"{path} is too long: {MAX_TEXT} characters are the limit.", param=path, code="too_long")
    return tuple(_text(f"{path}[{i}]", text) for i, text in enumerate(value))


_TRANSCRIPTION: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "model": _text,
    "language": _language,
    "languages": _languages,
    "prompt": _text,
    "keywords": _texts,
    "delay": _delay,
}


def _with_turns(settings: RealtimeSettings, value: Any, path: str) -> RealtimeSettings:
    if value is None:
        return replace(settings, turn_detection=None)
    given = _object(path, value)
    turns = settings.turn_detection or default_turns(settings.defaults, "server_vad")
    kind = given.get("type")
    if kind is not None and kind != turns.kind:
        if kind not in ("server_vad", "semantic_vad"):
            accepted = ("server_vad", "semantic_vad", "null")
            raise _wrong(f"{path}.type", kind, "server_vad or semantic_vad, or all of it null", accepted)
        turns = default_turns(settings.defaults, kind)
    initial = default_turns(settings.defaults, turns.kind)
    changed: Json = {}
    for name, read in _TURNS.items():
        if name in given:
            there = given[name]
            changed[name] = getattr(initial, name) if there is None else read(f"{path}.{name}", there)
    return replace(settings, turn_detection=replace(turns, **changed))


def _within(least: float, most: float, kind: Callable[[float], _T]) -> Callable[[str, Any], _T]:
    """A number, moved to where this server can follow."""

    def read(path: str, value: Any) -> _T:
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not number or value < 0:
            raise _wrong(path, value, "a number, not below 0")
        return kind(min(max(value, least), most))

    return read


def _eagerness(path: str, value: Any) -> str:
    if isinstance(value, str) and value in EAGERNESS_MS:
        return value
    raise _wrong(path, value, "one of " + ", ".join(EAGERNESS_MS), tuple(EAGERNESS_MS))


_TURNS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "threshold": _within(0.01, 0.99, float),
    "prefix_padding_ms": _within(0, 5000, round),
    "silence_duration_ms": _within(50, 10_000, round),
    "eagerness": _eagerness,
}


def _object(path: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(path, value, "an object")
    return value


def _whole(path: str, value: Any, least: int, most: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    raise _wrong(path, value, f"a whole number from {least} to {most}", (f"{least} to {most}",))


def _wrong(path: str, value: object, what: str, accepted: tuple[str, ...] = ()) -> BadInput:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else shown[:60] + "…"
    return BadInput(f"{path} must be {what}, not {shown}.", param=path, accepted=accepted, code="invalid_value")
