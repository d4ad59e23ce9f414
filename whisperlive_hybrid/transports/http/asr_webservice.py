"""whisper-asr-webservice's API: POST /asr and POST /detect-language, for Bazarr and others that speak it.

https://ahmetoner.com/whisper-asr-webservice/endpoints — options stand in the query; forks (WhisperX) take more of
them, and some clients send them as fields of the form: both are read. `encode=false` promises samples without a
header, 16 kHz 16-bit mono. Errors are those of a FastAPI application: `{"detail": …}`, with 422 and a list for wrong
parameters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Final, cast
from urllib.parse import quote

from aiohttp import web

from whisperlive_hybrid.audio.wav import SampleLayout
from whisperlive_hybrid.engine.hypothesis import Segment
from whisperlive_hybrid.engine.languages import language_name, parse_language
from whisperlive_hybrid.engine.window import Task
from whisperlive_hybrid.errors import BadInput, HybridError, UndecodableAudio
from whisperlive_hybrid.jobs.transcript import FileOptions, Transcript
from whisperlive_hybrid.transports.http.asr_description import asr_paths, asr_schemas
from whisperlive_hybrid.transports.http.door import HttpDoor
from whisperlive_hybrid.transports.http.errors import SeveralProblems, error_response, json_response, status_of
from whisperlive_hybrid.transports.http.following import detect_language, transcribe
from whisperlive_hybrid.transports.http.form import Form
from whisperlive_hybrid.transports.http.option import Option
from whisperlive_hybrid.transports.http.options import MAX_PROMPT_CHARS, TASKS, default_options, resolve_model
from whisperlive_hybrid.transports.http.rendering import off_loop, segment_object, text_response
from whisperlive_hybrid.transports.http.services import HttpServices
from whisperlive_hybrid.transports.http.speaker_options import SPEAKER_OPTIONS, read_speakers
from whisperlive_hybrid.transports.http.uploads import (
    Upload,
    UploadRules,
    expect_within,
    receive_upload,
    upload_rules,
)

FILE_PART: Final = "audio_file"
OUTPUTS: Final = ("txt", "vtt", "srt", "tsv", "json")
ENGINE_HEADER: Final = {"Asr-Engine": "faster_whisper"}

_ENCODE = Option("encode", "flag", "false: the file may be 16 kHz 16-bit mono samples without a header.")
_MODEL = Option("model", "text", "A model of /v1/models; ours.")
ASR_OPTIONS: tuple[Option, ...] = (
    _ENCODE,
    Option("task", "choice", "transcribe, or translate into English.", accepted=TASKS),
    Option("language", "text", "ISO 639-1 code or English name; absent detects."),
    Option("initial_prompt", "text", "Text that the audio continues: names, spelling, style."),
    Option("vad_filter", "flag", "Accepted; what is no speech is never transcribed."),
    Option("word_timestamps", "flag", "Give every word its times; json only."),
    Option("output", "choice", "Form of the answer; txt if absent.", accepted=OUTPUTS),
    Option("hotwords", "text", "Words to expect."),
    *(o for o in SPEAKER_OPTIONS if not o.name.startswith("known_")),
    _MODEL,
)
DETECT_OPTIONS: tuple[Option, ...] = (_ENCODE, _MODEL)
_OTHER_NAMES = {"enable_diarization": "diarize"}


def routes(services: HttpServices) -> list[web.RouteDef]:
    """The routes of this door."""
    rules = replace(upload_rules(services, raw=False), file_parts=(FILE_PART, "file"))
    door = _AsrDoor(services, rules)
    early = expect_within(rules.max_bytes)
    return [
        web.post("/asr", door.asr, expect_handler=early),
        web.post("/detect-language", door.detect_language, expect_handler=early),
    ]


@dataclass(frozen=True, slots=True)
class _AsrDoor:
    services: HttpServices
    rules: UploadRules

    async def asr(self, request: web.Request) -> web.Response:
        """POST /asr."""
        async with receive_upload(request, self._rules_of(request)) as upload:
            options, output = self._read(_form(request, upload))
            transcript = await transcribe(request, self.services, upload, options)
        if output == "json":
            response = json_response(await off_loop(transcript, lambda: _result(transcript)))
        else:
            response = await text_response(transcript, output)
        # The original calls all of them plain text.
        response.content_type = "text/plain"
        response.headers.update(ENGINE_HEADER)
        response.headers["Content-Disposition"] = f'attachment; filename="{quote(upload.filename)}.{output}"'
        return response

    async def detect_language(self, request: web.Request) -> web.Response:
        """POST /detect-language."""
        async with receive_upload(request, self._rules_of(request)) as upload:
            form = _form(request, upload)
            form.flag("encode")
            model = resolve_model(form, self.services.engine)
            form.finish()
            found = await detect_language(request, self.services, upload, model)
        code, confidence = found[0] if found else ("en", 0.0)
        body = {"detected_language": language_name(code), "language_code": code, "confidence": confidence}
        return json_response(body, headers=ENGINE_HEADER)

    def _rules_of(self, request: web.Request) -> UploadRules:
        """What counts before the form is read; `encode` itself is checked with the other options."""
        encode = Form([("encode", request.query.get("encode", ""))]).flag("encode")
        return replace(self.rules, samples=SampleLayout()) if encode is False else self.rules

    def _read(self, form: Form) -> tuple[FileOptions, str]:
        """Raises BadInput naming every wrong field, or NotFound (model)."""
        base = default_options(self.services.settings)
        for name in ("encode", "vad_filter"):
            form.flag(name)
        decode = replace(
            base.decode,
            task=cast(Task, form.choice("task", TASKS) or "transcribe"),
            prompt=form.text("initial_prompt", max_chars=MAX_PROMPT_CHARS),
            hotwords=form.text("hotwords", max_chars=MAX_PROMPT_CHARS),
            word_times=form.flag("word_timestamps") or False,
        )
        if "language" in form.names:
            decode = replace(decode, language=form.parsed("language", parse_language))
        output = form.choice("output", OUTPUTS) or "txt"
        diarization = read_speakers(form)
        model = resolve_model(form, self.services.engine)
        form.finish()
        return replace(base, model=model, decode=decode, diarization=diarization), output


def _form(request: web.Request, upload: Upload) -> Form:
    """Options of the query and of the form's fields; what nobody knows is ignored, as the original does."""
    known = {option.name for option in ASR_OPTIONS}
    given = [(_OTHER_NAMES.get(n, n), v) for n, v in (*request.query.items(), *upload.fields)]
    return Form((name, value) for name, value in given if name in known)


