"""The first message of a WhisperLive client: how its audio is to be heard. Pure.

What this server uses is checked, and a wrong value named; what it has no use for may be anything. Numbers out of range
are limited. Where the original ignores or cuts a value, so does this.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from whisperlive_hybrid.diarization.turns import MAX_KNOWN, MAX_SPEAKERS, KnownSpeaker
from whisperlive_hybrid.engine.languages import parse_language
from whisperlive_hybrid.errors import BadInput
from whisperlive_hybrid.live.commands import Codec, LiveOptions
from whisperlive_hybrid.speech.speech import SpeechOptions
from whisperlive_hybrid.transports.connection import BadStart, Message
from whisperlive_hybrid.transports.json_text import json_object
from whisperlive_hybrid.transports.live_door import LiveTerms
from whisperlive_hybrid.transports.start_options import MAX_TEXT, TASKS

MAX_UID: Final = 1000
"""Characters of a client's uid as JSON: it stands in every message."""
MAX_NAME: Final = 200
SEND_LAST_N: Final = 10
"""Completed segments in a message, where the client does not say."""
NO_SPEECH_THRESHOLD: Final = 0.45
SAME_OUTPUT_THRESHOLD: Final = 10
"""What every client sends that does not mean anything by it."""
FORMATS: Final[Mapping[str, tuple[Codec, int]]] = {
    "float32": ("pcm_f32le", 4),
    "int16": ("pcm_s16le", 2),
    "uint8": ("pcm_u8", 1),
}
"""`audio_format` → codec, bytes of a sample."""
NO_TRANSLATION: Final = (
    'Segments are not translated one by one here; task "translate" gives English text instead of the original.'
)
NO_KNOWN_SPEAKER: Final = (
    f"{{}} of the known speakers cannot be used: there may be {MAX_KNOWN}, each with a name and audio_base64."
)
_LEAST_SILENCE_MS, _MOST_SILENCE_MS = 200, 2000


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """What a client asked for."""

    options: LiveOptions
    sample_bytes: int
    send_last_n: int
    """Completed segments in a message at most; 0 is all."""
    tell_language: bool
    """The client left it to be detected, and waits to be told."""
    warnings: tuple[str, ...] = ()


def read_object(message: Message) -> dict[str, Any]:
    """The JSON object in a client's first message, text or binary. Raises BadStart."""
    try:
        return json_object(message)
    except BadInput:
        raise BadStart(
            "The first message must be a JSON object: uid, language, task, model, and more as WhisperLive has it. "
            "This server's own protocol is at /ws/stream.",
            code="bad_json",
        ) from None


def read_uid(values: Mapping[str, Any]) -> Any:
    """The client's uid, any JSON value. Raises BadStart."""
    if "uid" not in values:
        raise _missing("uid")
    try:
        length = len(json.dumps(values["uid"]))
    except RecursionError:
        length = MAX_UID + 1
    if length > MAX_UID:
        raise BadStart(f"uid is longer than {MAX_UID} characters", param="uid", code="too_long")
    return values["uid"]


def read_config(values: Mapping[str, Any], terms: LiveTerms) -> ClientConfig:
    """The configuration in `values`. Raises BadStart naming the first key that is missing or wrong."""
    for key in ("language", "task", "model"):
        if key not in values:
            raise _missing(key)
    language = _language(values["language"])
    codec, sample_bytes = _format(values.get("audio_format"), terms)
    known, unusable = _known_speakers(values.get("known_speakers"))
    options = replace(
        terms.defaults,
        codec=codec,
        language=language or terms.defaults.language,
        task=_task(values["task"]),
        model=_model(values["model"]) if terms.client_models else None,
        words=bool(values.get("word_timestamps")),
        diarize=bool(values.get("enable_diarization") or values.get("known_speakers")),
        prompt=_text("initial_prompt", values.get("initial_prompt"))[-MAX_TEXT:].strip() or None,
        hotwords=_text("hotwords", values.get("hotwords"))[:MAX_TEXT].strip() or None,
        speech=_speech(values, terms.defaults.speech),
        max_speakers=_max_speakers(values),
        known_speakers=known,
    )
    warnings = [NO_TRANSLATION] if values.get("enable_translation") else []
    if unusable:
        warnings.append(NO_KNOWN_SPEAKER.format(unusable))
    return ClientConfig(options, sample_bytes, _send_last_n(values), language is None, tuple(warnings))


def _missing(key: str) -> BadStart:
    return BadStart(f"{key} is missing", param=key, code="bad_option")


def _wrong(key: str, value: object, what: str) -> BadStart:
    shown = repr(value)
    return BadStart(
        f"{key} must be {what}, not {shown if len(shown) <= 60 else shown[:60] + '…'}", param=key, code="bad_option"
    )


