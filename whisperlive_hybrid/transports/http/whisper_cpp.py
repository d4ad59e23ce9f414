"""whisper.cpp's server: POST /inference with a file, POST /load with a model's name.

https://github.com/ggml-org/whisper.cpp/tree/master/examples/server — options are fields of the form. Errors are
`{"error": "one sentence"}`. Fields that nobody knows, and those that steer what is not there (threads' contexts, token
thresholds), are ignored; those that would change what is heard or told are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Final

from aiohttp import web

from whisperlive_hybrid.engine.hypothesis import Segment
from whisperlive_hybrid.engine.languages import language_name, parse_language
from whisperlive_hybrid.engine.window import DecodeOptions
from whisperlive_hybrid.errors import BadInput, HybridError, ModelUnavailable, NotFound
from whisperlive_hybrid.jobs import formats
from whisperlive_hybrid.jobs.transcript import FileOptions, Transcript
from whisperlive_hybrid.speech.speech import SpeechOptions
from whisperlive_hybrid.transports.http.door import HttpDoor
from whisperlive_hybrid.transports.http.errors import error_response, json_response
from whisperlive_hybrid.transports.http.following import transcribe
from whisperlive_hybrid.transports.http.form import Form
from whisperlive_hybrid.transports.http.option import Option
from whisperlive_hybrid.transports.http.options import (
    MAX_PROMPT_CHARS,
    default_options,
    resolve_model,
    speech_options,
)
from whisperlive_hybrid.transports.http.rendering import off_loop, text_response
from whisperlive_hybrid.transports.http.services import HttpServices
from whisperlive_hybrid.transports.http.speaker_options import read_speakers
from whisperlive_hybrid.transports.http.uploads import (
    UploadRules,
    expect_within,
    read_fields,
    receive_upload,
    upload_rules,
)
from whisperlive_hybrid.transports.http.whisper_cpp_description import whisper_cpp_paths, whisper_cpp_schemas

FORMATS: Final = ("json", "text", "srt", "vtt", "verbose_json")
LOADED: Final = "Load was successful!"

_VAD_NUMBERS: Final = {
    "vad_threshold": ("threshold", 0.01, 0.99),
    "vad_min_speech_duration_ms": ("min_speech_ms", 0.0, 5000.0),
    "vad_min_silence_duration_ms": ("min_silence_ms", 50.0, 10_000.0),
    "vad_speech_pad_ms": ("pre_roll_ms", 0.0, 5000.0),
    "vad_max_speech_duration_s": ("max_utterance_s", 2.0, 29.0),
}
"""Field → option of the segmenter and what it may be; numbers beyond are taken as the nearest."""
INFERENCE_OPTIONS: tuple[Option, ...] = (
    Option("response_format", "choice", "Form of the answer; json if absent.", accepted=FORMATS),
    Option("temperature", "number", "Where decoding starts.", 0, 1),
    Option("temperature_inc", "number", "Added while the result is poor; 0 never tries again.", 0, 1),
    Option("language", "text", "ISO 639-1 code, English name, or auto."),
    Option("detect_language", "flag", "Detect the language, whatever language says."),
    Option("translate", "flag", "Translate into English."),
    Option("prompt", "text", "Text that the audio continues."),
    Option("beam_size", "integer", "Beam of the search at temperature 0; below 1 the server's own.", -1, 20),
    Option("best_of", "integer", "Candidates drawn at temperatures above 0.", -1, 20),
    Option("logprob_thold", "number", "Less likely text is tried again warmer.", -100, 0),
    Option("no_speech_thold", "number", "Above this probability of no speech, unlikely text is dropped.", 0, 1),
    Option("max_context", "integer", "Above 0: windows are prompted with the text before them; slower."),
    Option("no_timestamps", "flag", "No times in verbose_json."),
    Option("token_timestamps", "flag", "Words with times in verbose_json; true unless no_timestamps."),
    Option("diarize", "flag", "Tell who speaks, by voice, not by stereo channel."),
    *(Option(name, "number", f"As {ours} of /transcribe.") for name, (ours, _, _) in _VAD_NUMBERS.items()),
    Option("model", "text", "A model of /v1/models; ours."),
)
_WOULD_CHANGE_ALL: Final = {"offset_t": 0.0, "duration": 0.0, "offset_n": 0.0}
"""Fields of which only this value is taken: they ask for another part of the file, or other numbers."""
_FILE = re.compile(r"(?:.*[/\\])?ggml-(?P<name>[\w.-]+?)(-q\d\w*)?\.bin", re.ASCII)


def routes(services: HttpServices) -> list[web.RouteDef]:
    """The routes of this door."""
    door = _WhisperCppDoor(services, upload_rules(services, raw=False))
    return [
        web.post("/inference", door.inference, expect_handler=expect_within(door.rules.max_bytes)),
        web.post("/load", door.load),
    ]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What one call asks for."""

    options: FileOptions
    response_format: str
    times: bool


