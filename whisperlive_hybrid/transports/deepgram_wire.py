"""What Deepgram's two ways in share: parameters of the query, names of models and encodings, words, errors. Pure.

https://developers.deepgram.com/reference/speech-to-text — the same parameters mean the same over HTTP and WebSocket.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from whisperlive_hybrid import __version__
from whisperlive_hybrid.engine.hypothesis import Word
from whisperlive_hybrid.errors import BadInput, HybridError, ModelUnavailable, NotFound

MAX_TEXT: Final = 2048
MAX_TERMS: Final = 200
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")

SAMPLES: Final[Mapping[str, tuple[str, int]]] = {
    "linear16": ("pcm_s16le", 16_000),
    "linear32": ("pcm_f32le", 16_000),
    "mulaw": ("pcm_mulaw", 8_000),
    "alaw": ("pcm_alaw", 8_000),
}
"""`encoding` of samples alone → our codec, and the rate where none is named."""
REFUSED: Final = (
    "callback",
    "custom_intent",
    "custom_topic",
    "detect_entities",
    "intents",
    "redact",
    "replace",
    "search",
    "sentiment",
    "summarize",
    "topics",
)
"""Would change what is told, or where to; better refused than ignored."""
NO_EFFECT: Final = (
    "dictation",
    "filler_words",
    "measurements",
    "numerals",
    "profanity_filter",
    "language_hint",
    "version",
)
"""Taken and told of as a warning."""
_DEEPGRAMS: Final = re.compile(
    r"(nova|enhanced|base|flux|general|meeting|phonecall|voicemail|finance|conversationalai|video|medical|drivethru|"
    r"automotive|whisper)(-[\w-]*)?"
)
_WHISPER: Final = re.compile(r"whisper-(tiny|base|small|medium|large)")
_OURS: Final = uuid.UUID("a3b7c1de-51a7-5a11-9d26-5d1f3c8e2b40")
"""Namespace of models' ids."""


class Parameters:
    """A query string's parameters, read one by one. A parameter left empty is one not sent.

    Methods raise BadInput naming the parameter.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            if value.strip():
                self._values.setdefault(name, []).append(value.strip())

    def text(self, name: str) -> str | None:
        """The last value."""
        values = self._values.get(name)
        if values is None:
            return None
        if len(values[-1]) > MAX_TEXT:
            raise _wrong(name, f"at most {MAX_TEXT} characters")
        return values[-1]

    def many(self, name: str) -> list[str]:
        """All values."""
        values = self._values.get(name, [])
        if len(values) > MAX_TERMS or any(len(value) > MAX_TEXT for value in values):
            raise _wrong(name, f"at most {MAX_TERMS} values of {MAX_TEXT} characters")
        return values

    def flag(self, name: str, default: bool = False) -> bool:
        """true or false."""
        value = (self.text(name) or "").lower()
        if value in (*_TRUE, ""):
            return True if value else default
        if value in _FALSE:
            return False
        raise _wrong(name, "true or false")

    def whole(self, name: str, low: int, high: int) -> int | None:
        """A whole number."""
        value = self.text(name)
        if value is None:
            return None
        if re.fullmatch(r"\d{1,9}", value, re.ASCII) is None or not low <= int(value) <= high:
            raise _wrong(name, f"a whole number from {low} to {high}")
        return int(value)

    def number(self, name: str, low: float, high: float) -> float | None:
        """A number."""
        value = self.text(name)
        if value is None:
            return None
        try:
            number = float(value)
        except ValueError:
            raise _wrong(name, f"a number from {low:g} to {high:g}") from None
        if not low <= number <= high:
            raise _wrong(name, f"a number from {low:g} to {high:g}")
        return number

    def wanted(self, names: Iterable[str]) -> list[str]:
        """Those of these parameters that ask for something."""
        return [n for n in names if any(v.lower() not in _FALSE for v in self._values.get(n, ()))]


def _wrong(name: str, what: str) -> BadInput:
    return BadInput(f"{name} must be {what}", param=name, code="bad_option")


def refuse_unsupported(parameters: Parameters) -> None:
    """Raises BadInput for a feature that this server has not."""
    for name in parameters.wanted(REFUSED):
        raise BadInput(f"{name} is not supported by this server", param=name, code="unsupported_option")


def refuse_separate_channels(parameters: Parameters) -> None:
    """Raises BadInput where channels are to be transcribed apart."""
    if parameters.flag("multichannel"):
        message = "multichannel is not supported by this server: channels are mixed; send each as a stream of its own"
        raise BadInput(message, param="multichannel", code="unsupported_option")


def warnings(parameters: Parameters) -> list[dict[str, str]]:
    """`metadata.warnings` for parameters that change nothing here."""
    return [
        {"parameter": name, "type": "no_effect", "message": f"{name} has no effect on this server."}
        for name in parameters.wanted(NO_EFFECT)
    ]


def wants_diarization(parameters: Parameters) -> bool:
    """`diarize`, or the name of a model for it."""
    return parameters.flag("diarize") or parameters.text("diarize_model") is not None


def hotwords(parameters: Parameters) -> str | None:
    """`keyterm` as they are, and `keywords` without their intensifiers; those below 0 are not to be heard."""
    found = list(parameters.many("keyterm"))
    for keyword in parameters.many("keywords"):
        word, _, weight = keyword.partition(":")
        if word and not weight.startswith("-"):
            found.append(word)
    return ", ".join(found) or None


def model_of(parameters: Parameters) -> str | None:
    """The model to ask the engine for; None where Deepgram's own name means whatever transcribes here."""
    name = parameters.text("model")
    if name is None:
        return None
    whisper = _WHISPER.fullmatch(name)
    if whisper:
        return whisper[1]
    return None if _DEEPGRAMS.fullmatch(name) else name