def _language(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise _wrong("language", value, "text or null")
    try:
        return parse_language(None if value is None else value[:MAX_NAME])
    except BadInput as error:
        raise BadStart(error.message, param="language", accepted=error.accepted, code=error.code) from None


def _task(value: Any) -> Any:
    if value not in TASKS:
        raise _wrong("task", value, " or ".join(TASKS))
    return value


def _model(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MAX_NAME:
        raise _wrong("model", value, "a name")
    return value.strip() or None


def _format(value: Any, terms: LiveTerms) -> tuple[Codec, int]:
    if terms.raw_pcm and value != "uint8":
        return FORMATS["int16"]
    if value is None:
        return FORMATS["float32"]
    if not isinstance(value, str) or value not in FORMATS:
        raise _wrong("audio_format", value, " or ".join(FORMATS))
    return FORMATS[value]


def _text(key: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return ", ".join(value)
    if not isinstance(value, str):
        raise _wrong(key, value, "text or null")
    return value


def _max_speakers(values: Mapping[str, Any]) -> int | None:
    """As many as the client says, within limits; whatever else stands there is of no use without diarization."""
    value = values.get("max_speakers")
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return min(MAX_SPEAKERS, max(1, value))


def _known_speakers(value: Any) -> tuple[tuple[KnownSpeaker, ...], int]:
    """Those that can be used, and how many cannot."""
    if not isinstance(value, list):
        return (), 0
    known: dict[str, KnownSpeaker] = {}
    for each in value:
        name, audio = (each.get("name"), each.get("audio_base64")) if isinstance(each, Mapping) else (None, None)
        if not isinstance(name, str) or not isinstance(audio, str) or not 0 < len(name) <= MAX_NAME:
            continue
        try:
            known.setdefault(name, KnownSpeaker(name, base64.b64decode(audio, validate=True)))
        except (binascii.Error, ValueError):
            continue
    usable = tuple(known.values())[:MAX_KNOWN]
    return usable, len(value) - len(usable)


def _send_last_n(values: Mapping[str, Any]) -> int:
    value = _number(values, "send_last_n_segments", SEND_LAST_N)
    if value < 0 or value != int(value):
        raise _wrong("send_last_n_segments", values["send_last_n_segments"], "a whole number, 0 or more")
    return int(value)


def _number(values: Mapping[str, Any], key: str, default: float, name: str = "") -> float:
    value = values.get(key)
    if value is None:
        return default
    # Python's json reads whole numbers of any size, and Infinity.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise _wrong(name or key, value, "a number")
    return float(value)


def _speech(values: Mapping[str, Any], base: SpeechOptions) -> SpeechOptions:
    """Rules for speech that are as strict and as patient as the client asked Whisper to be.

    `no_speech_thresh` is the highest probability of "no speech" at which a segment is kept. Here it is Silero that
    judges, moment by moment, from 1 - that probability on. `same_output_threshold` is how often a text must come out
    the same, in the silence after it, until it counts as completed; here an utterance is completed by a pause. Each
    client's default stands for the server's own. `vad_parameters` are faster-whisper's.
    """
    no_speech = _number(values, "no_speech_thresh", NO_SPEECH_THRESHOLD)
    patience = _number(values, "same_output_threshold", SAME_OUTPUT_THRESHOLD) / SAME_OUTPUT_THRESHOLD
    asked = values.get("vad_parameters")
    if asked is None:
        asked = {}
    if not isinstance(asked, Mapping):
        raise _wrong("vad_parameters", asked, "an object or null")

    def parameter(key: str, default: float, least: float, most: float) -> float:
        return min(most, max(least, _number(asked, key, default, f"vad_parameters.{key}")))

    threshold = base.threshold
    if no_speech != NO_SPEECH_THRESHOLD:
        threshold = min(0.9, max(0.2, threshold + NO_SPEECH_THRESHOLD - no_speech))
    silence_ms: float = base.min_silence_ms
    if patience != 1:
        silence_ms = min(_MOST_SILENCE_MS, max(_LEAST_SILENCE_MS, silence_ms * patience))
    threshold = parameter("threshold", threshold, 0.01, 0.99)
    negative = base.negative_threshold
    if asked.get("neg_threshold") is not None:
        negative = parameter("neg_threshold", threshold, 0.0, threshold)
    longest_s = base.max_utterance_s
    if asked.get("max_speech_duration_s") != math.inf:
        longest_s = parameter("max_speech_duration_s", longest_s, 2.0, 29.0)
    return replace(
        base,
        threshold=threshold,
        negative_threshold=negative,
        min_speech_ms=round(parameter("min_speech_duration_ms", base.min_speech_ms, 0, 5000)),
        min_silence_ms=round(parameter("min_silence_duration_ms", silence_ms, 50, 10_000)),
        max_utterance_s=longest_s,
    )
