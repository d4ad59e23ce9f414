"""Options of a live session as a client writes them, checked strictly: each wrong one has an error that names it. Pure.

They come as JSON values or, in a query string, as text. Unknown keys are ignored.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, get_args

import msgspec

from whisperlive_hybrid.audio.codecs import CODECS
from whisperlive_hybrid.audio.pcm import MAX_CHANNELS
from whisperlive_hybrid.audio.resampler import MAX_RATE, MIN_RATE
from whisperlive_hybrid.diarization.turns import MAX_KNOWN, MAX_SPEAKERS, KnownSpeaker
from whisperlive_hybrid.engine.languages import parse_language
from whisperlive_hybrid.engine.window import Task
from whisperlive_hybrid.errors import BadInput
from whisperlive_hybrid.live.commands import LiveOptions
from whisperlive_hybrid.speech.speech import SpeechOptions

MAX_TEXT: Final = 4000
"""Characters of `prompt`, `hotwords` and names; Whisper's prompt holds about a thousand."""
TASKS: Final[tuple[str, ...]] = get_args(Task)

_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


def options_from_json(values: Mapping[str, Any], base: LiveOptions) -> LiveOptions:
    """`base` with what `values` says. Raises BadInput naming the first wrong one."""
    changed = {name: read(name, values[name]) for name, read in _READERS.items() if name in values}
    if "vad" in values:
        changed["speech"] = _speech(values["vad"], base.speech)
    return replace(base, **changed)


def options_from_query(query: Mapping[str, str], base: LiveOptions) -> LiveOptions:
    """The same for the text of a query string; `vad` is written as JSON. Raises BadInput."""
    return options_from_json({name: _from_text(name, query[name]) for name in OPTION_NAMES if name in query}, base)


def _from_text(name: str, text: str) -> Any:
    """The JSON value that the text of a query parameter stands for; the text itself where it stands for none."""
    if name in ("interim", "words", "diarize"):
        lower = text.lower()
        return True if lower in _TRUE else False if lower in _FALSE else text
    if name in ("sample_rate", "channels", "max_speakers"):
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text
    if name in ("vad", "known_speakers"):
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return text
    return text


def _wrong(
    name: str, value: object, what: str, *, accepted: tuple[str, ...] = (), code: str = "bad_option"
) -> BadInput:
    shown = repr(value)
    return BadInput(
        f"{name} must be {what}, not {shown if len(shown) <= 60 else shown[:60] + '…'}",
        param=name,
        accepted=accepted,
        code=code,
    )


def _bool(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _wrong(name, value, "true or false", accepted=("true", "false"))


def _whole(least: int, most: int, code: str) -> Callable[[str, Any], int]:
    def read(name: str, value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        raise _wrong(name, value, f"a whole number from {least} to {most}", accepted=(f"{least} to {most}",), code=code)

    return read


def _text(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise _wrong(name, value, "text")
    if len(value) > MAX_TEXT:
        raise BadInput(f"{name} has more than {MAX_TEXT} characters", param=name, code="too_long")
    return value.strip() or None


def _one_of(accepted: tuple[str, ...], code: str) -> Callable[[str, Any], Any]:
    def read(name: str, value: Any) -> Any:
        if isinstance(value, str) and value in accepted:
            return value
        raise _wrong(name, value, "one of " + ", ".join(accepted), accepted=accepted, code=code)

    return read


def _codec(name: str, value: Any) -> Any:
    return None if value is None else _one_of(CODECS, "unknown_codec")(name, value)


def _language(name: str, value: Any) -> str | None:
    text = _text(name, value)
    return parse_language(text)


def _max_speakers(name: str, value: Any) -> int | None:
    return None if value is None else _whole(1, MAX_SPEAKERS, "bad_option")(name, value)


def _known_speakers(name: str, value: Any) -> tuple[KnownSpeaker, ...]:
    """Objects with `name` and `audio`: a file of 2 to 10 s in base64, or as a data URL."""
    what = f"a list of at most {MAX_KNOWN} objects with name and audio (base64)"
    if not isinstance(value, list) or len(value) > MAX_KNOWN:
        raise _wrong(name, value, what)
    known = []
    for item in value:
        if not isinstance(item, Mapping) or not isinstance(item.get("name"), str) or not item["name"].strip():
            raise _wrong(name, item, what)
        audio = item.get("audio")
        if not isinstance(audio, str):
            raise _wrong(name, item, what)
        try:
            data = base64.b64decode(audio.rpartition(",")[2], validate=True)
        except ValueError:
            raise BadInput(f"the audio of {item['name'][:60]!r} is not base64", param=name, code="bad_option") from None
        known.append(KnownSpeaker(item["name"].strip()[:64], data))
    return tuple(known)


_READERS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "codec": _codec,
    "sample_rate": _whole(MIN_RATE, MAX_RATE, "bad_sample_rate"),
    "channels": _whole(1, MAX_CHANNELS, "bad_channels"),
    "language": _language,
    "task": _one_of(TASKS, "unknown_task"),
    "model": _text,
    "interim": _bool,
    "words": _bool,
    "diarize": _bool,
    "max_speakers": _max_speakers,
    "known_speakers": _known_speakers,
    "prompt": _text,
    "hotwords": _text,
}
OPTION_NAMES: Final = (*_READERS, "vad")


def _number(least: float, most: float) -> Callable[[str, Any], float]:
    def read(name: str, value: Any) -> float:
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if number and least <= value <= most:
            return float(value)
        raise _wrong(name, value, f"a number from {least:g} to {most:g}", accepted=(f"{least:g} to {most:g}",))

    return read


def _milliseconds(least: int, most: int) -> Callable[[str, Any], int]:
    def read(name: str, value: Any) -> int:
        return round(_number(least, most)(name, value))

    return read


# Name on the wire, which is also the field's, and what it may be: the same limits as the server's own settings have.
_SPEECH_READERS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "threshold": _number(0.01, 0.99),
    "min_speech_ms": _milliseconds(0, 5000),
    "min_silence_ms": _milliseconds(50, 10_000),
    "pre_roll_ms": _milliseconds(0, 5000),
    "overlap_ms": _milliseconds(0, 5000),
    "max_utterance_s": _number(2, 29),
}


def _speech(value: Any, base: SpeechOptions) -> SpeechOptions:
    if not isinstance(value, Mapping):
        raise _wrong("vad", value, "an object", accepted=tuple(_SPEECH_READERS))
    changed = {name: read(f"vad.{name}", value[name]) for name, read in _SPEECH_READERS.items() if name in value}
    return replace(base, **changed)
