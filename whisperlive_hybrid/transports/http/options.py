"""Options of a file request: declared once, read from a form, shown in the API's description."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from whisperlive_hybrid.config import Settings
from whisperlive_hybrid.engine.languages import parse_language
from whisperlive_hybrid.engine.window import DecodeOptions, Task
from whisperlive_hybrid.errors import HybridError
from whisperlive_hybrid.jobs.transcript import FileOptions
from whisperlive_hybrid.speech.speech import SpeechOptions
from whisperlive_hybrid.transports.http.form import Form
from whisperlive_hybrid.transports.http.option import Option
from whisperlive_hybrid.transports.http.speaker_options import SPEAKER_OPTIONS, read_speakers

if TYPE_CHECKING:
    from whisperlive_hybrid.engine.engine import Engine

TASKS = ("transcribe", "translate")
FORMATS = ("json", "text", "txt", "srt", "vtt", "tsv")
MAX_PROMPT_CHARS = 8192


_DECODE_NUMBERS = (
    Option("beam_size", "integer", "Beam of the search at temperature 0.", 1, 20),
    Option("best_of", "integer", "Candidates drawn at temperatures above 0.", 1, 20),
    Option("patience", "number", "Beam search patience.", 0.1, 10),
    Option("length_penalty", "number", "Exponential length penalty.", 0, 10),
    Option("repetition_penalty", "number", "Above 1 punishes tokens said before.", 0.1, 10),
    Option("no_repeat_ngram_size", "integer", "No sequence of so many tokens comes twice; 0 allows all.", 0, 50),
    Option("compression_ratio_threshold", "number", "More repetitive text is tried again warmer.", 0, 100),
    Option("log_prob_threshold", "number", "Less likely text is tried again warmer.", -100, 0),
    Option("no_speech_threshold", "number", "Above this probability of no speech, unlikely text is dropped.", 0, 1),
)
_SPEECH_NUMBERS = (
    Option("vad_threshold", "number", "Probability at which speech starts.", 0.01, 0.99),
    Option("vad_min_speech_ms", "integer", "Shorter bursts are not speech.", 0, 5000),
    Option("vad_min_silence_ms", "integer", "Silence that ends an utterance.", 50, 10000),
    Option("vad_pre_roll_ms", "integer", "Audio kept from before speech.", 0, 5000),
    Option("vad_overlap_ms", "integer", "Audio kept after speech.", 0, 5000),
    Option("max_utterance_s", "number", "Longer utterances are cut at their quietest point.", 2, 29),
)
NATIVE_OPTIONS: tuple[Option, ...] = (
    Option("language", "text", "ISO 639-1 code, English name, or auto to detect."),
    Option("task", "choice", "transcribe, or translate into English.", accepted=TASKS),
    Option("model", "text", "A model of /v1/models; the default one if absent."),
    Option("prompt", "text", "Text that the audio continues: names, spelling, style."),
    Option("initial_prompt", "text", "The same under faster-whisper's name."),
    Option("hotwords", "text", "Words to expect."),
    Option("temperature", "list", "One temperature or several to try in turn; 0 means 0, 0.2, … 1.", 0, 1),
    Option("word_timestamps", "flag", "Give every word its times."),
    Option("without_timestamps", "flag", "Do not let the model write segment times."),
    Option("condition_on_previous_text", "flag", "Prompt each window with the text before it; slower."),
    *_DECODE_NUMBERS,
    *_SPEECH_NUMBERS,
    *SPEAKER_OPTIONS,
    Option("format", "choice", "Form of the answer.", accepted=FORMATS),
)
KEEP = Option("keep", "flag", "Keep the file as a clip and the transcript with it, as POST /upload+transcribe does.")
"""Of /transcribe, which else keeps nothing."""


def default_options(settings: Settings) -> FileOptions:
    """What a request without options gets. Raises BadInput for a wrong DEFAULT_LANGUAGE."""
    decode = DecodeOptions(language=parse_language(settings.language), beam_size=settings.beam_size)
    return FileOptions(decode=decode, speech=settings.file_speech_options())


def native_options(form: Form, settings: Settings, engine: Engine) -> tuple[FileOptions, str]:
    """Options and answer format of the native API. Raises BadInput naming every wrong field, or NotFound (model)."""
    form.refuse_unknown(o.name for o in NATIVE_OPTIONS)
    base = default_options(settings)
    decode = replace(
        base.decode,
        task=cast(Task, form.choice("task", TASKS) or "transcribe"),
        prompt=form.text("prompt", max_chars=MAX_PROMPT_CHARS)
        or form.text("initial_prompt", max_chars=MAX_PROMPT_CHARS),
        hotwords=form.text("hotwords", max_chars=MAX_PROMPT_CHARS),
        temperatures=read_temperatures(form) or base.decode.temperatures,
        word_times=form.flag("word_timestamps") or False,
        timestamps=not form.flag("without_timestamps"),
        **_numbers(form, _DECODE_NUMBERS),
    )
    if decode.beam_size * decode.patience < 1:
        least = f"{1 / decode.beam_size:.2g} or more"
        form.wrong("patience", "beam_size times patience must be 1 or more.", accepted=(least,))
    if "language" in form.names:
        decode = replace(decode, language=form.parsed("language", parse_language))
    wanted: dict[str, Any] = {
        name.removeprefix("vad_"): value for name, value in _numbers(form, _SPEECH_NUMBERS).items()
    }
    format_ = form.choice("format", FORMATS) or "json"
    condition = form.flag("condition_on_previous_text") or False
    diarization = read_speakers(form)
    model = resolve_model(form, engine)
    form.finish()
    return (
        FileOptions(
            model=model,
            decode=decode,
            speech=replace(base.speech, **wanted),
            condition_on_previous_text=condition,
            diarization=diarization,
        ),
        format_,
    )


def resolve_model(form: Form, engine: Engine) -> str:
    """The model asked for by its canonical name. Raises NotFound or ModelUnavailable if that is the only mistake."""
    name = form.text("model", max_chars=512)
    try:
        return engine.resolve(name)
    except HybridError as e:
        form.stop_at(e)
        form.wrong("model", e.message, code="model_not_found")
        return engine.default_model


def read_temperatures(form: Form) -> tuple[float, ...]:
    """The temperatures to try in turn; empty for the usual ladder, which is also what 0 alone means."""
    given = form.numbers("temperature", 0, 1)
    return () if given in ((), (0.0,)) else given


def speech_options(base: SpeechOptions, **wanted: float | int | None) -> SpeechOptions:
    """`base` with what was asked for."""
    return replace(base, **cast(Any, {k: v for k, v in wanted.items() if v is not None}))


def _numbers(form: Form, options: Sequence[Option]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for option in options:
        low, high = option.low or 0, option.high or 0
        value = (
            form.integer(option.name, int(low), int(high))
            if option.kind == "integer"
            else form.number(option.name, low, high)
        )
        if value is not None:
            found[option.name] = value
    return found