@dataclass(frozen=True, slots=True)
class _WhisperCppDoor:
    services: HttpServices
    rules: UploadRules

    async def inference(self, request: web.Request) -> web.Response:
        """POST /inference."""
        async with receive_upload(request, self.rules) as upload:
            wanted = self._read(Form(upload.fields))
            transcript = await transcribe(request, self.services, upload, wanted.options)
        if wanted.response_format == "verbose_json":
            return json_response(await off_loop(transcript, lambda: verbose(transcript, times=wanted.times)))
        if wanted.response_format == "json":
            return json_response({"text": await off_loop(transcript, lambda: formats.to_txt(transcript))})
        return await text_response(transcript, wanted.response_format)

    async def load(self, request: web.Request) -> web.Response:
        """POST /load: the model is in memory afterwards, for calls that name it. The default stays what it is."""
        form = Form(await read_fields(request) if request.can_read_body else ())
        name = form.text("model", max_chars=512)
        if name is None:
            raise BadInput("no 'model' field in the request", param="model", code="missing_model")
        try:
            await self.services.engine.load(model_of_file(name))
        except (NotFound, ModelUnavailable) as error:
            raise BadInput(f"model not found! {error.message}", param="model", code="model_not_found") from error
        return web.Response(text=LOADED, content_type="text/plain")

    def _read(self, form: Form) -> _Wanted:
        """Raises BadInput naming every wrong field, or NotFound (model)."""
        base = default_options(self.services.settings)
        for name, only in _WOULD_CHANGE_ALL.items():
            if form.number(name, -1e9, 1e9) not in (None, only):
                form.wrong(name, f"{name} is not supported by this server.", code="unsupported_option")
        if form.flag("tinydiarize"):
            form.wrong("tinydiarize", "tinydiarize needs models that this server has not.", code="unsupported_option")
        response_format = form.choice("response_format", FORMATS) or "json"
        times = not form.flag("no_timestamps")
        token_times = form.flag("token_timestamps")
        wants_words = response_format == "verbose_json" and (times if token_times is None else token_times)
        decode = replace(
            base.decode,
            task="translate" if form.flag("translate") else "transcribe",
            prompt=form.text("prompt", max_chars=MAX_PROMPT_CHARS),
            temperatures=_temperatures(form) or base.decode.temperatures,
            word_times=wants_words,
            **_numbers(form, base.decode),
        )
        language = form.parsed("language", parse_language)
        if form.flag("detect_language"):
            decode = replace(decode, language=None)
        elif "language" in form.names:
            decode = replace(decode, language=language)
        speech = speech_options(base.speech, **_vad(form, base.speech))
        context = form.integer("max_context", -1, 10**6) or 0
        diarization = read_speakers(form)
        model = resolve_model(form, self.services.engine)
        form.finish()
        options = FileOptions(model, decode, speech, context > 0, diarization)
        return _Wanted(options, response_format, times)


