"""What a call of OpenAI's audio API asks for, read from its form.

Lists come as repeated `name[]`, nested objects as `name[key]`, numbers as text, and what a client has no value for as
an empty field. Fields that nobody knows are left alone, since clients send more than they document; what would change
the answer and cannot be done is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec

from whisperlive_hybrid.config import Settings
from whisperlive_hybrid.diarization.turns import SpeakerOptions
from whisperlive_hybrid.engine.languages import parse_language
from whisperlive_hybrid.engine.window import DecodeOptions, Task
from whisperlive_hybrid.errors import HybridError
from whisperlive_hybrid.jobs.transcript import FileOptions
from whisperlive_hybrid.transports.http.form import Form
from whisperlive_hybrid.transports.http.option import Option
from whisperlive_hybrid.transports.http.options import (
    MAX_PROMPT_CHARS,
    default_options,
    read_temperatures,
    resolve_model,
    speech_options,
)
from whisperlive_hybrid.transports.http.speaker_options import SPEAKER_OPTIONS, read_speakers

if TYPE_CHECKING:
    from whisperlive_hybrid.engine.engine import Engine

TRANSLATION_FORMATS: Final = ("json", "text", "srt", "vtt", "verbose_json")
FORMATS: Final = (*TRANSLATION_FORMATS, "diarized_json")
GRANULARITIES: Final = ("word", "segment")
MAX_CANDIDATES: Final = 16
_ANSWERS_WITH_LANGUAGES: Final = re.compile(r"gpt-transcribe(-.+)?", re.IGNORECASE)
_ANSWERS_WITH_TOKENS: Final = re.compile(r"gpt-.+", re.IGNORECASE)
"""Models whose use OpenAI counts in tokens; that of all others in seconds."""

_MODEL = Option("model", "text", "A model of /v1/models. OpenAI's own names mean the default model.")
_SHARED_OPTIONS = (
    Option("prompt", "text", "Text that the audio continues: names, spelling, style."),
    Option("temperature", "list", "0 or absent means 0, then warmer while the result is poor.", 0, 1),
    Option("language", "text", "ISO 639-1 code, locale or English name; auto detects."),
    Option("hotwords", "text", "Words to expect; ours."),
    Option("beam_size", "integer", "Beam of the search at temperature 0; ours.", 1, 20),
)
TRANSCRIPTION_OPTIONS: Final[tuple[Option, ...]] = (
    _MODEL,
    Option("response_format", "choice", "Form of the answer.", accepted=FORMATS),
    *_SHARED_OPTIONS,
    Option("languages", "list", "Languages to choose among when detecting."),
    Option("keywords", "list", "Words to expect."),
    Option("timestamp_granularities", "list", "Times in verbose_json.", accepted=GRANULARITIES),
    Option("include", "list", "logprobs: log probabilities of the text's tokens, in json.", accepted=("logprobs",)),
    Option("stream", "flag", "Answer with server-sent events while the file is transcribed."),
    Option("chunking_strategy", "object", "auto, or a server_vad object: threshold, prefix_padding_ms, …"),
    *SPEAKER_OPTIONS,
)
TRANSLATION_OPTIONS: Final[tuple[Option, ...]] = (
    _MODEL,
    Option("response_format", "choice", "Form of the answer.", accepted=TRANSLATION_FORMATS),
    *_SHARED_OPTIONS,
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one call asks for."""

    options: FileOptions
    response_format: str
    words: bool = False
    segments: bool = True
    stream: bool = False
    token_usage: bool = False
    """Count its use in tokens, as OpenAI does for the model that was named, rather than in seconds."""
    languages: bool = False
    """Name the languages that were heard in short answers."""

    @property
    def log_probabilities(self) -> bool:
        """Whether tokens are told with theirs."""
        return self.options.decode.token_probabilities