def model_id(name: str) -> str:
    """A UUID that stands for the model of this name."""
    return str(uuid.uuid5(_OURS, name))


def model_info(name: str) -> dict[str, str]:
    """What is said of a model."""
    return {"name": name, "version": __version__, "arch": "whisper"}


def plain(text: str) -> str:
    """A word as it is told without punctuation: lower case, no marks around it."""
    return re.sub(r"^[^\w]+|[^\w]+$", "", text.lower()) or text.strip().lower()


def transcript_of(words: Sequence[Word], *, punctuated: bool) -> str:
    """The text of words, as written or without punctuation."""
    if punctuated:
        return "".join(word.text for word in words).strip()
    return "".join((" " if word.text[:1].isspace() else "") + plain(word.text) for word in words).strip()


def word_object(word: Word, *, punctuated: bool, speaker: int | None = None) -> dict[str, Any]:
    """One word."""
    shown: dict[str, Any] = {
        "word": plain(word.text),
        "start": round(word.start, 3),
        "end": round(word.end, 3),
        "confidence": round(word.probability, 4),
    }
    if punctuated:
        shown["punctuated_word"] = word.text.strip()
    if speaker is not None:
        shown["speaker"] = speaker
    return shown


def confidence_of(words: Sequence[Word]) -> float:
    """Mean probability of the words; 0 where there are none."""
    return round(sum(word.probability for word in words) / len(words), 4) if words else 0.0


_CODES: Final = {
    400: "Bad Request",
    401: "INVALID_AUTH",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "SLOW_UPLOAD",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    426: "UPGRADE_REQUIRED",
    429: "TOO_MANY_REQUESTS",
    503: "SERVICE_UNAVAILABLE",
    504: "GATEWAY_TIMEOUT",
    507: "INSUFFICIENT_STORAGE",
}


def wire_status(error: HybridError, status: int) -> int:
    """Deepgram's status for an error whose usual one is `status`: a model it has not is a wrong parameter."""
    if isinstance(error, NotFound | ModelUnavailable) and status == 404 and getattr(error, "kind", "model") == "model":
        return 400
    return 429 if error.code == "full" else status


def error_body(error: HybridError, status: int, request_id: str) -> dict[str, str]:
    """The body of an error."""
    message = error.message
    if status == 400:
        message = f"Bad Request: {message}"
    return {"err_code": _CODES.get(status, "INTERNAL_SERVER_ERROR"), "err_msg": message, "request_id": request_id}


def header_text(message: str) -> str:
    """A message as a header can hold it."""
    return " ".join(message.encode("ascii", "replace").decode().split())[:256]