def model_of_file(name: str) -> str:
    """The size in the name of a ggml file, such as `models/ggml-base.en-q5_1.bin`; any other name as it is."""
    file = _FILE.fullmatch(name)
    return file["name"] if file else name


def _temperatures(form: Form) -> tuple[float, ...]:
    """From `temperature` up to 1 in steps of `temperature_inc`; empty where neither is given."""
    first, step = form.number("temperature", 0, 1), form.number("temperature_inc", 0, 1)
    if first is None and step is None:
        return ()
    first, step = first or 0.0, 0.2 if step is None else step
    if step < 0.05:
        return (first,)
    return tuple(round(first + i * step, 3) for i in range(int((1 - first) / step + 1e-6) + 1))


def _numbers(form: Form, base: DecodeOptions) -> dict[str, Any]:
    given = {
        "beam_size": form.integer("beam_size", -1, 20),
        "best_of": form.integer("best_of", -1, 20),
        "log_prob_threshold": form.number("logprob_thold", -100, 0),
        "no_speech_threshold": form.number("no_speech_thold", 0, 1),
    }
    return {
        name: value
        for name, value in given.items()
        if value is not None and (value >= 1 or name not in ("beam_size", "best_of"))
    }


def _vad(form: Form, base: SpeechOptions) -> dict[str, float | int | None]:
    """Options of the segmenter. What whisper.cpp takes and ours does not is the nearest that ours does."""
    found: dict[str, float | int | None] = {}
    for field, (name, low, high) in _VAD_NUMBERS.items():
        value = form.number(field, -1e38, 1e39)
        if value is not None:
            value = min(max(value, low), high)
            found[name] = round(value) if name.endswith("_ms") else value
    pad = found.get("pre_roll_ms")
    if pad is not None:
        # Shorter pads than ours would cut off how words begin: whisper.cpp's are measured from another point.
        found |= {"pre_roll_ms": max(pad, base.pre_roll_ms), "overlap_ms": max(pad, base.overlap_ms)}
    return found


def verbose(transcript: Transcript, *, times: bool = True) -> dict[str, Any]:
    """`verbose_json`; without `times` segments have none."""
    translated = transcript.options.decode.task == "translate"
    found = language_name(transcript.language)
    body = {
        "task": "translate" if translated else "transcribe",
        "language": found,
        "duration": transcript.duration_s,
        "text": formats.to_txt(transcript),
        "segments": [_segment(i, s, times) for i, s in enumerate(transcript.segments)],
        "detected_language": found,
        "detected_language_probability": transcript.language_probability,
        "language_probabilities": {transcript.language: transcript.language_probability},
    }
    return body if transcript.warning is None else {**body, "warning": transcript.warning}


def _segment(number: int, segment: Segment, times: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": number, "text": segment.text}
    if times:
        shown |= {"start": segment.start, "end": segment.end}
    if segment.speaker is not None:
        shown["speaker"] = segment.speaker
    shown["tokens"] = list(segment.tokens)
    if segment.words:
        shown["words"] = [
            {"word": w.text, "start": w.start, "end": w.end, "t_dtw": -1, "probability": w.probability}
            for w in segment.words
        ]
    return shown | {
        "temperature": segment.temperature,
        "avg_logprob": segment.avg_log_probability,
        "no_speech_prob": segment.no_speech_probability,
    }


def refuse(error: HybridError) -> web.Response:
    """The answer to a request that failed."""
    message = "no 'file' field in the request" if error.code == "missing_file" else error.message
    return error_response(error, {"error": message})


DOOR: Final = HttpDoor(
    "whisper.cpp",
    routes,
    paths=re.compile(r"/(inference|load)"),
    refuse=refuse,
    describe=lambda: whisper_cpp_paths(INFERENCE_OPTIONS),
    schemas=whisper_cpp_schemas,
)