def _result(transcript: Transcript) -> dict[str, Any]:
    """`output=json`, with the names of Whisper's own result."""
    body: dict[str, Any] = {
        "text": transcript.text,
        "language": transcript.language,
        "segments": [_segment(i, segment) for i, segment in enumerate(transcript.segments)],
    }
    if transcript.warning is not None:
        body["warning"] = transcript.warning
    return body


def _segment(number: int, segment: Segment) -> dict[str, Any]:
    """As Whisper's own result has it; a speaker where one is known, as in WhisperX."""
    shown = segment_object(number, segment, diarized=segment.speaker is not None)
    return {**shown, "seek": round(segment.start * 100)}


def refuse(error: HybridError) -> web.Response:
    """The answer to a request that failed: wrong parameters as FastAPI lists them, anything else as one sentence."""
    if isinstance(error, BadInput) and status_of(error) == 400 and not isinstance(error, UndecodableAudio):
        problems = error.problems if isinstance(error, SeveralProblems) else (error,)
        return error_response(error, {"detail": [_problem(p) for p in problems]}, status=422)
    return error_response(error, {"detail": error.message})


def _problem(problem: BadInput) -> dict[str, Any]:
    missing = problem.code == "missing_file"
    in_body = problem.param is None or problem.param in (FILE_PART, "file")
    place = ["body"] if in_body else ["query"]
    return {
        "type": "missing" if missing else problem.code,
        "loc": [*place, problem.param] if problem.param else place,
        "msg": "Field required" if missing else problem.message,
    }


DOOR: Final = HttpDoor(
    "asr-webservice",
    routes,
    paths=re.compile(r"/(asr|detect-language)"),
    refuse=refuse,
    describe=lambda: asr_paths(ASR_OPTIONS, DETECT_OPTIONS, FILE_PART),
    schemas=asr_schemas,
)