def read_transcription(form: Form, settings: Settings, engine: Engine) -> Wanted:
    """Raises BadInput naming every wrong field, or NotFound (model)."""
    response_format = form.choice("response_format", FORMATS) or "json"
    granularities = form.many("timestamp_granularities", GRANULARITIES) or ("segment",)
    if "word" in granularities and response_format != "verbose_json":
        form.wrong(
            "timestamp_granularities",
            "Word times need response_format verbose_json.",
            accepted=("segment",),
        )
    log_probabilities = "logprobs" in form.many("include", ("logprobs",))
    if log_probabilities and response_format != "json":
        form.wrong("include", "logprobs need response_format json.", accepted=("response_format=json",))
    base = default_options(settings)
    decode = replace(
        _decode_options(form, base.decode, "transcribe"),
        word_times="word" in granularities,
        token_probabilities=log_probabilities,
    )
    speech = speech_options(base.speech, **_chunking(form))
    diarization = _speakers(form, response_format)
    stream = form.flag("stream") or False
    named, model = _model(form, engine)
    form.finish()
    return Wanted(
        FileOptions(model=model, decode=decode, speech=speech, diarization=diarization),
        response_format,
        words="word" in granularities,
        segments="segment" in granularities,
        stream=stream,
        token_usage=_ANSWERS_WITH_TOKENS.fullmatch(named) is not None,
        languages=bool(decode.languages) or _ANSWERS_WITH_LANGUAGES.fullmatch(named) is not None,
    )


def read_translation(form: Form, settings: Settings, engine: Engine) -> Wanted:
    """Raises BadInput naming every wrong field, or NotFound (model)."""
    response_format = form.choice("response_format", TRANSLATION_FORMATS) or "json"
    base = default_options(settings)
    decode = _decode_options(form, base.decode, "translate")
    named, model = _model(form, engine)
    form.finish()
    return Wanted(
        FileOptions(model=model, decode=decode, speech=base.speech),
        response_format,
        token_usage=_ANSWERS_WITH_TOKENS.fullmatch(named) is not None,
    )


def _decode_options(form: Form, base: DecodeOptions, task: Task) -> DecodeOptions:
    hotwords = [*form.many("keywords"), form.text("hotwords", max_chars=MAX_PROMPT_CHARS)]
    decode = replace(
        base,
        task=task,
        prompt=form.text("prompt", max_chars=MAX_PROMPT_CHARS),
        hotwords=", ".join(w for w in hotwords if w) or None,
        temperatures=read_temperatures(form) or base.temperatures,
        beam_size=form.integer("beam_size", 1, 20) or base.beam_size,
        languages=_languages(form),
    )
    if "language" in form.names:
        return replace(decode, language=form.parsed("language", parse_language))
    return replace(decode, language=None) if decode.languages else decode


def _model(form: Form, engine: Engine) -> tuple[str, str]:
    """The model as the caller calls it, and its canonical name."""
    if "model" not in form.names:
        form.wrong("model", "Name a model of /v1/models.", code="missing_model")
    model = resolve_model(form, engine)
    return form.text("model", max_chars=512) or "", model


def _languages(form: Form) -> tuple[str, ...]:
    parsed: list[str] = []
    for value in form.many("languages", most=MAX_CANDIDATES):
        try:
            code = parse_language(value)
        except HybridError as e:
            form.wrong("languages", e.message)
            continue
        if code is not None:
            parsed.append(code)
    return tuple(parsed)


def _speakers(form: Form, response_format: str) -> SpeakerOptions | None:
    """Speakers where the answer can name them. Known ones that come with plain json change nothing, as at OpenAI."""
    speakers = read_speakers(form, wanted=response_format == "diarized_json")
    if response_format == "diarized_json" and speakers is None:
        form.wrong("diarize", "diarized_json tells who speaks.", accepted=("true",))
    if response_format != "json":
        return speakers
    if "diarize" in form.names and speakers is not None:
        accepted = tuple(f"response_format={name}" for name in FORMATS if name != "json")
        form.wrong("diarize", "json has no place for speakers.", accepted=accepted)
    return None


def _chunking(form: Form) -> dict[str, float | int | None]:
    """Speech options out of `chunking_strategy`: auto, server_vad, a JSON object, or its keys as fields of their own.

    What an object leaves out stays as it is for all files.
    """
    text = form.text("chunking_strategy")
    if text is not None and text.startswith("{"):
        try:
            given = msgspec.json.decode(text, type=dict[str, str | float | int | None])
        except msgspec.DecodeError:
            form.wrong("chunking_strategy", "chunking_strategy is auto or an object.", accepted=("auto", "server_vad"))
            return {}
        form.add((f"chunking_strategy[{key}]", str(value)) for key, value in given.items() if value is not None)
    elif text is not None:
        form.choice("chunking_strategy", ("auto", "server_vad"))
    form.choice("chunking_strategy[type]", ("auto", "server_vad"))
    return {
        "threshold": form.number("chunking_strategy[threshold]", 0.01, 0.99),
        "pre_roll_ms": form.integer("chunking_strategy[prefix_padding_ms]", 0, 5000),
        "min_silence_ms": form.integer("chunking_strategy[silence_duration_ms]", 50, 10000),
    }
